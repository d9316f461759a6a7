r"""K-means whose centres are codes, from the distances between all of them.

    minimise  sum_i min_k d(m_k, x_i)^2    over m_1, ..., m_K among the codes

The Frechet mean of a cluster is sought among its codes alone, so that a matrix of distances is all that is needed: for
thousands of codes that of `graph_distances`, where `kmeans` takes geodesics from every centre to every code in every
iteration. Lloyd's algorithm with the seeding of k-means++; of several restarts the best is kept.

Reference: Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding" (2007); Kaufman & Rousseeuw,
"Clustering by means of medoids" (1987), there with distances that are not squared.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["KMedoids", "kmedoids"]


class KMedoids(NamedTuple):
    """Central codes and labels of the best restart.

    Attributes:
        medoids: the numbers of the codes that are centres (K,).
        labels: the number of each code's centre (n,), the first of the nearest; -1 where all are infinitely far.
        inertia: sum over codes of the squared distance to the nearest centre.
        converged: whether the centres had settled.

    """

    medoids: Tensor
    labels: Tensor
    inertia: float
    converged: bool


def kmedoids(
    distances: Tensor,
    clusters: int,
    *,
    restarts: int = 8,
    max_iterations: int = 100,
    generator: torch.Generator | None = None,
) -> KMedoids:
    r"""Return clusters of codes, each around one of them.

        minimise  sum_i min_k d(m_k, x_i)^2

    Args:
        distances: between all codes (n, n), such as `graph_distances` returns; inf where no path joins two codes.
        clusters: number K of centres.
        restarts: number of seedings, of which the best result is kept.
        max_iterations: bound on the iterations of each restart.
        generator: source of the seeding.

    Returns:
        KMedoids(medoids (K,), labels (n,), inertia, converged).

    Raises:
        ValueError: distances are not (n, n), negative or NaN, clusters are outside 1, ..., n, or there is no restart.

    """
    n = len(distances)
    if distances.shape != (n, n) or not distances.is_floating_point() or not bool((distances >= 0).all()):
        raise ValueError(f"expected distances (n, n) of at least 0, got {distances.dtype} {tuple(distances.shape)}")
    if not 1 <= clusters <= n:
        raise ValueError(f"expected a number of clusters from 1 to {n}, got {clusters}")
    if restarts < 1:
        raise ValueError(f"expected at least 1 restart, got {restarts}")
    square = distances.detach().double().square()
    runs = [_lloyd(square, _seeded(square, clusters, generator), max_iterations) for _ in range(restarts)]
    return min(runs, key=lambda run: run.inertia)


def _seeded(square: Tensor, clusters: int, generator: torch.Generator | None) -> Tensor:
    """Return codes (K,), each drawn with probability proportional to the squared distance from those before it.

    Codes out of reach come first.
    """
    nearest, chosen = torch.full_like(square[0], torch.inf), list[Tensor]()
    for _ in range(clusters):
        lost = torch.isinf(nearest)
        weights = lost.to(square) if bool(lost.any()) else nearest
        weights = weights if bool((weights > 0).any()) else torch.ones_like(weights)
        chosen.append(torch.multinomial(weights / weights.max(), 1, generator=generator)[0])
        nearest = torch.minimum(nearest, square[chosen[-1]])
    return torch.stack(chosen)


def _lloyd(square: Tensor, medoids: Tensor, max_iterations: int) -> KMedoids:
    settled = False
    for _ in range(max_iterations):
        moved = torch.stack([_medoid(square, at, _labels(square, medoids) == k) for k, at in enumerate(medoids)])
        settled = torch.equal(moved, medoids)
        medoids = moved
        if settled:
            break
    inertia = float(square[medoids].amin(0).sum())
    return KMedoids(medoids, _labels(square, medoids), inertia, settled)


def _labels(square: Tensor, medoids: Tensor) -> Tensor:
    least, labels = square[medoids].min(0)
    return torch.where(torch.isfinite(least), labels, -1)


def _medoid(square: Tensor, at: Tensor, member: Tensor) -> Tensor:
    """Return the member with the least sum of squares to all members; the old one where there are none."""
    rows = member.nonzero().flatten()
    return rows[square[rows][:, rows].sum(0).argmin()] if len(rows) else at
