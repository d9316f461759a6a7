r"""How far two spaces of the same items agree on who is near whom.

    J_i = |A_i intersection B_i| / |A_i union B_i|

for the k nearest neighbours A_i and B_i of item i. Two sets drawn at random from the N - 1 others share h of them with
the hypergeometric probability, so that chance gives sum_h P(h) h / (2k - h).

Reference: Jaccard (1912); Boggust, Carter & Satyanarayan, "Embedding Comparator" (2022),
https://arxiv.org/abs/1912.04853, for the comparison of neighbourhoods.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from lsgen.analysis.intervals import group_jackknife
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["chance_jaccard", "mean_jaccard", "neighbour_jaccard"]


def neighbour_jaccard(a: Codes, b: Codes, k: int = 10) -> NDArray[np.float64]:
    """Return for every item the overlap of its k nearest neighbours in two spaces, from 0 to 1, (N,).

    Args:
        a: codes of the items.
        b: other codes of the same items, in the same order.
        k: number of neighbours; of items at equal distances the first are taken.

    Raises:
        ValueError: the tables are of other items, or there are no k neighbours.

    """
    return _overlap(_near(a, b, k), k)


def mean_jaccard(
    a: Codes, b: Codes, k: int, rng: np.random.Generator, groups: int = 20, level: float = 0.95
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the overlap of every item, (N,), and the interval of their mean.

    Items have neighbours in common, so the groups that the jackknife leaves out are left out as neighbours too.

    Args:
        a: codes of the items.
        b: other codes of the same items, in the same order.
        k: number of neighbours.
        rng: draws the groups.
        groups: number of groups.
        level: coverage of the interval.

    Raises:
        ValueError: see `neighbour_jaccard`.

    """
    n = len(a)
    deep = min(n - 1, 2 * k + 20)
    near = _near(a, b, deep)
    fewest = max(1, min(k, n - 1 - -(-n // min(groups, n))))

    def mean_of(rows: NDArray[np.int64]) -> float:
        kept = np.zeros(n, dtype=bool)
        kept[rows] = True
        lists = [table[rows] for table in near]
        orders = [np.argsort(~kept[table], axis=1, kind="stable")[:, :fewest] for table in lists]
        return float(_overlap([np.take_along_axis(t, o, 1) for t, o in zip(lists, orders, strict=True)], fewest).mean())

    interval = group_jackknife(mean_of, n, rng, groups, level)
    overlap = _overlap([table[:, :k] for table in near], k)
    shift = float(overlap.mean()) - mean_of(np.arange(n))
    return overlap, (max(0.0, interval[0] + shift), min(1.0, interval[1] + shift))


def chance_jaccard(n: int, k: int) -> float:
    """Return the expected overlap of two sets of k items that are drawn from n - 1 without regard to one another."""
    shared = np.arange(k + 1)
    return float((hypergeom.pmf(shared, n - 1, k, k) * shared / (2 * k - shared)).sum())


def _near(a: Codes, b: Codes, k: int) -> list[NDArray[np.int64]]:
    """Return the k nearest neighbours of every item in two spaces, (N, k) each."""
    if not np.array_equal(a.ids, b.ids):
        raise ValueError("expected codes of the same items in the same order, got others")
    found = [nearest_neighbours(part.tensor().double(), None, k, distance_on(part.manifold)) for part in (a, b)]
    return [one.indices.numpy() for one in found]


def _overlap(near: Sequence[NDArray[np.int64]], k: int) -> NDArray[np.float64]:
    shared = (near[0][:, :, None] == near[1][:, None, :]).sum((1, 2))
    overlap: NDArray[np.float64] = shared / (2 * k - shared)
    return overlap
