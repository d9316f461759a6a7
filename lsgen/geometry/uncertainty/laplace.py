r"""The Laplace approximation of a decoder's weights, by laplace-torch.

    p(w | codes, observations) ~ N( w*, H^-1 ),    H = sum_n J_n^T J_n / sigma^2 + precision I,

with w* the trained weights, J_n the Jacobian of the outputs in the weights, and H in full, as Kronecker factors for
every layer, or its diagonal. Draws from it are the members of an ensemble.

Reference: Daxberger et al., "Laplace redux" (2021), https://arxiv.org/abs/2106.14806.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters
from torch.utils.data import DataLoader, TensorDataset

from lsgen.geometry.members import Uncertainty, joined
from lsgen.latent import LatentSpace
from lsgen.likelihoods import FixedGaussian, OptimalGaussian, SharedGaussian

__all__ = ["LaplaceApproximation"]


class LaplaceApproximation(Uncertainty):
    """One decoder under draws from the Laplace approximation of its weights.

    Args:
        codes: codes (N, d) of the training set.
        observations: observations (N, *shape).
        members: number M of draws.
        structure: what is kept of H.
        prior_precision: of the weights; the one of greatest marginal likelihood where it is not given.
        batch_size: observations worked on at once.
        seed: of the draws.

    Raises:
        ImportError: laplace-torch is not installed.
        ValueError: codes and observations differ in number, or there is no member.

    """

    def __init__(
        self,
        codes: Tensor,
        observations: Tensor,
        members: int = 10,
        structure: Literal["diag", "kron", "full"] = "kron",
        prior_precision: float | None = None,
        batch_size: int = 256,
        seed: int = 0,
    ) -> None:
        if len(codes) != len(observations) or not len(codes):
            raise ValueError(f"expected as many codes as observations, got {len(codes)} and {len(observations)}")
        if members < 1:
            raise ValueError(f"expected at least 1 member, got {members}")
        if structure not in ("diag", "kron", "full"):
            raise ValueError(f'expected structure "diag", "kron" or "full", got {structure!r}')
        _library()
        self.codes, self.observations, self.members, self.structure = codes, observations, members, structure
        self.prior_precision, self.batch_size, self.seed = prior_precision, batch_size, seed

    def __call__(self, space: LatentSpace) -> LatentSpace:
        """Return the space of all draws.

        Raises:
            TypeError: the likelihood is no Gaussian with one standard deviation for all data dimensions, for which
                laplace-torch has no curvature.

        """
        model = nn.Sequential(deepcopy(space.decoder).requires_grad_(True), _Flat()).eval()
        approximation = _library()(
            model,
            "regression",
            subset_of_weights="all",
            hessian_structure=self.structure,
            sigma_noise=_deviation(space),
            prior_precision=self.prior_precision or 1.0,
        )
        data = TensorDataset(self.codes, self.observations.flatten(1))
        approximation.fit(DataLoader(data, batch_size=self.batch_size))
        if self.prior_precision is None:
            approximation.optimize_prior_precision(method="marglik")
        generator = torch.Generator(self.codes.device).manual_seed(self.seed)
        draws = approximation.sample(self.members, generator=generator).detach()
        return joined(space, [_with_weights(space.decoder, draw) for draw in draws])


class _Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1).contiguous()


def _library() -> Any:
    try:
        from laplace import Laplace
    except ImportError as error:
        raise ImportError("LaplaceApproximation needs laplace-torch, got none: pip install lsgen[laplace]") from error
    return Laplace


def _deviation(space: LatentSpace) -> float:
    likelihood = space.likelihood
    if isinstance(likelihood, FixedGaussian | SharedGaussian | OptimalGaussian):
        scale = likelihood.scale_like(torch.zeros(1))
        if scale.numel() == 1:
            return float(scale)
    raise TypeError(
        "LaplaceApproximation expected a Gaussian likelihood with one standard deviation, "
        f"got {type(likelihood).__name__}"
    )


def _with_weights(decoder: nn.Module, weights: Tensor) -> nn.Module:
    """Return a copy of the decoder with other weights, in the order of its parameters."""
    member = deepcopy(decoder)
    vector_to_parameters(weights, member.parameters())
    return member.requires_grad_(False)
