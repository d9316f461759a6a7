r"""A graph of codes, whose shortest paths are initial curves for geodesics.

A `CodeGraph` joins every code to its nearest neighbours and weighs each edge by its length under the pulled-back
metric, in any latent dimension. The shortest path between two codes runs through regions where there are codes; put at
constant speed it is a start from which the solver relaxes to a geodesic. Its length is an estimate of the distance and
bounds it on neither side: edges are sums of a few chords, and few codes leave only detours.

Reference: Chen et al., "Fast approximate geodesics for deep generative models" (2019), https://arxiv.org/abs/1812.08284;
Tenenbaum, de Silva & Langford, "A global geometric framework for nonlinear dimensionality reduction" (2000).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.geodesics.arc_length import polygon_length
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import paths
from lsgen.latent.neighbours import NeighbourGraph, nearest_neighbours, neighbour_graph

__all__ = ["CodeGraph"]

log = logging.getLogger(__name__)


class CodeGraph:
    r"""Codes joined to their nearest neighbours by edges of pulled-back length.

    Neighbours are nearest in the coordinates z. Shortest paths are found on the host (Dijkstra); all else stays on the
    device of the codes.

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d), such as the encoded training set.
        neighbours: number of neighbours of each code.
        samples: number of segments that measure an edge.

    Raises:
        TypeError, ValueError: see `metric`; also for fewer codes than neighbours + 1.

    """

    def __init__(self, im: RiemannianMetric, codes: Tensor, neighbours: int = 10, samples: int = 4) -> None:
        self.im, self.codes, self.samples = im, check_codes(im.fn, im.dim, codes).detach(), samples
        self.neighbours = neighbours
        if neighbours < 1 or samples < 1:
            raise ValueError(f"expected at least 1 neighbour and 1 sample, got {neighbours} and {samples}")
        if len(self.codes) <= neighbours:
            raise ValueError(f"expected more codes than the {neighbours} neighbours of each, got {len(self.codes)}")
        near = neighbour_graph(self.codes, neighbours)
        self._graph = replace(near, lengths=self._measured(*self.codes[near.edges].unbind(1)))

    @property
    def components(self) -> int:
        """Number of parts that no edge joins."""
        return self._graph.components

    def paths(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return the shortest paths between codes (B, d) as curves (B, N, d) of constant speed.

        Where no path joins a pair the curve is the straight segment, and a warning says for how many.
        """
        ends = torch.cat([start, end])
        near = nearest_neighbours(ends, self.codes, self.neighbours).indices
        n, pairs = len(self.codes), len(start)
        node = torch.arange(n, n + len(ends), device=ends.device)[:, None].expand_as(near)
        lengths = self._measured(ends.repeat_interleave(near.shape[1], 0), self.codes[near.flatten()])
        edges = torch.cat([self._graph.edges, torch.stack([near, node], -1).flatten(0, 1)])
        matrix = NeighbourGraph(n + len(ends), edges, torch.cat([self._graph.lengths, lengths])).matrix()
        places = torch.cat([self.codes, ends]).cpu().numpy()
        curves, apart = [], 0
        for first in range(0, pairs, 64):
            sources = np.arange(n + first, n + min(first + 64, pairs))
            _, before = dijkstra(matrix, directed=False, indices=sources, return_predecessors=True)
            for row, source in enumerate(sources.tolist()):
                route = _route(before[row], source, source + pairs)
                sides = _sides(matrix, route) if route else np.ones(1)
                apart += len(route) == 0
                curves.append(_even(places[route or [source, source + pairs]], sides, points))
        if apart:
            log.warning("no path in the graph joins %d of %d pairs, which start from straight segments", apart, pairs)
        return torch.as_tensor(np.stack(curves), dtype=start.dtype, device=start.device)

    def waypoint_paths(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return paths between codes (B, d) by one code of the graph, as curves (B, N, d) of constant speed.

        Of the codes nearest to the middle it is the one by which the two straight segments are shortest.
        """
        near = nearest_neighbours((start + end) / 2, self.codes, self.neighbours).indices
        k, rows = near.shape[1], torch.arange(len(start), device=start.device)
        via = self.codes[near].to(start)
        first, last = (x[:, None].expand_as(via).flatten(0, 1) for x in (start, end))
        sides = torch.stack([self._measured(first, via.flatten(0, 1)), self._measured(via.flatten(0, 1), last)], -1)
        sides = sides.reshape(-1, k, 2)
        best = sides.sum(-1).argmin(1)
        via, sides = via[rows, best][:, None], sides[rows, best]
        share = (sides[:, :1] / sides.sum(-1, keepdim=True).clamp(min=torch.finfo(sides.dtype).tiny))[..., None]
        t = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device)[:, None]
        before, after = (t / share).clamp(max=1).nan_to_num(nan=1.0), ((t - share) / (1 - share)).clamp(min=0)
        return torch.lerp(start[:, None], via, before) + (end[:, None] - via) * after.nan_to_num(nan=0.0).clamp(max=1)

    def _measured(self, start: Tensor, end: Tensor) -> Tensor:
        with torch.no_grad():
            parts = zip(start.split(1024), end.split(1024), strict=True)
            return torch.cat([polygon_length(self.im, paths.linear(a, b, self.samples + 1)) for a, b in parts])


def _route(before: Any, source: int, target: int) -> list[int]:
    """Return the nodes from source to target; none where the target is out of reach."""
    route = [target]
    while route[-1] != source:
        step = int(before[route[-1]])
        if step < 0:
            return []
        route.append(step)
    return route[::-1]


def _sides(matrix: Any, route: list[int]) -> Any:
    """Return the lengths of the edges along a route."""
    found = [float(matrix[min(i, j), max(i, j)]) for i, j in pairwise(route)]
    return np.asarray(found)


def _even(places: Any, weights: Any, points: int) -> Any:
    """Return a polygon resampled at constant speed, from its corners and the lengths of its sides."""
    along = np.concatenate([[0.0], np.cumsum(np.maximum(weights, np.finfo(float).tiny))])
    at = np.linspace(0, along[-1], points)
    return np.stack([np.interp(at, along, column) for column in places.T], -1)
