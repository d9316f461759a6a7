"""A partition of codes into clusters, and what says whether there are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.statistic import Statistic

__all__ = ["Clustering"]


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clusters of codes.

    Attributes:
        method: how they were found: kmeans, gmm, hdbscan, spherical or frechet.
        labels: the cluster of each code, the largest first, (N,); -1 of codes in none.
        silhouette: how much nearer codes are to their own cluster than to the next, in the distance of their manifold,
            from -1 to 1; NaN of a single cluster.
        stability: adjusted Rand index with the clusters of resampled codes, 0 by chance and 1 at most; its interval
            holds 95 % of the resamples.
        exemplars: for each cluster the rows of its most central codes, the first the medoid.
        scores: what the number of clusters was chosen by, for each number that was tried.
        criterion: what these are: the silhouette or the Bayesian information criterion, which is lowest for the best;
            empty where the number was given.
        remark: what was done, in a sentence.
        seed: seed of the random numbers.

    """

    method: str
    labels: NDArray[np.int64]
    silhouette: Statistic
    stability: Statistic
    exemplars: tuple[NDArray[np.int64], ...]
    scores: Mapping[int, float]
    criterion: str
    remark: str
    seed: int

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.exemplars)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of codes of each cluster, (k,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.k)

    @property
    def unassigned(self) -> float:
        """Share of codes in no cluster."""
        return float((self.labels < 0).mean())
