r"""The straight-through Gumbel estimator: f sees a code, its gradient goes to the relaxed code of the same noise.

    z = hard(y),    dz/dy := d soft(y) / dy,    y = (logits + noise) / t

so that f need not be defined between codes. It is biased whatever t.

Reference: Jang, Gu & Poole (2017), section 2.2, https://arxiv.org/abs/1611.01144.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lsgen.latent import DiscreteCodes
from lsgen.models.schedules import Schedule
from lsgen.models.vae.estimators.base import GradientEstimator, as_temperature, temperature_at

__all__ = ["GumbelStraightThrough"]


class GumbelStraightThrough(GradientEstimator):
    """The code, with the gradient of the relaxed code that rounds to it.

    Args:
        temperature: t, a number or a schedule in generator steps.

    Raises:
        ValueError: the temperature is not positive.

    """

    unbiased: ClassVar[bool] = False

    def __init__(self, temperature: float | Schedule = 0.5) -> None:
        super().__init__()
        self.temperature = as_temperature(temperature)

    def estimate(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return f at a code."""
        scores = q.scores(q.noise(torch.Size()), temperature_at(self.temperature, step))
        soft = q.soft(scores)
        return integrand(q.hard(scores.detach()) + (soft - soft.detach()))
