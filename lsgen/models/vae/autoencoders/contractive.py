r"""The contractive autoencoder: codes that move little when observations do.

    loss = -log p( x | z ) + lambda || dz/dx ||_F^2,    z = encoder(x)

The Jacobian is exact, one backward pass of the encoder for each of the d code dimensions.

Reference: Rifai et al., "Contractive auto-encoders" (2011), equation 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["Contractive"]


class Contractive(Objective):
    """Reconstruction and the squared Frobenius norm of the encoder's Jacobian.

    Args:
        weight: lambda, a number or a schedule in generator steps.

    """

    divergence = False

    def __init__(self, weight: float | Schedule = 0.1) -> None:
        super().__init__()
        self.weight = as_schedule(weight)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + lambda ||dz/dx||^2."""
        training = torch.is_grad_enabled()
        # A trainer evaluates in inference mode, whose tensors no gradient can be taken of: a clone is an ordinary one.
        with torch.inference_mode(False), torch.enable_grad():
            clean = batch["x"].clone()
            x = clean.detach().requires_grad_()
            terms = sample_terms(space, clean, seen=x)
            contraction = encoder_jacobian_norm(terms.q.mean, x, create_graph=training)
        weight = self.weight(step)
        loss = (terms.reconstruction + weight * contraction).mean()
        losses = terms.losses(loss, {"lambda": weight}, {"contraction": contraction.mean()})
        return losses if training else losses.detach()


def encoder_jacobian_norm(mean: Tensor, x: Tensor, create_graph: bool) -> Tensor:
    """Return ||d mean / dx||_F^2 per observation, (B,), for codes (B, d) computed from observations (B, *shape)."""
    total = mean.new_zeros(len(x))
    for column in mean.unbind(-1):
        (gradient,) = torch.autograd.grad(column.sum(), x, create_graph=create_graph, retain_graph=True)
        total = total + gradient.square().flatten(1).sum(1)
    return total
