"""Approximate nearest neighbours by a graph of faiss (extra `faiss`), with the recall that they were measured to have.

Exact neighbours (`lsgen.latent.neighbours`) take one product of matrices. A graph takes as long to build as the exact
neighbours of some 10,000 codes among 100,000: it is for many more queries than that.

Reference: Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable
small world graphs" (2016), https://arxiv.org/abs/1603.09320; Douze et al., "The faiss library" (2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsgen.analysis.intervals import mean_interval
from lsgen.analysis.statistic import Statistic
from lsgen.extras import from_extra
from lsgen.latent import Codes
from lsgen.latent.distances import ChordDistance, HyperbolicDistance, distance_on
from lsgen.latent.neighbours import Neighbours, nearest_neighbours, without_own

__all__ = ["ApproximateNeighbours", "approximate_neighbours"]

LINKS, EFFORT, BUILDING = 32, 64, 80


@dataclass(frozen=True, eq=False)
class ApproximateNeighbours:
    """Approximate nearest neighbours.

    Attributes:
        neighbours: exact distances (M, k) and indices (M, k) of the codes that were found, nearest first.
        recall: share of the true neighbours that were found, measured at a sample of queries.

    """

    neighbours: Neighbours
    recall: Statistic


def approximate_neighbours(
    codes: Codes, queries: Tensor | None = None, k: int = 10, *, effort: int = EFFORT, sample: int = 1000, seed: int = 0
) -> ApproximateNeighbours:
    """Return approximate nearest neighbours of codes, and how many of the true ones are among them.

    Args:
        codes: the codes (N, d), among which neighbours are looked for.
        queries: points (M, d) of the type of the codes; the codes themselves unless given, none its own neighbour.
        k: number of neighbours.
        effort: candidates that a search keeps; more find more of the true neighbours and take longer.
        sample: number of queries at which the recall is measured, by exact search.
        seed: seed of the sample.

    Raises:
        ImportError: the extra `faiss` is not installed.
        ValueError: k or another number is out of range, or codes lie on another manifold.

    """
    distance, own = distance_on(codes.manifold), queries is None
    most = len(codes) - own
    if not isinstance(distance, ChordDistance) or isinstance(distance, HyperbolicDistance):
        raise ValueError(
            f"expected flat codes, directions or probabilities, got codes on {codes.manifold}, of which only "
            "an exact search finds the neighbours"
        )
    if not 1 <= k <= most or effort < 1 or sample < 1:
        raise ValueError(f"expected 1 to {most} neighbours, effort and a sample, got {k}, {effort} and {sample}")
    with from_extra("faiss", "approximate neighbours need faiss"):
        import faiss
    z = codes.tensor()
    points = z if queries is None else queries
    features = distance.features(z)
    asked = features if own else distance.features(points)
    index = faiss.IndexHNSWFlat(features.shape[1], LINKS)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILDING, max(effort, k + own)
    index.add(features.float().numpy())
    found = torch.from_numpy(index.search(asked.float().numpy(), k + own)[1])
    if own:
        found = without_own(found, torch.arange(len(found)))
    neighbours = _measured(distance, asked, features, found)
    rows = np.sort(np.random.default_rng(seed).choice(len(points), min(sample, len(points)), replace=False))
    chosen = torch.from_numpy(rows)
    true = nearest_neighbours(points[chosen], z, k + own, distance)
    # Ties count: what is found is as near as the k-th true neighbour, which for codes themselves is one farther.
    shares = (neighbours.distances[chosen] <= true.distances[:, -1:] * (1 + 1e-12)).double().mean(1).numpy()
    recall = Statistic(float(shares.mean()), len(rows), mean_interval(shares, bounds=(0, 1)), k / most, seed)
    return ApproximateNeighbours(neighbours, recall)


def _measured(distance: ChordDistance, a: Tensor, b: Tensor, found: Tensor) -> Neighbours:
    """Return exact distances and indices in their order; what a graph did not find (-1) is infinitely far."""
    columns = [distance.between(a, b[column.clamp(min=0)]).double() for column in found.T]
    lengths = torch.stack(columns, 1).masked_fill(found < 0, torch.inf)
    order = lengths.argsort(dim=1, stable=True)
    return Neighbours(lengths.gather(1, order), found.gather(1, order))
