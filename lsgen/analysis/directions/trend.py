r"""The trend of codes with a time: the axis along which they move, and the time that each code tells.

    y_i = b + a.z_i + e_i,    intrinsic_i = b_(-i) + a_(-i).z_i

The axis is a / |a|, by least squares over all codes. The intrinsic time of a code is what the regression on codes of
other folds tells of it, so that no code is explained by its own time, and R^2 = 1 - sum (y - intrinsic)^2 /
sum (y - mean y)^2 is about 0 or below where there is no trend, whatever the dimension.

Reference: Asatani et al., "Detecting trends in academic research from a citation network using network representation
learning" (2018), for the trend axis and the intrinsic publication year.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict

from lsgen.analysis.intervals import percentile_interval
from lsgen.analysis.statistic import Statistic

__all__ = ["Trend", "correlation_within", "trend_of"]


class Trend(NamedTuple):
    """A trend of codes with a time.

    Attributes:
        axis: its direction, of length 1, (d,).
        along: the coordinate of each code along it, (N,).
        across: that along the principal axis of what is orthogonal to it, (N,); 0 where there is one dimension.
        intrinsic: the time that each code tells, by the codes of other folds, (N,).
        r2: the share of the variance of times that they explain, with its bootstrap interval over codes; its baseline
            is the share if times belong to other codes.

    """

    axis: NDArray[np.float64]
    along: NDArray[np.float64]
    across: NDArray[np.float64]
    intrinsic: NDArray[np.float64]
    r2: Statistic


def trend_of(codes: Any, times: Any, folds: int = 10, draws: int = 1000, seed: int = 0) -> Trend:
    """Return the trend of codes (N, d) of flat space with times (N,).

    Args:
        codes: finite numbers.
        times: finite numbers that are not all equal.
        folds: at least 2, at most N.
        draws: bootstrap samples of the interval; 0 for none.
        seed: of the folds, the samples, and the codes that times belong to by chance.

    Raises:
        ValueError: shapes do not fit, a number is not finite, times are all equal, or folds are out of their range.

    """
    z, y = np.asarray(codes, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if z.ndim != 2 or y.shape != (len(z),) or not (np.isfinite(z).all() and np.isfinite(y).all()):
        raise ValueError(f"expected finite codes (N, d) and a finite time of each, got {z.shape} and {y.shape}")
    if not 2 <= folds <= len(z) or np.ptp(y) == 0:
        raise ValueError(
            f"expected 2 to {len(z)} folds of codes with times that are not all equal, got {folds} folds and "
            f"{len(np.unique(y))} times"
        )
    slope = LinearRegression().fit(z, y).coef_
    length = float(np.linalg.norm(slope))
    axis = slope / length if length > 0 else slope
    intrinsic, rng = _told(z, y, folds, seed), np.random.default_rng(seed)
    other = rng.permutation(y)
    chance = 1 - _ratio(_squares(other, _told(z, other, folds, seed)))
    along = z @ axis
    rest = z - z.mean(0) - np.outer(along - along.mean(), axis)
    across = rest @ np.linalg.svd(rest, full_matrices=False)[2][0]
    squares, n = _squares(y, intrinsic), len(y)
    samples = np.array([1 - _ratio(rng.multinomial(n, np.full(n, 1 / n))[:, None] * squares) for _ in range(draws)])
    r2 = Statistic(1 - _ratio(squares), n, percentile_interval(samples), chance, seed)
    return Trend(axis, along, across, intrinsic, r2)


def _told(z: NDArray[np.float64], y: NDArray[np.float64], folds: int, seed: int) -> NDArray[np.float64]:
    """Return what the regression on codes of other folds tells of the time of each, (N,)."""
    cut = KFold(folds, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(LinearRegression(), z, y, cv=cut))


def _squares(y: NDArray[np.float64], told: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squares (N, 2) of what is left to explain and of all there is."""
    return np.stack([np.square(y - told), np.square(y - y.mean())], 1)


def _ratio(squares: NDArray[np.float64]) -> float:
    left, every = squares.sum(0)
    return float(left / every)


def correlation_within(first: Any, second: Any, groups: Any) -> float:
    """Return the average of Spearman's rank correlations of two columns (N,) within groups, by their sizes.

    Groups in which one of them does not vary are left out; NaN where none is left. What groups differ by, such as the
    time that papers have had to be cited, does not count.
    """
    a, b, of = (np.asarray(column) for column in (first, second, groups))
    total, weight = 0.0, 0
    for group in np.unique(of):
        x, y = a[of == group], b[of == group]
        if len(x) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0:
            total, weight = total + len(x) * float(spearmanr(x, y)[0]), weight + len(x)
    return total / weight if weight else float("nan")
