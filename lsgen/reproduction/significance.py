r"""Tests of inequalities between runs.

For runs with seeds s = 1 ... n and differences d_s = larger_s - smaller_s - margin, paired by seed:

seeds: the exact sign-flip test. If there is no difference, each d_s is as likely as -d_s, and

    p = #{σ ∈ {-1, 1}ⁿ : Σ σ_s d_s ≥ Σ d_s} / 2ⁿ

is the one-sided probability of a sum as great. It is at least 2⁻ⁿ: three seeds reach 12.5 %, five 3.1 %.
[Fisher, R. A. (1935). The Design of Experiments, section 21.]

seeds_and_items: values x_{s,i} of test items i = 1 ... m. Seeds and items are drawn with replacement, the items the
same for all seeds and both sides, and p = (1 + #{draws in which the inequality fails}) / (1 + draws). [Owen, A. B.
(2007). The pigeonhole bootstrap, Annals of Applied Statistics 1(2).]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "STATISTICS", "pigeonhole_bootstrap", "sign_flip"]

LEVEL = 0.05

_DRAWS = 2000
_EXACT = 16  # seeds of which all signs are counted
_CHUNK = 2**22
_shares: dict[tuple[object, ...], float] = {}  # that were drawn in this process: pages show a claim in several places

Floats = NDArray[np.float64]


def sign_flip(differences: Sequence[float]) -> float:
    """Return the one-sided probability of differences as great if their signs were random.

    Args:
        differences: one a seed, with the margin taken off.

    Raises:
        ValueError: there is none, there are more than 16, or one is not finite.

    Example:
        >>> sign_flip([1.0, 2.0, 0.5])
        0.125

    """
    d = np.asarray(differences, dtype=np.float64)
    if not 1 <= d.size <= _EXACT or not np.isfinite(d).all():
        raise ValueError(f"expected between 1 and {_EXACT} finite differences, got {d.tolist()}")
    sums = np.array(list(product((-1.0, 1.0), repeat=d.size))) @ d
    return float(np.mean(sums >= d.sum() - 1e-12 * np.abs(d).sum()))


def _mean(x: Floats) -> Floats:
    found: Floats = x.mean(axis=(-2, -1))
    return found


def _coefficient_of_variation(x: Floats) -> Floats:
    """Return the mean over items of standard deviation over mean, of the seeds."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (x.std(axis=-2, ddof=1) / x.mean(axis=-2)).mean(axis=-1)
    return found


STATISTICS: dict[str, Callable[[Floats], Floats]] = {
    "mean": _mean,
    "coefficient_of_variation": _coefficient_of_variation,
}


def pigeonhole_bootstrap(
    smaller: NDArray[np.floating] | float,
    larger: NDArray[np.floating] | float,
    margin: float,
    statistic: str = "mean",
) -> float:
    """Return the share of draws of seeds and items in which larger - smaller does not exceed the margin.

    Args:
        smaller: values (seeds, items), or a number that the statistic of the other side is compared with.
        larger: the same, of the same seeds and items.
        margin: of the inequality.
        statistic: "mean" or "coefficient_of_variation".

    Raises:
        ValueError: the shapes differ or are not (seeds, items), there are fewer than 2 seeds, or one is not finite.

    """
    sides = [np.asarray(side, dtype=np.float64) for side in (smaller, larger)]
    shapes = [side.shape for side in sides if side.ndim]
    if not shapes or len(set(shapes)) > 1 or len(shapes[0]) != 2 or shapes[0][0] < 2 or shapes[0][1] < 1:
        raise ValueError(f"expected arrays (at least 2 seeds, items) of one shape, got shapes {shapes}")
    if not all(np.isfinite(side).all() for side in sides):
        raise ValueError("expected finite values of all items, got NaN or infinity")
    said = tuple(blake2b(side.tobytes()).digest() if side.ndim else float(side) for side in sides)
    if (key := (said, shapes[0], margin, statistic)) not in _shares:
        _shares[key] = _share_of_draws(sides, shapes[0], margin, STATISTICS[statistic])
    return _shares[key]


def _share_of_draws(
    sides: Sequence[Floats], shape: tuple[int, ...], margin: float, statistic: Callable[[Floats], Floats]
) -> float:
    random, (n, m) = np.random.default_rng(0), shape
    failed, chunk = 0, max(1, _CHUNK // (n * m))
    for start in range(0, _DRAWS, chunk):
        count = min(chunk, _DRAWS - start)
        seeds = random.integers(n, size=(count, n))[:, :, None]
        items = random.integers(m, size=(count, m))[:, None, :]
        low, high = (statistic(side[seeds, items]) if side.ndim else side for side in sides)
        failed += int(np.sum(~(high - low > margin)))
    return (1 + failed) / (1 + _DRAWS)
