r"""Clusters of codes with their number chosen, and with what says whether there are any.

The silhouette of a code is (b - a) / max(a, b), a its average distance to other codes of its cluster, b to those of the
next, in the distance of the manifold. The number of clusters is that of the greatest average silhouette, of a mixture
of Gaussians that of the lowest Bayesian information criterion.

Stability: codes are drawn again with replacement and clustered into as many clusters, all codes are assigned to these,
and the adjusted Rand index of both partitions is 1 where they agree and 0 by chance. HDBSCAN, which takes copies for
density and has no rule for other codes, is given 80 % of them without replacement.

Reference: Rousseeuw, "Silhouettes" (1987); Hennig, "Cluster-wise assessment of cluster stability" (2007); Hubert &
Arabie, "Comparing partitions" (1985).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from lsgen.analysis.clustering.algorithms import ALGORITHMS, Fitted
from lsgen.analysis.clustering.partition import Clustering
from lsgen.analysis.intervals import mean_interval, percentile_interval
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes, Euclidean
from lsgen.latent.distances import distance_on

__all__ = ["find_clusters"]

SILHOUETTE_POINTS, MEDOID_POINTS, EXEMPLARS = 1000, 500, 5
NAMES = {
    "kmeans": "k-means",
    "gmm": "A mixture of Gaussians",
    "hdbscan": "HDBSCAN",
    "spherical": "Spherical k-means",
    "frechet": "Frechet k-means",
}


def find_clusters(
    codes: Codes,
    method: str = "kmeans",
    k: int | None = None,
    *,
    most: int = 10,
    least: int | None = None,
    draws: int = 20,
    points: int = 5000,
    seed: int = 0,
) -> Clustering:
    """Return clusters of codes.

    Args:
        codes: the codes (N, d).
        method: kmeans, gmm, hdbscan, spherical or frechet.
        k: number of clusters; chosen from 2 to `most` unless given. HDBSCAN finds it itself.
        most: the greatest number that is tried.
        least: the smallest cluster of HDBSCAN, in codes; N/100 but at least 5 unless given.
        draws: number of resamples for the stability; 0 for none, which leaves it NaN.
        points: codes that a resample has, and that the number of clusters is chosen by, at most.
        seed: seed of all random numbers.

    Raises:
        ValueError: there are fewer than three different codes, k is greater than their number or given to HDBSCAN,
            there is no such method, or the method cannot take the codes or so few of them.

    """
    if method not in ALGORITHMS:
        raise ValueError(f"expected a method out of {', '.join(ALGORITHMS)}, got {method!r}")
    dense = method == "hdbscan"
    distinct = len(np.unique(codes.z, axis=0))
    if distinct < 3 or (k is not None and (dense or not 1 <= k <= distinct)):
        raise ValueError(
            f"expected at least 3 different codes, and from 1 to {distinct} clusters, none for hdbscan, got {method} "
            f"with {k} of {len(codes)} codes"
        )
    if most < 2 or draws < 0 or points < 10 or (least is not None and (least < 2 or not dense)):
        raise ValueError(
            f"expected most >= 2, draws >= 0, points >= 10 and least >= 2 for hdbscan alone, got {most}, {draws}, "
            f"{points} and {least}"
        )
    random, fit = np.random.default_rng(seed), ALGORITHMS[method]
    scores: dict[int, float] = {}
    if dense:
        k = max(5, len(codes) // 100) if least is None else least
        if k > len(codes):
            raise ValueError(f"expected at least {k} codes, as many as the smallest cluster has, got {len(codes)}")
    elif k is None:
        scores = _tried(codes, method, min(most, distinct - 1), points, random, seed)
        k = min(scores, key=scores.__getitem__) if method == "gmm" else max(scores, key=scores.__getitem__)
    labels = _by_size(fit(codes, k, seed).labels)
    stability = _stability(codes, method, k, labels, min(points, len(codes)), random, draws, seed)
    criterion = "" if not scores else "BIC" if method == "gmm" else "silhouette"
    what = f"with at least {k} codes each" if dense else f"of {k}" + (f", chosen by {criterion}" if criterion else "")
    edge = ", the most that were tried" if k == max(scores, default=0) else ""
    kind = "Euclidean" if isinstance(codes.manifold, Euclidean) else f"those on {codes.manifold}"
    remark = f"{NAMES[method]} {what}{edge}; distances of the silhouette are {kind}."
    rows = random.permutation(len(codes))[:SILHOUETTE_POINTS]
    silhouette = _silhouette(_lengths(codes, rows), labels[rows], seed)
    return Clustering(
        method, labels, silhouette, stability, _exemplars(codes, labels, random), scores, criterion, remark, seed
    )


def _tried(
    codes: Codes, method: str, most: int, points: int, random: np.random.Generator, seed: int
) -> dict[int, float]:
    """Return the score of each number of clusters, of at most so many codes."""
    part = codes if len(codes) <= points else codes.select(np.sort(random.choice(len(codes), points, replace=False)))
    rows = random.permutation(len(part))[:SILHOUETTE_POINTS]
    lengths = _lengths(part, rows)
    scores = {}
    for k in range(2, most + 1):
        found = ALGORITHMS[method](part, k, seed)
        value = _silhouette(lengths, found.labels[rows], seed).value if method != "gmm" else _bic(found, len(codes))
        scores[k] = value if np.isfinite(value) else -1.0
    return scores


def _bic(found: Fitted, n: int) -> float:
    """Return the Bayesian information criterion of n codes, of which those that were fitted are a sample."""
    return found.parameters * float(np.log(n)) - 2 * n * found.likelihood


def _lengths(codes: Codes, rows: NDArray[Any]) -> NDArray[np.float64]:
    distance = distance_on(codes.manifold)
    features = distance.features(codes.tensor()[rows])
    lengths = distance.pairwise(features, features).numpy()
    np.fill_diagonal(lengths, 0)
    return lengths


def _silhouette(lengths: NDArray[np.float64], labels: NDArray[Any], seed: int) -> Statistic:
    """Return the average silhouette of codes in clusters; NaN of fewer than two clusters or as many as codes."""
    inside = labels >= 0
    count = len(np.unique(labels[inside]))
    if not 2 <= count < inside.sum():
        return Statistic(float("nan"), int(inside.sum()), None, 0.0, seed)
    values = silhouette_samples(lengths[np.ix_(inside, inside)], labels[inside], metric="precomputed")
    return Statistic(float(values.mean()), len(values), mean_interval(values, bounds=(-1, 1)), 0.0, seed)


def _stability(
    codes: Codes,
    method: str,
    k: int,
    labels: NDArray[Any],
    size: int,
    random: np.random.Generator,
    draws: int,
    seed: int,
) -> Statistic:
    """Return the adjusted Rand index with clusters of resampled codes."""
    values = []
    for draw in range(draws):
        if method == "hdbscan":
            rows = np.sort(random.choice(len(codes), max(int(0.8 * size), k), replace=False))
            found = ALGORITHMS[method](codes.select(rows), k, seed).labels
            values.append(adjusted_rand_score(labels[rows], found))
            continue
        rows = random.integers(0, len(codes), size)
        part = Codes(codes.z[rows], manifold=codes.manifold)
        if len(np.unique(part.z, axis=0)) < k:
            continue
        assign = ALGORITHMS[method](part, k, seed + draw + 1).assign
        assert assign is not None
        values.append(adjusted_rand_score(labels, assign(codes)))
    if not values:
        return Statistic(float("nan"), 0, None, 0.0, seed)
    return Statistic(float(np.mean(values)), len(values), percentile_interval(np.array(values)), 0.0, seed)


def _by_size(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels 0, 1, ... of clusters from the largest to the smallest; -1 stays."""
    numbers, counts = np.unique(labels[labels >= 0], return_counts=True)
    order = numbers[np.argsort(-counts, kind="stable")]
    place = {int(number): rank for rank, number in enumerate(order)} | {-1: -1}
    return np.array([place[int(label)] for label in labels], dtype=np.int64)


def _exemplars(codes: Codes, labels: NDArray[Any], random: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Return for each cluster the rows with the least average distance to others of it, of at most 500."""
    found = []
    for cluster in range(int(labels.max(initial=-1)) + 1):
        rows = np.flatnonzero(labels == cluster)
        rows = np.sort(random.choice(rows, min(len(rows), MEDOID_POINTS), replace=False))
        order = np.argsort(_lengths(codes, rows).mean(1), kind="stable")
        found.append(rows[order[:EXEMPLARS]])
    return tuple(found)
