r"""How far two spaces of the same items agree on who is near whom.

    J_i = |A_i intersection B_i| / |A_i union B_i|

for the k nearest neighbours A_i and B_i of item i. Two sets drawn at random from the N - 1 others share h of them with
the hypergeometric probability, so that chance gives sum_h P(h) h / (2k - h).

Reference: Jaccard (1912); Boggust, Carter & Satyanarayan, "Embedding Comparator" (2022),
https://arxiv.org/abs/1912.04853, for the comparison of neighbourhoods.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["chance_jaccard", "neighbour_jaccard"]


def neighbour_jaccard(a: Codes, b: Codes, k: int = 10) -> NDArray[np.float64]:
    """Return for every item the overlap of its k nearest neighbours in two spaces, from 0 to 1, (N,).

    Args:
        a: codes of the items.
        b: other codes of the same items, in the same order.
        k: number of neighbours; of items at equal distances the first are taken.

    Raises:
        ValueError: the tables are of other items, or there are no k neighbours.

    """
    if not np.array_equal(a.ids, b.ids):
        raise ValueError("expected codes of the same items in the same order, got others")
    near = [nearest_neighbours(part.tensor().double(), None, k, distance_on(part.manifold)).indices for part in (a, b)]
    shared = (near[0][:, :, None] == near[1][:, None, :]).sum((1, 2)).numpy()
    overlap: NDArray[np.float64] = shared / (2 * k - shared)
    return overlap


def chance_jaccard(n: int, k: int) -> float:
    """Return the expected overlap of two sets of k items that are drawn from n - 1 without regard to one another."""
    shared = np.arange(k + 1)
    return float((hypergeom.pmf(shared, n - 1, k, k) * shared / (2 * k - shared)).sum())
