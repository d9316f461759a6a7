r"""Hubs: codes that are among the nearest neighbours of very many others.

With N_k(i) the number of codes of which i is one of the k nearest neighbours, hubness is the skewness of N_k,

    S = average of (N_k - k)^3 / sd(N_k)^3

and the share of codes that are nobody's neighbour. By chance, if every code had k random neighbours, N_k would be
binomial, with S = (1 - 2p) / sqrt((N - 1) p (1 - p)), p = k / (N - 1), and a share (1 - p)^(N - 1) of no neighbours.

Reference: Radovanovic, Nanopoulos & Ivanovic, "Hubs in space" (2010), https://jmlr.org/papers/v11/radovanovic10a.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.intervals import percentile_interval, share_interval
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["Hubness", "hubness"]

DRAWS = 200


@dataclass(frozen=True, eq=False)
class Hubness:
    """How unevenly codes are neighbours of others.

    Attributes:
        k: number of neighbours.
        skewness: of the numbers of occurrences; NaN where all are equal.
        orphans: share of codes that are nobody's neighbour.
        occurrences: how many codes have each as a neighbour, (N,).

    """

    k: int
    skewness: Statistic
    orphans: Statistic
    occurrences: NDArray[np.int64]

    def hubs(self, count: int = 10) -> NDArray[np.int64]:
        """Return the rows of the codes with the most occurrences, the greatest hub first."""
        return np.argsort(-self.occurrences, kind="stable")[:count]


def hubness(codes: Codes, k: int = 10, seed: int = 0) -> Hubness:
    """Return how unevenly codes are neighbours of others, in the distance of their manifold.

    Args:
        codes: the codes (N, d).
        k: number of neighbours, below N - 1.
        seed: seed of the bootstrap over codes.

    Raises:
        ValueError: there are too few codes.

    """
    n = len(codes)
    if not 1 <= k < n - 1:
        raise ValueError(f"expected 1 to {n - 2} neighbours of {n} codes, got {k}")
    indices = nearest_neighbours(codes.tensor(), None, k, distance_on(codes.manifold)).indices.numpy()
    counts = np.bincount(indices.ravel(), minlength=n)
    random, p = np.random.default_rng(seed), k / (n - 1)
    drawn = np.array([_skewness(counts[random.integers(0, n, n)]) for _ in range(DRAWS)])
    chance = (1 - 2 * p) / ((n - 1) * p * (1 - p)) ** 0.5
    alone = int((counts == 0).sum())
    return Hubness(
        k,
        Statistic(_skewness(counts), n, percentile_interval(drawn), chance, seed),
        Statistic(alone / n, n, share_interval(alone, n), (1 - p) ** (n - 1)),
        counts,
    )


def _skewness(counts: NDArray[Any]) -> float:
    centred = counts - counts.mean()
    variance = np.square(centred).mean()
    return float((centred**3).mean() / variance**1.5) if variance > 0 else float("nan")
