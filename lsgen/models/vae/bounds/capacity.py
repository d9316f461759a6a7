r"""Capacity-controlled beta-VAE ("AnnealedVAE").

    loss = E_q[ -log p(x|z) ] + gamma | KL( q(z|x) || p(z) ) - C |,

with the KL averaged over the batch before the absolute value, and a capacity C that grows with training.

Reference: Burgess et al., "Understanding disentangling in beta-VAE" (2018), https://arxiv.org/abs/1804.03599.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["Capacity"]


class Capacity(Objective):
    """Reconstruction plus gamma times the distance of the KL from its capacity.

    Args:
        capacity: the target C in nats, a number or a schedule in generator steps.
        gamma: weight of the distance.

    """

    def __init__(self, capacity: float | Schedule, gamma: float = 1000.0) -> None:
        super().__init__()
        self.capacity = as_schedule(capacity)
        self.gamma = float(gamma)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + gamma |KL - C|."""
        terms, capacity = sample_terms(space, batch["x"]), self.capacity(step)
        loss = terms.reconstruction.mean() + self.gamma * (terms.kl.sum(-1).mean() - capacity).abs()
        return terms.losses(loss, {"capacity": capacity})
