r"""The contract of an estimator of the gradient of an expectation over discrete codes.

    d/d phi E_{q(z|x)}[ f(z) ] = sum_z f(z) d q(z|x) / d phi

has as many terms as there are codes; an estimator has a few draws. Estimators are parts of an objective and can be
exchanged: a biased one moves the draw itself with the logits, an unbiased one weighs the score of q(z|x) with f.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from lsgen.latent import DiscreteCodes
from lsgen.models.schedules import Schedule, as_schedule

__all__ = ["GradientEstimator", "RelaxedEstimator", "as_temperature", "temperature_at"]


class GradientEstimator(nn.Module, ABC):
    """Abstract estimator of E_{q(z|x)}[ f(z) ] and of its gradient from draws of discrete codes.

    In evaluation mode it is the average over draws of the codes themselves, whatever it is in training.

    Attributes:
        unbiased: whether the expected gradient is that of the expectation, for every f.

    """

    unbiased: ClassVar[bool]

    def forward(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return an estimate for every observation, (B,), with an estimate of its gradient in what q and f depend on.

        Args:
            q: the posterior, of batch shape (B,).
            integrand: f, codes (B, d) or (k, B, d) -> (B,) or (k, B).
            step: completed generator steps, the argument of schedules.

        """
        return self.estimate(q, integrand, step) if self.training else integrand(q.sample())

    @abstractmethod
    def estimate(self, q: DiscreteCodes, integrand: Callable[[Tensor], Tensor], step: int) -> Tensor:
        """Return the estimate of training, (B,)."""


class RelaxedEstimator(GradientEstimator):
    """Abstract estimator by relaxed codes, which is biased at every temperature.

    Args:
        temperature: t, a number or a schedule in generator steps.

    Raises:
        ValueError: the temperature is not positive.

    """

    unbiased: ClassVar[bool] = False

    def __init__(self, temperature: float | Schedule = 0.5) -> None:
        super().__init__()
        self.temperature = as_temperature(temperature)

    def scores(self, q: DiscreteCodes, step: int) -> Tensor:
        """Return the scores y of one relaxed draw for every observation."""
        return q.scores(q.noise(torch.Size()), temperature_at(self.temperature, step))


def as_temperature(temperature: float | Schedule) -> Schedule:
    """Return a temperature as a schedule.

    Raises:
        ValueError: it is not positive at the first step.

    """
    schedule = as_schedule(temperature)
    temperature_at(schedule, 0)
    return schedule


def temperature_at(schedule: Schedule, step: int) -> float:
    """Return the temperature after so many generator steps.

    Raises:
        ValueError: it is not positive.

    """
    temperature = schedule(step)
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0, got {temperature} at generator step {step}")
    return temperature
