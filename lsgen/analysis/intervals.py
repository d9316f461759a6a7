r"""Confidence intervals: of means and of bootstrap samples, of shares, and by leaving groups of items out.

    share               Clopper & Pearson, exact:   I^-1_{a/2}(k, n - k + 1),   I^-1_{1 - a/2}(k + 1, n - k)
    share of clusters   the same with n/D in the place of n and k/D of k, D >= 1 the design effect (Korn & Graubard)
    leaving groups out  v +- t_{G-1} s,   s^2 = (G - 1)/G sum_g (v_(g) - mean)^2,   v_(g) without group g of G

Reference: Clopper & Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial" (1934);
Korn & Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from
survey data" (1998); Quenouille, "Notes on bias in estimation" (1956).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit
from scipy.stats import beta

__all__ = [
    "check_level",
    "clustered_share",
    "group_jackknife",
    "mean_interval",
    "percentile_interval",
    "share_interval",
]

Interval = tuple[float, float]


def check_level(level: float) -> None:
    """Raise an error if a coverage is none.

    Raises:
        ValueError: it does not lie between 0 and 1.

    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")


def mean_interval(values: NDArray[Any], level: float = 0.95, bounds: Interval = (-np.inf, np.inf)) -> Interval | None:
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
    return max(mean - half, bounds[0]), min(mean + half, bounds[1])


def percentile_interval(draws: NDArray[Any], level: float = 0.95) -> Interval | None:
    """Return the interval between two percentiles of bootstrap draws (B,), those that are not numbers left out.

    Returns:
        Its two ends; None where no draw is a number.

    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Return the exact interval of the probability of which k of n independent trials are an estimate.

    Args:
        successes: k, from 0 to n; an effective number need not be whole.
        n: the number of trials.
        level: its coverage.

    Raises:
        ValueError: there are no trials, or not from 0 to n successes.

    """
    check_level(level)
    if not n > 0 or not 0 <= successes <= n:
        raise ValueError(f"expected from 0 to n successes of n > 0 trials, got {successes} of {n}")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def clustered_share(inside: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """Return a share and its interval where trials of one cluster, such as values of one observation, are dependent.

    The design effect D is the variance of the share that clusters show over that of independent trials, and at least 1;
    where all trials succeeded, or none, every cluster counts as one trial. Where every cluster has one trial, the
    interval is the exact binomial one.

    Args:
        inside: whether each trial succeeded, (N,).
        clusters: which cluster it belongs to, (N,).
        level: coverage of the interval.

    Raises:
        ValueError: there is no trial, or the shapes differ.

    """
    success, cluster = np.asarray(inside, dtype=float), np.asarray(clusters)
    if success.ndim != 1 or success.shape != cluster.shape or not len(success):
        raise ValueError(f"expected trials and clusters (N,), got {success.shape} and {cluster.shape}")
    n, share = len(success), float(success.mean())
    _, place = np.unique(cluster, return_inverse=True)
    excess = np.bincount(place, success - share)
    groups, design = len(excess), 1.0
    if groups == 1 and n > 1:
        raise ValueError(f"expected two clusters or more, got one with all {n} trials, which tells no interval")
    if 0 < share < 1 and 1 < groups < n:
        variance = groups / (groups - 1) * float(np.square(excess).sum()) / n**2
        design = max(1.0, variance / (share * (1 - share) / n))
    elif not 0 < share < 1:
        design = n / groups
    return share, share_interval(success.sum() / design, n / design, level)


def group_jackknife(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    rng: np.random.Generator,
    groups: int = 20,
    level: float = 0.95,
    bounds: Interval = (-np.inf, np.inf),
) -> Interval:
    """Return the interval of a statistic from its values without each of several groups of items.

    It is Student's, about the statistic of all items; the values need not be averages, and no item comes twice, which
    for statistics of pairs a bootstrap would count as close.

    Args:
        statistic: rows of items -> their statistic.
        n: number of items.
        rng: draws which items form a group.
        groups: number G of groups; n where there are fewer items.
        level: its coverage.
        bounds: the least and the greatest value there can be, at which it is cut.

    Raises:
        ValueError: there are fewer than two items or groups.

    """
    check_level(level)
    if (size := min(groups, n)) < 2:
        raise ValueError(f"expected two items and two groups or more, got {n} and {groups}")
    order = rng.permutation(n)
    values = np.array([statistic(np.delete(order, np.s_[first::size])) for first in range(size)])
    error = float(np.sqrt((size - 1) / size * np.square(values - values.mean()).sum()))
    whole, width = statistic(order), float(stdtrit(size - 1, (1 + level) / 2)) * error
    return max(whole - width, bounds[0]), min(whole + width, bounds[1])
