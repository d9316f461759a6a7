r"""Scores over seeds: the mean with the interval of Student's t distribution,

mean +- t_{(1 + level)/2, n - 1}  s / sqrt n .
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

__all__ = ["Interval", "over_seeds"]


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def over_seeds(scores: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of scores that differ by the seed only, with its confidence interval.

    Raises:
        ValueError: fewer than 2 scores, or a level outside (0, 1).

    """
    if len(scores) < 2 or not 0 < level < 1:
        raise ValueError(f"expected at least 2 scores and a level in (0, 1), got {len(scores)} and {level}")
    values = np.asarray(scores, dtype=np.float64)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / sqrt(len(values)))
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half)
