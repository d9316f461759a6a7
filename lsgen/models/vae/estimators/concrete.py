r"""The gradient of a relaxed draw, Gumbel-softmax: the code is replaced by a draw of the Concrete distribution.

    d/d phi f( soft(y) ),    y = (logits + noise) / t

is unbiased for the relaxed expectation E[ f(soft(y)) ], which needs an f that is defined between codes and tends to
E[ f(z) ] as t -> 0, while the variance of the gradient grows.

Reference: Jang, Gu & Poole (2017), section 2.1, https://arxiv.org/abs/1611.01144; Maddison, Mnih & Teh (2017), section
3.1, https://arxiv.org/abs/1611.00712.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lsgen.latent import DiscreteCodes
from lsgen.models.vae.estimators.base import RelaxedEstimator

__all__ = ["Concrete"]


class Concrete(RelaxedEstimator):
    """The relaxed code, in training alone.

    Args:
        temperature: t, a number or a schedule in generator steps.

    Raises:
        ValueError: the temperature is not positive.

    """

    def estimate(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return f at a relaxed code."""
        return integrand(q.soft(self.scores(q, step)))
