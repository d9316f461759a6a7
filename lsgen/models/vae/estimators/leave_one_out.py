r"""REINFORCE with a leave-one-out baseline (RLOO).

    1/k sum_i [ ( f(z_i) - b_i ) d log q(z_i|x) + d f(z_i) ],    b_i = 1/(k - 1) sum_{j != i} f(z_j),    z_i ~ q(z|x)

The baseline does not depend on z_i, so that the estimate is unbiased; f needs no derivative in z.

Reference: Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a baseline for free!" (2019), equation 8,
https://openreview.net/forum?id=r1lgTGL5DE; Mnih & Rezende (2016), section 2.4, https://arxiv.org/abs/1602.06725.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lsgen.latent import DiscreteCodes
from lsgen.models.vae.estimators.base import GradientEstimator

__all__ = ["RLOO"]


class RLOO(GradientEstimator):
    """The average over codes, each of whose scores is weighed by how much its f exceeds the average of the others.

    Args:
        samples: codes k of every observation.

    Raises:
        ValueError: there is no other code, samples < 2.

    """

    unbiased: ClassVar[bool] = True

    def __init__(self, samples: int = 4) -> None:
        super().__init__()
        if samples < 2:
            raise ValueError(f"expected at least 2 samples, of which one is the baseline of the other, got {samples}")
        self.samples = int(samples)

    def estimate(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return the average of f over k codes."""
        z = q.sample(torch.Size((self.samples,)))
        values = integrand(z)
        f = values.detach()
        excess = (f - f.mean(0)) * (self.samples / (self.samples - 1))
        score = (excess * q.log_prob(z)).mean(0)
        return values.mean(0) + score - score.detach()
