r"""How much a map depends on its random numbers: maps of several seeds, laid over each other.

Maps X and Y, centred and of Frobenius norm 1, agree as well as the best rotation, reflection and scaling of one leaves
to the other:

    R^2(X, Y) = (sum of the singular values of X^T Y)^2,    from 0 to 1; 1 - R^2 is Procrustes' disparity

Its average over all pairs of maps has an interval by the jackknife over maps, of which it takes three. By chance it is
that of maps whose codes were permuted.

Reference: Gower, "Generalized Procrustes analysis" (1975), https://doi.org/10.1007/BF02291478.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.intervals import group_jackknife
from lsgen.analysis.statistic import Statistic

__all__ = ["MapStability", "map_stability"]


@dataclass(frozen=True, eq=False)
class MapStability:
    """How well maps of the same codes agree.

    Attributes:
        agreement: average R^2 of pairs of maps, from 0 to 1, with its interval over maps.
        shift_at: how far each code moves between two maps that are laid over each other, on average over pairs, over
            the root mean square distance of codes from the middle of the map, (N,).

    """

    agreement: Statistic
    shift_at: NDArray[np.float64]


def map_stability(maps: Sequence[Any], seed: int = 0) -> MapStability:
    """Return how well maps of the same codes agree, such as those of several seeds.

    Args:
        maps: coordinates (N, m) of the same codes in the same order, at least two of them.
        seed: seed of the permutations that give the level of chance.

    Raises:
        ValueError: there are fewer than two maps, of different shapes, with fewer than two codes, not finite, or a map
            has all codes at one point.

    """
    arrays = [np.asarray(one, dtype=np.float64) for one in maps]
    shapes = {one.shape for one in arrays}
    if len(arrays) < 2 or len(shapes) > 1 or arrays[0].ndim != 2 or len(arrays[0]) < 2:
        raise ValueError(f"expected two maps or more of the same two codes or more, got {len(arrays)} of {shapes}")
    scaled = [_standard(one) for one in arrays]
    pairs = list(combinations(range(len(scaled)), 2))
    found = [_overlaid(scaled[a], scaled[b]) for a, b in pairs]
    values = np.array([value for value, _ in found])
    random = np.random.default_rng(seed)
    chance = [_overlaid(scaled[a], random.permutation(scaled[b]))[0] for a, b in pairs]

    def average(kept: NDArray[np.int64]) -> float:
        return float(values[[a in kept and b in kept for a, b in pairs]].mean())

    m = len(scaled)
    interval = group_jackknife(average, m, random, m, bounds=(0, 1)) if m > 2 else None
    statistic = Statistic(float(values.mean()), m, interval, float(np.mean(chance)), seed)
    return MapStability(statistic, np.mean([shift for _, shift in found], axis=0))


def _standard(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map with its middle at 0 and the root mean square distance 1 from it."""
    x = x - x.mean(0)
    radius = float(np.sqrt(np.square(x).sum(1).mean()))
    if not np.isfinite(radius) or radius == 0:
        raise ValueError("expected maps of finite coordinates with codes at more than one point, got another")
    return x / radius


def _overlaid(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return R^2 of two maps, and how far each code is from itself once they are laid over each other."""
    u, s, v = np.linalg.svd(y.T @ x / len(x))
    r = min(float(s.sum()), 1.0)
    return r * r, np.linalg.norm(x - y @ (u @ v), axis=1)
