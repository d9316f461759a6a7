r"""How much of the neighbourhoods of codes a map keeps, in all and at every code.

Of N codes, with the k nearest of each code i on the map, U_i, and in the space of codes, V_i, and with r_ij the rank of
j among the codes by their distance from i in the space, q_ij that on the map,

    trustworthiness   T_i = 1 - 2 / (k (2N - 3k - 1)) sum_{j in U_i} max(0, r_ij - k)       are neighbours on it true?
    continuity        C_i = 1 - 2 / (k (2N - 3k - 1)) sum_{j in V_i} max(0, q_ij - k)       are true neighbours on it?
    overlap           |U_i & V_i| / k

whose averages over codes are those of the map. Distances in the space are the manifold's own. Ranks count only codes
that are nearer by more than rounding, so that ties, as of duplicates, are in favour of the map.

A map that knows nothing has T = C = 1 - (N - 1 - k) (N - k) / ((N - 1) (2N - 3k - 1)), about 1/2, and an overlap of
k / (N - 1). Fourth is Spearman's correlation of the distances of pairs of codes.

Reference: Venna & Kaski, "Neighborhood preservation in nonlinear projection methods" (2001),
https://doi.org/10.1007/3-540-44668-0_68; Lee & Verleysen, "Quality assessment of dimensionality reduction" (2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from lsgen.analysis.intervals import mean_interval, percentile_interval
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes
from lsgen.latent.distances import ChordDistance, CodeDistance, EuclideanDistance, distance_on
from lsgen.latent.neighbours import nearest_neighbours, without_own

__all__ = ["Faithfulness", "measure_faithfulness"]

Rows = NDArray[np.int64]
ENTRIES, LANDMARKS, RESAMPLES, K = 2**20, 256, 200, 15


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How much of the neighbourhoods of codes a map keeps, in all and at every code.

    Intervals are those of averages over codes that are drawn independently of each other; the map is taken as given.

    Attributes:
        k: number of neighbours.
        trustworthiness: are neighbours on the map neighbours in the space?
        continuity: are neighbours in the space neighbours on the map?
        overlap: share of the neighbours on the map that are among the nearest in the space.
        distances: Spearman's correlation of distances; NaN where all are equal.
        trustworthiness_at: of each code, (N,); NaN where it was not measured.
        continuity_at: of each code, (N,); NaN where it was not measured.
        overlap_at: of each code, (N,); NaN where it was not measured.
        distances_at: correlation of the distances from each code to up to 256 others, (N,); NaN where all are equal.

    """

    k: int
    trustworthiness: Statistic
    continuity: Statistic
    overlap: Statistic
    distances: Statistic
    trustworthiness_at: NDArray[np.float64]
    continuity_at: NDArray[np.float64]
    overlap_at: NDArray[np.float64]
    distances_at: NDArray[np.float64]


def measure_faithfulness(
    codes: Codes, coordinates: Any, k: int | None = None, points: int = 5000, seed: int = 0
) -> Faithfulness:
    """Return how much of the neighbourhoods of codes a map keeps.

    Args:
        codes: the codes, N > 2 of them.
        coordinates: their coordinates on the map, (N, m).
        k: number of neighbours, below N / 2; 15 unless given, or as many as there can be.
        points: number of codes at which it is measured, drawn at random where there are more; all codes are always
            among those that can be neighbours.
        seed: seed of that draw, and of pairs whose distances are compared.

    Raises:
        ValueError: there are fewer than 3 codes, coordinates are not finite or of another number, or k is out of range.

    """
    x = np.asarray(coordinates, dtype=np.float64).copy()
    n = len(codes)
    if x.ndim != 2 or len(x) != n or not np.isfinite(x).all():
        raise ValueError(f"expected finite coordinates of {n} codes, got shape {x.shape}")
    if n < 3:
        raise ValueError(f"expected at least 3 codes to tell neighbours from others, got {n}")
    most = (n - 1) // 2
    k = min(K, most) if k is None else k
    if not 1 <= k <= most or points < 2:
        raise ValueError(f"expected 1 to {most} neighbours of {n} codes at 2 points or more, got {k} at {points}")
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(n, points, replace=False)) if points < n else np.arange(n)
    spaces = [_Space(codes.tensor(), distance_on(codes.manifold)), _Space(torch.from_numpy(x), EuclideanDistance())]
    near = [space.nearest(rows, k) for space in spaces]
    wrong = [space.ranks(rows, other) - k for space, other in zip(spaces, reversed(near), strict=True)]
    most_wrong = k * (2 * n - 3 * k - 1) / 2
    kept = [1 - np.maximum(over, 0).sum(1) / most_wrong for over in wrong]
    overlap = (wrong[0] <= 0).mean(1)
    chance = 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1))
    drawn = seed if points < n else None
    landmarks = np.sort(random.choice(n, min(n, LANDMARKS), replace=False))
    return Faithfulness(
        k,
        _average(kept[0], chance, drawn),
        _average(kept[1], chance, drawn),
        _average(overlap, k / (n - 1), drawn),
        _correlation(spaces, landmarks, random, seed),
        _everywhere(kept[0], rows, n),
        _everywhere(kept[1], rows, n),
        _everywhere(overlap, rows, n),
        _correlations(spaces, landmarks, n),
    )


class _Space:
    """Codes and a distance of which the order of squares is found by matrix products."""

    def __init__(self, z: Tensor, distance: CodeDistance) -> None:
        self.z, self.distance, self.features = z, distance, distance.features(z).double()
        self.weights: Tensor | None = None
        self.ends: Tensor | None = None
        if isinstance(distance, ChordDistance):
            ends, weights = distance.chord(self.features)
            ends = ends - ends.mean(0)
            scale = ends.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
            self.ends, self.weights = ends / scale, weights
            self.square = self.ends.square().sum(1)

    def nearest(self, rows: Rows, k: int) -> NDArray[Any]:
        """Return the k nearest neighbours of rows, (m, k)."""
        if len(rows) == len(self.z):
            return nearest_neighbours(self.z, None, k, self.distance).indices.numpy()
        own = torch.from_numpy(rows)
        return without_own(nearest_neighbours(self.z[own], self.z, k + 1, self.distance).indices, own).numpy()

    def ranks(self, rows: Rows, others: NDArray[Any]) -> NDArray[Any]:
        """Return one more than the number of codes that are nearer to rows (m,) than others (m, k) are, (m, k)."""
        size = max(1, ENTRIES // (len(self.z) * (1 if self.ends is not None else self.features.shape[1])))
        parts = [self._ranks(rows[i : i + size], others[i : i + size]) for i in range(0, len(rows), size)]
        return np.concatenate(parts)

    def _ranks(self, rows: Rows, others: NDArray[Any]) -> NDArray[Any]:
        own, index = torch.from_numpy(rows), torch.from_numpy(others)
        length, slack = self._order(own)
        limits = length.gather(1, index) - 2 * slack
        length[torch.arange(len(rows)), own] = torch.inf
        nearer = [torch.count_nonzero(length < limit[:, None], 1) for limit in limits.T]
        return 1 + torch.stack(nearer, 1).numpy()

    def _order(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers in the order of the distances from rows to all codes, (m, N), and their rounding (m, 1)."""
        eps = torch.finfo(torch.float64).eps
        if self.ends is None:
            length = self.between(own, torch.arange(len(self.z)))
            return length, 16 * eps * length.amax(1, keepdim=True)
        square = self.square[own, None] + self.square - 2 * self.ends[own] @ self.ends.T
        bound = 2 * (self.ends.shape[1] + 16) * eps * (self.square[own, None] + self.square.max())
        if self.weights is None:
            return square, bound
        return square * self.weights, bound * self.weights.max()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (m, n) of all pairs of two sets of rows."""
        return self.distance.pairwise(self.features[a], self.features[b])


def _average(values: NDArray[Any], chance: float, seed: int | None) -> Statistic:
    return Statistic(float(values.mean()), len(values), mean_interval(values, bounds=(0, 1)), chance, seed)


def _everywhere(values: NDArray[Any], rows: Rows, n: int) -> NDArray[np.float64]:
    full = np.full(n, np.nan)
    full[rows] = values
    return full


def _correlation(spaces: list[_Space], rows: Rows, random: np.random.Generator, seed: int) -> Statistic:
    """Return Spearman's correlation of the distances of all pairs of some codes; its interval by drawing codes anew."""
    m, own = len(rows), torch.from_numpy(rows)
    upper = np.triu_indices(m, 1)
    matrices = []
    for space in spaces:
        ranks = rankdata(_rounded(space.between(own, own).numpy()[upper]))
        full = np.zeros((m, m))
        full[upper] = ranks - ranks.mean()
        matrices.append(full + full.T)
    a, b = matrices
    pairs = 1 - np.eye(m)
    weights = np.vstack([np.ones((1, m)), random.multinomial(m, np.full(m, 1 / m), size=RESAMPLES)])

    def total(matrix: NDArray[Any]) -> NDArray[Any]:
        return ((weights @ matrix) * weights).sum(1) / np.maximum(((weights @ pairs) * weights).sum(1), 1)

    covariance = total(a * b) - total(a) * total(b)
    spread = (total(a * a) - total(a) ** 2) * (total(b * b) - total(b) ** 2)
    drawn = np.divide(covariance, np.sqrt(np.maximum(spread, 0)), out=np.full(len(spread), np.nan), where=spread > 1e-9)
    return Statistic(float(drawn[0]), m, percentile_interval(drawn[1:]), 0.0, seed)


def _correlations(spaces: list[_Space], landmarks: Rows, n: int) -> NDArray[np.float64]:
    """Return Spearman's correlation of the distances from each code to some codes, (N,)."""
    found, to = [], torch.from_numpy(landmarks)
    for rows in torch.arange(n).split(max(1, ENTRIES // (len(landmarks) * spaces[0].features.shape[1]))):
        a, b = (rankdata(_rounded(space.between(rows, to).numpy()), axis=1) for space in spaces)
        mask = rows.numpy()[:, None] != landmarks
        a, b = (np.where(mask, r - r.mean(1, where=mask, keepdims=True), 0) for r in (a, b))
        spread = np.sqrt((a * a).sum(1) * (b * b).sum(1))
        found.append(np.divide((a * b).sum(1), spread, out=np.full(len(spread), np.nan), where=spread > 0))
    return np.concatenate(found)


def _rounded(x: NDArray[Any]) -> NDArray[Any]:
    """Return lengths of which those that differ by rounding alone are equal."""
    scale = x.max(initial=0.0)
    return np.round(x / scale, 12) if scale > 0 else x
