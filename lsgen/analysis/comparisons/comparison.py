"""The comparison of two spaces on the items that both have codes of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.comparisons.alignment import (
    debiased_cka,
    linear_cka,
    procrustes_distance,
    rank_correlation,
)
from lsgen.analysis.comparisons.neighbourhoods import chance_jaccard, mean_jaccard
from lsgen.analysis.flat import flat_coordinates
from lsgen.analysis.intervals import group_jackknife
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on

__all__ = ["SpaceComparison", "compare"]

LEAST = 10


@dataclass(frozen=True)
class SpaceComparison:
    """How alike two spaces of the same items are.

    Attributes:
        cka: linear CKA; its baseline is the mean over permutations of the items of one space.
        cka_debiased: CKA of unbiased estimates.
        procrustes: share of variance that is left when one space is turned and scaled onto the other; 0 for spaces of
            one shape.
        rsa: rank correlation of the distances of pairs.
        jaccard: mean overlap of nearest neighbours; its baseline is that of random neighbours.
        p_value: share of permutations, the given order among them, whose CKA is as great.
        ids: the items in common, in the order of the first table, (N,).
        overlap: overlap of the nearest neighbours of each, (N,).
        left_out: items that one space alone has codes of.

    """

    cka: Statistic
    cka_debiased: Statistic
    procrustes: Statistic
    rsa: Statistic
    jaccard: Statistic
    p_value: float
    ids: NDArray[np.generic]
    overlap: NDArray[np.float64]
    left_out: int

    def most_moved(self, n: int = 10) -> NDArray[np.generic]:
        """Return the ids of the n items whose neighbours have changed most, the most changed first."""
        return self.ids[np.argsort(self.overlap, kind="stable")[:n]]


def compare(
    a: Codes, b: Codes, k: int = 10, permutations: int = 199, pairs_of: int = 500, seed: int = 0, level: float = 0.95
) -> SpaceComparison:
    """Compare two spaces on the items in common, by their ids.

    Codes of curved manifolds are taken in the tangent space at their Frechet mean for CKA and Procrustes; neighbours
    and distances are those of the manifold.

    Args:
        a: codes of one space.
        b: codes of another.
        k: number of nearest neighbours.
        permutations: of the items of one space, for the baselines of CKA, Procrustes and RSA.
        pairs_of: number of items whose pairs RSA compares, drawn at random where there are more.
        seed: seed of the permutations, of the items drawn and of the groups that intervals leave out.
        level: coverage of the intervals.

    Raises:
        ValueError: fewer than 10 items, or no more than k, are in common, codes of a space are all equal, or a number
            is out of its range.

    """
    rows, ids = _common(a, b)
    if len(ids) < max(LEAST, k + 1):
        raise ValueError(f"expected {max(LEAST, k + 1)} items in common or more, got {len(ids)}")
    if permutations < 1 or pairs_of < LEAST:
        raise ValueError(f"expected a permutation or more and pairs of {LEAST} items, got {permutations}, {pairs_of}")
    a_rows, b_rows = a.select(rows), b.select(ids=ids)
    rng = np.random.default_rng(seed)
    x, y = flat_coordinates(a_rows), flat_coordinates(b_rows)
    shuffled = [rng.permutation(len(ids)) for _ in range(permutations)]

    def measured(statistic: Callable[..., float]) -> tuple[Statistic, NDArray[np.float64]]:
        interval = group_jackknife(lambda at: statistic(x[at], y[at]), len(ids), rng, level=level, bounds=(-1, 1))
        chance = np.array([statistic(x, y[order]) for order in shuffled])
        return Statistic(statistic(x, y), len(ids), interval, float(chance.mean()), seed, level), chance

    cka, by_chance = measured(linear_cka)
    overlap, spread = mean_jaccard(a_rows, b_rows, k, rng, level=level)
    return SpaceComparison(
        cka,
        measured(debiased_cka)[0],
        measured(procrustes_distance)[0],
        _rsa(a_rows, b_rows, min(pairs_of, len(ids)), permutations, rng, seed, level),
        Statistic(float(overlap.mean()), len(ids), spread, chance_jaccard(len(ids), k), seed, level),
        float((1 + (by_chance >= cka.value * (1 - 1e-12)).sum()) / (1 + permutations)),
        ids,
        overlap,
        len(a) + len(b) - 2 * len(ids),
    )


def _rsa(
    a: Codes, b: Codes, items: int, permutations: int, rng: np.random.Generator, seed: int, level: float
) -> Statistic:
    """Return the rank correlation of the distances of pairs of some items."""
    rows = np.sort(rng.permutation(len(a))[:items])
    tables = []
    for codes in (a, b):
        distance = distance_on(codes.manifold)
        features = distance.features(codes.tensor()[rows].double())
        tables.append(distance.pairwise(features, features).numpy())

    def correlation(at: NDArray[np.int64], others: NDArray[np.int64]) -> float:
        low, high = np.triu_indices(len(at), 1)
        return rank_correlation(tables[0][at[low], at[high]], tables[1][others[low], others[high]])

    every = np.arange(items)
    chance = np.mean([correlation(every, rng.permutation(items)) for _ in range(min(permutations, 20))])
    interval = group_jackknife(lambda at: correlation(at, at), items, rng, level=level, bounds=(-1, 1))
    return Statistic(correlation(every, every), items * (items - 1) // 2, interval, float(chance), seed, level)


def _common(a: Codes, b: Codes) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """Return the rows of the first table whose items the second has, and their ids."""
    others = set(b.ids.tolist())
    rows = np.array([row for row, name in enumerate(a.ids.tolist()) if name in others], dtype=np.int64)
    return rows, a.ids[rows]
