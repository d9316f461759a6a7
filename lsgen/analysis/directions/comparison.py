r"""Do two attributes change along the same direction? Cosines of directions, corrected for their noise.

Noise makes two estimates of one direction look different: their cosine is about sqrt(rho_i rho_j) times that of the
true ones. With contributions g_u of units to the noise (`lsgen.analysis.directions.noise`), the estimate is

    c_ij = s_ij / sqrt(s_ii s_jj),    s_ij = D_i . D_j - sum_u g_iu . g_ju,    s_ii = rho_i |D_i|^2

so that codes which two directions share, whose noise they share too, make them no more alike: without any it is the
cosine over sqrt(rho_i rho_j). Pairs are taken for the same if their first rows are. The variance is that of the
infinitesimal jackknife over units,

    sum_u (psi_u)^2,    psi_u = psi_u(s_ij) / sqrt(s_ii s_jj) - (c_ij / 2) (psi_u(s_ii) / s_ii + psi_u(s_jj) / s_jj),
    psi_u(s_ij) = g_iu . D_j + D_i . g_ju

Reference: Spearman, "The proof and measurement of association between two things" (1904), for the correction; Efron &
Stein, "The jackknife estimate of variance" (1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from lsgen.analysis.directions.attributes import contributions_of
from lsgen.analysis.directions.direction import Direction
from lsgen.analysis.directions.noise import Contributions
from lsgen.analysis.tangents import common_space
from lsgen.latent import Codes

__all__ = ["DirectionComparison", "compare_directions"]


@dataclass(frozen=True, eq=False)
class DirectionComparison:
    """Cosines between directions.

    Attributes:
        names: of the directions, (m,).
        cosines: as they are, (m, m).
        corrected: for noise, (m, m), between -1 and 1; NaN where a direction is not told from noise (rho = 0).
        intervals: of the corrected, (m, m, 2).
        shared: number of codes that two directions were both found from, (m, m).
        level: coverage of the intervals.

    """

    names: tuple[str, ...]
    cosines: NDArray[np.float64]
    corrected: NDArray[np.float64]
    intervals: NDArray[np.float64]
    shared: NDArray[np.int64]
    level: float = 0.95


def compare_directions(codes: Codes, directions: Sequence[Direction], level: float = 0.95) -> DirectionComparison:
    """Return the cosines between directions of one table of codes, corrected for noise.

    Args:
        codes: the codes that they were found from.
        directions: at least two, in one tangent space.
        level: coverage of the intervals.

    Raises:
        ValueError: there are fewer than two directions, or they lie in different tangent spaces.

    """
    if len(directions) < 2:
        raise ValueError(f"expected at least 2 directions, got {len(directions)}")
    vectors = common_space([one.space for one in directions]).vectors(codes.z)
    m = len(directions)
    found = [contributions_of(vectors, one) for one in directions]
    units = [_named(one) for one in directions]
    cosines, corrected, shared = np.eye(m), np.eye(m), np.zeros((m, m), dtype=np.int64)
    intervals = np.ones((m, m, 2))
    for i in range(m):
        for j in range(i, m):
            cosines[i, j] = cosines[j, i] = float(directions[i].unit @ directions[j].unit)
            shared[i, j] = shared[j, i] = len(np.intersect1d(directions[i].rows, directions[j].rows))
            value, low, high = _corrected(found[i], found[j], units[i], units[j], level)
            if i == j:
                value, low, high = (1.0, 1.0, 1.0) if np.isfinite(value) else (value, low, high)
            corrected[i, j] = corrected[j, i] = value
            intervals[i, j] = intervals[j, i] = low, high
    return DirectionComparison(tuple(one.name for one in directions), cosines, corrected, intervals, shared, level)


def _named(direction: Direction) -> NDArray[np.int64]:
    """Return a number of each unit that other directions of the table share: its first code."""
    rows = direction.rows if direction.rows.ndim == 1 else direction.rows.min(1)
    numbers, place = np.unique(direction.units, return_inverse=True)
    first = np.full(len(numbers), np.iinfo(np.int64).max)
    np.minimum.at(first, place, rows)
    return first


def _corrected(
    a: Contributions, b: Contributions, of_a: NDArray[Any], of_b: NDArray[Any], level: float
) -> tuple[float, float, float]:
    """Return the corrected cosine and the two ends of its interval, NaN where there is none."""
    own = [float(one.vector @ one.vector) - one.noise for one in (a, b)]
    if not all(np.isfinite(s) and s > 0 for s in own):
        return float("nan"), float("nan"), float("nan")
    numbers = np.union1d(of_a, of_b)
    parts = []
    for one, units in ((a, of_a), (b, of_b)):
        full = np.zeros((len(numbers), len(one.vector)))
        full[np.searchsorted(numbers, units)] = one.parts
        parts.append(full)
    inner = float(a.vector @ b.vector - (parts[0] * parts[1]).sum())
    scale = own[0] ** 0.5 * own[1] ** 0.5
    value = inner / scale
    psi = (parts[0] @ b.vector + parts[1] @ a.vector) / scale
    psi -= value * (parts[0] @ a.vector / own[0] + parts[1] @ b.vector / own[1])
    half = float(ndtri((1 + level) / 2) * np.sqrt(np.square(psi).sum()))
    low, value, high = np.clip([value - half, value, value + half], -1, 1)
    return float(value), float(low), float(high)
