r"""Regularised autoencoders: a deterministic code kept small, and a decoder kept smooth.

    loss = -log p( x | z ) + beta/2 |z|^2 + lambda R,    z = encoder(x)

    R = 1/2 sum |theta_decoder|^2                 RAE-L2
    R = 1/2 || dE[x|z]/dz ||_F^2                  RAE-GP, the gradient penalty

The Jacobian is exact, one forward-mode pass of the decoder for each of the d code dimensions. The codes follow no
prior: to draw observations, fit a density to them after training.

Reference: Ghosh et al., "From variational to deterministic autoencoders" (2020), equations 8 to 11,
https://arxiv.org/abs/1903.12436.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["RAEGP", "RAEL2"]


class _RAE(Objective):
    """Reconstruction, code size and a penalty on the decoder.

    Args:
        beta: weight of half the squared norm of the code, a number or a schedule in generator steps.
        weight: lambda, weight of the penalty on the decoder, likewise.

    """

    divergence = False

    def __init__(self, beta: float | Schedule = 1e-4, weight: float | Schedule = 1e-7) -> None:
        super().__init__()
        self.beta, self.weight = as_schedule(beta), as_schedule(weight)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta/2 |z|^2 + lambda R."""
        terms = sample_terms(space, batch["x"])
        size = terms.z.square().sum(-1) / 2
        penalty = self.penalty(space, terms.z)
        weights = {"beta": self.beta(step), "lambda": self.weight(step)}
        loss = (terms.reconstruction + weights["beta"] * size).mean() + weights["lambda"] * penalty
        scalars = {"code_size": size.detach().mean(), "penalty": penalty.detach()}
        return terms.losses(loss, weights, scalars)

    @abstractmethod
    def penalty(self, space: EncodableLatentSpace, z: Tensor) -> Tensor:
        """Return R, a scalar, at codes (B, d)."""


class RAEL2(_RAE):
    """Regularised autoencoder with the squared norm of the decoder's parameters."""

    def penalty(self, space: EncodableLatentSpace, z: Tensor) -> Tensor:
        """Return half the sum of squares of the decoder's parameters."""
        return torch.stack([parameter.square().sum() for parameter in space.decoder.parameters()]).sum() / 2


class RAEGP(_RAE):
    """Regularised autoencoder with the squared Jacobian of the decoder's mean."""

    def penalty(self, space: EncodableLatentSpace, z: Tensor) -> Tensor:
        """Return half the squared Frobenius norm of dE[x|z]/dz, averaged over the batch."""

        def derivative(direction: Tensor) -> Tensor:
            return torch.func.jvp(lambda code: space.decode(code).mean, (z,), (direction.expand_as(z),))[1]

        axes = torch.eye(space.dim, dtype=z.dtype, device=z.device)
        squares = torch.stack([derivative(axis).square().sum() for axis in axes])
        return squares.sum() / (2 * len(z))
