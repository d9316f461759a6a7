"""Confidence intervals of means and of bootstrap samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

__all__ = ["mean_interval", "percentile_interval"]


def mean_interval(
    values: NDArray[Any], level: float = 0.95, bounds: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Return Student's interval of the mean of independent values, cut to the bounds of what a mean can be.

    Args:
        values: one each of the things that were drawn, (n,).
        level: probability that it covers.
        bounds: the least and the greatest mean there can be.

    Returns:
        Its two ends; None for fewer than two values, which say nothing about their spread.

    """
    n = len(values)
    if n < 2:
        return None
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(np.std(values, ddof=1)) / n**0.5
    mean = float(np.mean(values))
    low, high = bounds or (-np.inf, np.inf)
    return max(mean - half, low), min(mean + half, high)


def percentile_interval(draws: NDArray[Any], level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval between two percentiles of bootstrap draws (B,), those that are not numbers left out.

    Returns:
        Its two ends; None where no draw is a number.

    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
