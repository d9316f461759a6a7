r"""Algorithms that find clusters of codes.

    k-means      minimise sum_i |v_i - m_c(i)|^2 over centres, in the tangent space at the Frechet mean of all codes,
                 which is flat space itself where the codes lie in one
    GMM          a mixture of Gaussians with full covariances there, by expectation maximisation
    spherical    maximise sum_i cos(z_i, m_c(i)): directions alone count
    Frechet      minimise sum_i dist(z_i, m_c(i))^2 in the distance of the manifold; centres are Frechet means
    HDBSCAN      clusters of density that persist over scales, and codes in none

Reference: Dhillon & Modha, "Concept decompositions for large sparse text data using clustering" (2001), for the
spherical one; Arthur & Vassilvitskii, "k-means++" (2007), for the starts; Campello, Moulavi & Sander, "Density-based
clustering based on hierarchical density estimates" (2013).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans, kmeans_plusplus
from sklearn.mixture import GaussianMixture
from torch import Tensor

from lsgen.analysis.tangents import tangent_space
from lsgen.latent import Codes
from lsgen.latent.distances import CodeDistance, distance_on
from lsgen.latent.manifolds.manifold import Euclidean

__all__ = ["ALGORITHMS", "Fitted"]

ROUNDS, STARTS, LARGEST = 100, 4, 5000


class Fitted(NamedTuple):
    """Clusters of some codes.

    Attributes:
        labels: of each of them, (n,); -1 in none.
        assign: codes (M, d) -> the cluster of each, (M,); None where there is no such rule.
        likelihood: average log-likelihood of a code; NaN where there is none.
        parameters: number of parameters that it was maximised over.

    """

    labels: NDArray[np.int64]
    assign: Callable[[Codes], NDArray[np.int64]] | None
    likelihood: float = float("nan")
    parameters: int = 0


def _k_means(codes: Codes, k: int, seed: int) -> Fitted:
    space = tangent_space(codes)
    model = KMeans(k, n_init=STARTS, random_state=seed).fit(space.vectors(codes.z))
    return Fitted(model.labels_.astype(np.int64), lambda others: model.predict(space.vectors(others.z)))


def _mixture(codes: Codes, k: int, seed: int) -> Fitted:
    space = tangent_space(codes)
    vectors = space.vectors(codes.z)
    scale = float(np.sqrt(np.square(vectors).mean())) or 1.0
    model = GaussianMixture(k, n_init=2, max_iter=300, random_state=seed).fit(vectors / scale)

    def assign(others: Codes) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = model.predict(space.vectors(others.z) / scale)
        return labels

    own = k - 1 + k * codes.dim * (codes.dim + 3) // 2
    return Fitted(assign(codes), assign, float(model.score(vectors / scale)), own)


def _spherical(codes: Codes, k: int, seed: int) -> Fitted:
    unit = _directions(codes)
    random = np.random.default_rng(seed)
    best, score = None, -np.inf
    for _ in range(STARTS):
        centres, _ = kmeans_plusplus(unit, k, random_state=int(random.integers(2**31)))
        labels = np.full(len(unit), -1)
        for _ in range(ROUNDS):
            cosines = unit @ centres.T
            before, labels = labels, cosines.argmax(1)
            if (before == labels).all():
                break
            sums = np.zeros_like(centres)
            np.add.at(sums, labels, unit)
            length = np.linalg.norm(sums, axis=1, keepdims=True)
            lonely = unit[
                np.argsort(cosines.max(1), kind="stable")[:k]
            ]  # an empty cluster starts again where fit is worst
            centres = np.where(length > 1e-12, sums / np.maximum(length, 1e-12), lonely)
        if (total := float((unit @ centres.T).max(1).sum())) > score:
            best, score = centres, total
    assert best is not None
    found = best
    return Fitted((unit @ found.T).argmax(1), lambda others: (_directions(others) @ found.T).argmax(1))


def _frechet(codes: Codes, k: int, seed: int) -> Fitted:
    distance, random = distance_on(codes.manifold), np.random.default_rng(seed)
    features = distance.features(codes.tensor().double())
    best, score = None, np.inf
    for _ in range(STARTS):
        centres, labels = _spread_out(codes, features, distance, k, random), np.full(len(codes), -1)
        for _ in range(ROUNDS):
            lengths = distance.pairwise(features, distance.features(centres)).numpy()
            before, labels = labels, lengths.argmin(1)
            if (before == labels).all():
                break
            far = np.argsort(-lengths.min(1), kind="stable")
            means = []
            for cluster in range(k):
                rows = np.flatnonzero(labels == cluster)
                rows = rows if len(rows) else far[cluster : cluster + 1]
                means.append(tangent_space(codes.select(rows), tol=1e-6).codes(np.zeros((1, codes.dim))))
            centres = torch.from_numpy(np.concatenate(means))
        if (total := float(np.square(lengths.min(1)).sum())) < score:
            best, score = centres, total
    assert best is not None
    found = distance.features(best)

    def assign(others: Codes) -> NDArray[np.int64]:
        asked = distance.features(others.tensor().double())
        return distance.pairwise(asked, found).argmin(1).numpy()

    return Fitted(assign(codes), assign)


def _density(codes: Codes, k: int, seed: int) -> Fitted:
    """Return clusters of at least k codes; there is no other number to give."""
    if isinstance(codes.manifold, Euclidean):
        labels = HDBSCAN(min_cluster_size=k, copy=True).fit_predict(np.asarray(codes.z, dtype=np.float64))
        return Fitted(labels.astype(np.int64), None)
    if len(codes) > LARGEST:
        raise ValueError(f"expected at most {LARGEST} codes on {codes.manifold} for HDBSCAN, got {len(codes)}")
    distance = distance_on(codes.manifold)
    features = distance.features(codes.tensor())
    lengths = distance.pairwise(features, features).numpy()
    labels = HDBSCAN(min_cluster_size=k, metric="precomputed", copy=True).fit_predict((lengths + lengths.T) / 2)
    return Fitted(labels.astype(np.int64), None)


def _directions(codes: Codes) -> NDArray[np.float64]:
    z = np.asarray(codes.z, dtype=np.float64)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    if (length == 0).any():
        raise ValueError("expected codes that have a direction for spherical clusters, got a zero vector")
    unit: NDArray[np.float64] = z / length
    return unit


def _spread_out(codes: Codes, features: Tensor, distance: CodeDistance, k: int, random: np.random.Generator) -> Tensor:
    """Return k codes (k, d), each the best of a few that are drawn by the squared distances to those before."""
    z = codes.tensor().double()
    chosen = [int(random.integers(len(z)))]
    nearest = distance.pairwise(features, features[chosen]).numpy()[:, 0] ** 2
    while len(chosen) < k:
        total = nearest.sum()
        tried = random.choice(len(z), 2 + int(np.log(k)), p=nearest / total if total > 0 else None)
        closer = np.minimum(nearest[:, None], distance.pairwise(features, features[tried]).numpy() ** 2)
        best = int(closer.sum(0).argmin())
        chosen.append(int(tried[best]))
        nearest = closer[:, best]
    return z[chosen]


ALGORITHMS: dict[str, Callable[[Codes, int, int], Fitted]] = {
    "kmeans": _k_means,
    "gmm": _mixture,
    "hdbscan": _density,
    "spherical": _spherical,
    "frechet": _frechet,
}
