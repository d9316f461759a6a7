r"""Paths that keep to where codes are: shortest ones in the graph of nearest neighbours, with the cost of an edge d^p.

The shortest path of costs d^p, p > 1, takes many short edges rather than a long one: for codes drawn from a density f
on a manifold of dimension m it tends to the geodesic of the metric f^(2 (1 - p)/m) g.

Reference: Hwang, Damelin & Hero, "Shortest path through random points" (2016), https://arxiv.org/abs/1202.0045.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from lsgen.latent import Codes, Manifold
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import NeighbourGraph, neighbour_graph

__all__ = ["DensityPath", "density_path", "equidistant"]


@dataclass(frozen=True)
class DensityPath:
    """A path through codes of a table.

    Attributes:
        ids: the codes that it passes, both ends included, (M,).
        z: their coordinates (M, d), in double precision.
        length: the sum of their distances.
        longest: the longest edge.

    """

    ids: NDArray[np.generic]
    z: Tensor
    length: float
    longest: float


def density_path(
    codes: Codes, start: object, end: object, k: int = 10, power: float = 2.0, graph: NeighbourGraph | None = None
) -> DensityPath:
    """Return the path through codes, from neighbour to neighbour, whose sum of distances to a power is least.

    Args:
        codes: the table.
        start: id of the code at which it starts.
        end: id of the code at which it ends.
        k: number of nearest neighbours of each code that edges lead to.
        power: the power p of distances, 1 or more; the greater, the more it keeps to dense places.
        graph: these edges with their lengths; they are found unless given.

    Raises:
        ValueError: there is no such code, k or the power is out of its range, or no edges lead from one to the other.

    """
    if not 1 <= power < np.inf:
        raise ValueError(f"expected a power of 1 or more, got {power}")
    rows = codes.places()
    if missing := [name for name in (start, end) if name not in rows]:
        raise ValueError(f"expected ids of the table, got {missing[0]!r}, which it does not have")
    first, last = rows[start], rows[end]
    z = codes.tensor().double()
    graph = neighbour_graph(z, k, distance_on(codes.manifold)) if graph is None else graph
    costs = graph.matrix()
    costs.data = np.maximum((costs.data / costs.data.max()) ** power, np.finfo(float).tiny)
    total, before = dijkstra(costs, directed=False, indices=first, return_predecessors=True)
    if not np.isfinite(total[last]):
        raise ValueError(
            f"expected a way through neighbours from {start!r} to {end!r}, got {graph.components} parts of the graph "
            f"of {k} neighbours, and these codes in two of them: take more neighbours"
        )
    way = [last]
    while way[-1] != first:
        way.append(int(before[way[-1]]))
    at = way[::-1]
    passed = z[at]
    steps = codes.manifold.distance(passed[:-1], passed[1:]).tolist()
    return DensityPath(codes.ids[at], passed, sum(steps), max(steps, default=0.0))


def equidistant(manifold: Manifold, z: Tensor, points: int) -> Tensor:
    """Return points of a polyline of geodesics, (N, d), at equal distances along it, both ends included.

    Args:
        manifold: whose geodesics join the vertices.
        z: the vertices (M, d).
        points: number N of points, 2 or more.

    Raises:
        ValueError: there is no vertex, or fewer than 2 points are asked for.

    """
    if not len(z) or points < 2:
        raise ValueError(f"expected a vertex or more and 2 points or more, got {len(z)} and {points}")
    if len(z) == 1:
        return z.expand(points, -1)
    steps = manifold.distance(z[:-1], z[1:])
    ends = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    at = torch.linspace(0, 1, points, dtype=z.dtype, device=z.device) * ends[-1]
    piece = (torch.searchsorted(ends, at, right=True) - 1).clamp(0, len(steps) - 1)
    share = ((at - ends[piece]) / steps[piece].clamp(min=torch.finfo(z.dtype).tiny)).clamp(0, 1)
    found: Tensor = manifold.exp(z[piece], share[:, None] * manifold.log(z[piece], z[piece + 1]))
    found[0], found[-1] = z[0], z[-1]
    return found
