r"""The straight-through Gumbel estimator: f sees a code, its gradient goes to the relaxed code of the same noise.

    z = hard(y),    dz/dy := d soft(y) / dy,    y = (logits + noise) / t

so that f need not be defined between codes. It is biased whatever t.

Reference: Jang, Gu & Poole (2017), section 2.2, https://arxiv.org/abs/1611.01144.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lsgen.latent import DiscreteCodes
from lsgen.models.vae.estimators.base import RelaxedEstimator

__all__ = ["GumbelStraightThrough"]


class GumbelStraightThrough(RelaxedEstimator):
    """The code, with the gradient of the relaxed code that rounds to it.

    Args:
        temperature: t, a number or a schedule in generator steps.

    Raises:
        ValueError: the temperature is not positive.

    """

    def estimate(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return f at a code."""
        scores = self.scores(q, step)
        soft = q.soft(scores)
        return integrand(q.hard(scores.detach()) + (soft - soft.detach()))
