r"""The straight-through estimator: f sees a code, its gradient goes to the probabilities.

    z ~ q(z|x),    dz := d E_q[z]

It is exact where f is linear in z, as E_q[f(z)] = f(E_q[z]) then, and biased elsewhere.

Reference: Bengio, Leonard & Courville, "Estimating or propagating gradients through stochastic neurons" (2013),
section 4, https://arxiv.org/abs/1308.3432, with the derivative of the sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from lsgen.latent import DiscreteCodes
from lsgen.models.vae.estimators.base import GradientEstimator

__all__ = ["StraightThrough"]


class StraightThrough(GradientEstimator):
    """The code, with the gradient of its mean."""

    unbiased: ClassVar[bool] = False

    def estimate(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return f at a code."""
        return integrand(q.sample() + (q.mean - q.mean.detach()))
