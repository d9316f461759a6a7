r"""VIMCO: the importance-weighted bound with discrete codes, whose gradient needs no baseline that is learned.

    L_k(x) = E_{z_1 ... z_k ~ q(z|x)}[ L ],    L = log 1/k sum_i w_i,    w_i = p(x, z_i) / q(z_i|x)

    grad L_k = E[ sum_i ( L - L_{-i} ) d log q(z_i|x) + dL ],    L_{-i} = log 1/k ( sum_{j != i} w_j + w'_i )

where w'_i is the geometric mean of the other weights. L_{-i} does not depend on z_i, so that the estimate is unbiased:
a code is credited with what it adds to the bound of the others.

Reference: Mnih & Rezende, "Variational inference for Monte Carlo objectives" (2016), equations 9 to 11,
https://arxiv.org/abs/1602.06725.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models import parts
from lsgen.models.losses import Losses
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["VIMCO"]


class VIMCO(Objective):
    """The importance-weighted bound L_k of discrete codes; the loss's value is that of `IWAE`.

    Args:
        samples: codes k in the bound.

    Raises:
        ValueError: there is no other code, samples < 2.

    """

    def __init__(self, samples: int = 50) -> None:
        super().__init__()
        if samples < 2:
            raise ValueError(f"expected at least 2 samples, of which one is the baseline of the other, got {samples}")
        self.samples = int(samples)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space without a prior and a posterior over discrete codes.

        Raises:
            TypeError: it has others.

        """
        parts.check_discrete("VIMCO", space)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_k."""
        q = space.encode(batch["x"])
        weights = importance.weigh(space, batch["x"], q, q.sample(torch.Size((self.samples,))))
        bound = importance.log_mean_exp(weights.log_w)
        credit = bound.detach() - _without_each(weights.log_w.detach())
        score = (credit * weights.posterior).sum(0)
        return importance.losses(-(bound + score - score.detach()).mean(), bound, weights)


def _without_each(log_w: Tensor) -> Tensor:
    """Return the bound with each weight in turn replaced by the geometric mean of the others, (k, B)."""
    k = len(log_w)
    others = (log_w.sum(0) - log_w) / (k - 1)
    own = torch.eye(k, dtype=torch.bool, device=log_w.device).unsqueeze(-1)
    return torch.where(own, others.unsqueeze(1), log_w.unsqueeze(0)).logsumexp(1) - log(k)
