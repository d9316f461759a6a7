r"""CIWAE: a convex combination of the ELBO and the importance-weighted bound, from the same samples.

    L = beta ELBO + (1 - beta) L_k

Reference: Rainforth et al. (2018), equation 14, https://arxiv.org/abs/1802.04537.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["CIWAE"]


class CIWAE(Objective):
    """Beta times the ELBO plus (1 - beta) times L_k, from the same k samples.

    Args:
        samples: codes k.
        beta: share of the ELBO, a number or a schedule in generator steps.

    Raises:
        ValueError: samples is not positive.

    """

    def __init__(self, samples: int = 64, beta: float | Schedule = 0.05) -> None:
        super().__init__()
        self.samples, self.beta = importance.positive("samples", samples), as_schedule(beta)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -(beta ELBO + (1 - beta) L_k)."""
        parts, beta = importance.draw(space, batch["x"], self.samples), self.beta(step)
        bound = beta * parts.log_w.mean(0) + (1 - beta) * importance.log_mean_exp(parts.log_w)
        return importance.losses(-bound.mean(), bound, parts, {"beta": beta})
