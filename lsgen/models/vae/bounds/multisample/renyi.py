r"""Variational Renyi bound.

    L_alpha(x) = 1/(1 - alpha) log E_q[ ( p(x, z) / q(z|x) )^{1 - alpha} ]

estimated with k samples. It falls with alpha: alpha -> 1 is the ELBO, alpha = 0 the importance-weighted bound (log p(x)
as k -> infinity), alpha -> -infinity keeps the largest weight only ("VR-max"); alpha < 0 may exceed log p(x).

Reference: Li & Turner (2016), equations 9 and 14, https://arxiv.org/abs/1602.02311.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf, isnan

from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["Renyi"]


class Renyi(Objective):
    """The variational Renyi bound of order alpha.

    Args:
        alpha: order; 1 is the ELBO, 0 the importance-weighted bound, -inf the largest weight.
        samples: codes k.

    Raises:
        ValueError: samples is not positive; alpha is NaN or +infinity.

    """

    def __init__(self, alpha: float = 0.5, samples: int = 50) -> None:
        super().__init__()
        if isnan(alpha) or (isinf(alpha) and alpha > 0):
            raise ValueError(f"expected an order alpha < infinity, got {alpha}")
        self.alpha, self.samples = float(alpha), importance.positive("samples", samples)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_alpha."""
        parts = importance.draw(space, batch["x"], self.samples)
        bound = self.bound(parts.log_w)
        return importance.losses(-bound.mean(), bound, parts)

    def bound(self, log_w: Tensor) -> Tensor:
        """Return the estimate (B,) from log weights (k, B)."""
        if self.alpha == 1:
            return log_w.mean(0)
        if isinf(self.alpha):
            return log_w.max(0).values
        return importance.log_mean_exp((1 - self.alpha) * log_w) / (1 - self.alpha)
