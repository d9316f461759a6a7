"""Schedules: a weight as a function of generator steps.

A schedule is called with the number of completed generator steps and returns a float. Wherever a weight is
asked for, a plain number stands for the constant schedule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import exp

__all__ = ["Constant", "Cyclic", "ExponentialDecay", "Linear", "Schedule", "as_schedule"]


class Schedule(ABC):
    """Abstract function of the generator step."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the weight after `step` generator steps."""


class Constant(Schedule):
    """A constant weight."""

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __call__(self, step: int) -> float:
        """Return the value."""
        return self.value


class _Ramp(Schedule):
    def __init__(self, start: float, end: float, steps: int, ramp: float) -> None:
        if steps < 1:
            raise ValueError(f"expected a ramp of at least 1 generator step, got steps = {steps}")
        if not 0 < ramp <= 1:
            raise ValueError(f"expected a ramp in (0, 1], the rising part of steps, got {ramp}")
        self.start, self.end, self.steps, self.ramp = float(start), float(end), int(steps), float(ramp)

    def _risen(self, step: int) -> float:
        """Return the completed fraction of the ramp, between 0 and 1."""
        return min(step / (self.steps * self.ramp), 1.0)

    def _between(self, fraction: float) -> float:
        return self.start + (self.end - self.start) * fraction


class Linear(_Ramp):
    """A straight ramp from `start` to `end`, then `end` (warm-up).

    Args:
        start: weight before the first step.
        end: weight once the ramp is over.
        steps: generator steps, such as those of the whole training: `${model.max_steps}` in a config.
        ramp: part of `steps` that the ramp takes.

    Raises:
        ValueError: steps is not positive or ramp is not in (0, 1].

    Example:
        >>> Linear(0, 4, steps=100)(25), Linear(0, 4, steps=100, ramp=0.5)(25)
        (1.0, 2.0)

    """

    def __init__(self, start: float, end: float, steps: int, ramp: float = 1.0) -> None:
        super().__init__(start, end, steps, ramp)

    def __call__(self, step: int) -> float:
        """Return the point of the ramp."""
        return self._between(self._risen(step))


class Cyclic(_Ramp):
    """Repeated ramps of period `steps`: up during the first `ramp` of each period, then level.

    Reference: Fu et al., "Cyclical annealing schedule" (2019), https://arxiv.org/abs/1903.10145.
    """

    def __init__(self, start: float, end: float, steps: int, ramp: float = 0.5) -> None:
        super().__init__(start, end, steps, ramp)

    def __call__(self, step: int) -> float:
        """Return the point of the current period."""
        return self._between(self._risen(step % self.steps))


class ExponentialDecay(Schedule):
    """A geometric decay from `start` to `end`, then `end`, such as that of a temperature or of a learning rate.

        max( end, start exp(-rate max(step - after, 0)) )

    Args:
        start: weight before the first step, at least `end`.
        end: weight that it never falls below.
        rate: part of it lost per generator step.
        after: generator steps before the decay begins.

    Raises:
        ValueError: end is not positive, start is below it, or rate or after is negative.

    Example:
        >>> round(ExponentialDecay(1.0, 0.5, rate=1e-3)(100), 4), ExponentialDecay(1.0, 0.5, rate=1e-3)(1000)
        (0.9048, 0.5)

    """

    def __init__(self, start: float, end: float, rate: float, after: int = 0) -> None:
        if not 0 < end <= start or not rate >= 0:
            raise ValueError(f"expected 0 < end <= start and a rate of at least 0, got {end}, {start} and {rate}")
        if after < 0:
            raise ValueError(f"expected after of at least 0, got {after}")
        self.start, self.end, self.rate, self.after = float(start), float(end), float(rate), int(after)

    def __call__(self, step: int) -> float:
        """Return the point of the decay."""
        return max(self.end, self.start * exp(-self.rate * max(step - self.after, 0)))


def as_schedule(weight: float | Schedule) -> Schedule:
    """Return the weight itself if it is a schedule, else a constant schedule.

    Raises:
        TypeError: weight is neither a number nor a schedule.

    """
    if isinstance(weight, Schedule):
        return weight
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise TypeError(f"expected a number or a schedule, got {type(weight).__name__}")
    return Constant(weight)
