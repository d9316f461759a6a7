r"""Scores of pairs by the links of their nodes alone, which every model of links is compared with.

With the neighbours N(u) of a node u, and its degree k_u = |N(u)|,

    common neighbours          |N(u) & N(v)|
    Adamic-Adar                sum over w in N(u) & N(v) of 1 / log k_w
    resource allocation        sum over w in N(u) & N(v) of 1 / k_w
    preferential attachment    k_u k_v
    Katz                       sum over l >= 1 of beta^l (A^l)_uv = ((1 - beta A)^-1 - 1)_uv,    beta below 1/lambda_max

A is the adjacency matrix. Links count without their weights, and links of a directed network without direction.

Reference: Liben-Nowell & Kleinberg, "The link-prediction problem for social networks" (2007); Adamic & Adar, "Friends
and neighbors on the web" (2003); Zhou, Lu & Zhang, "Predicting missing links via local information" (2009),
https://arxiv.org/abs/0901.0553; Katz, "A new status index derived from sociometric analysis" (1953).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import eigsh, splu
from torch import Tensor

from lsgen.latent.graphs import Graph

__all__ = [
    "BASELINES",
    "adamic_adar",
    "common_neighbours",
    "katz_index",
    "preferential_attachment",
    "resource_allocation",
]

ENTRIES = 2**22
LARGEST = 20_000


def common_neighbours(graph: Graph, pairs: Tensor) -> Tensor:
    """Return the number of common neighbours of pairs (P, 2) of nodes, float64 (P,).

    Raises:
        ValueError: pairs are none of nodes of the graph.

    """
    return _shared(graph, pairs, np.ones_like)


def adamic_adar(graph: Graph, pairs: Tensor) -> Tensor:
    """Return the index of Adamic and Adar of pairs (P, 2), float64 (P,); see `common_neighbours`."""
    return _shared(graph, pairs, lambda k: 1 / np.log(np.maximum(k, 2)))


def resource_allocation(graph: Graph, pairs: Tensor) -> Tensor:
    """Return the resource allocation index of pairs (P, 2), float64 (P,); see `common_neighbours`."""
    return _shared(graph, pairs, lambda k: 1 / np.maximum(k, 1))


def preferential_attachment(graph: Graph, pairs: Tensor) -> Tensor:
    """Return the product of the degrees of pairs (P, 2), float64 (P,); see `common_neighbours`."""
    _, degrees, (u, v) = _neighbourhoods(graph, pairs)
    return torch.from_numpy(degrees[u] * degrees[v])


def katz_index(graph: Graph, pairs: Tensor, beta: float = 0.005) -> Tensor:
    """Return the index of Katz of pairs (P, 2), float64 (P,), by a sparse factorisation.

    Args:
        graph: the network.
        pairs: numbers of nodes.
        beta: what a path counts for each of its links.

    Raises:
        ValueError: see `common_neighbours`; beta is not positive and below the reciprocal of the greatest eigenvalue,
            or there are more than 20,000 nodes, for which the factors would be large.

    """
    adjacency, degrees, (u, v) = _neighbourhoods(graph, pairs)
    if graph.nodes > LARGEST:
        raise ValueError(f"expected at most {LARGEST} nodes for the index of Katz, got {graph.nodes}")
    most = _greatest_eigenvalue(adjacency) if degrees.any() else 0.0
    if not 0 < beta * max(most, 1e-300) < 1 or not beta > 0:
        raise ValueError(f"expected beta above 0 and below {1 / most if most else np.inf:g}, got {beta}")
    factors = splu(csc_array(eye_array(graph.nodes, format="csc") - beta * adjacency.tocsc()))
    found = np.zeros(len(u))
    sources, place = np.unique(u, return_inverse=True)
    order = np.argsort(place, kind="stable")
    ends, size = np.bincount(place).cumsum(), max(1, ENTRIES // graph.nodes)
    for first in range(0, len(sources), size):
        some = sources[first : first + size]
        unit = np.zeros((graph.nodes, len(some)))
        unit[some, np.arange(len(some))] = 1
        columns = factors.solve(unit) - unit
        rows = order[(ends[first - 1] if first else 0) : ends[first + len(some) - 1]]
        found[rows] = columns[v[rows], place[rows] - first]
    return torch.from_numpy(found)


BASELINES: Mapping[str, Callable[[Graph, Tensor], Tensor]] = MappingProxyType(
    {
        "common_neighbours": common_neighbours,
        "adamic_adar": adamic_adar,
        "resource_allocation": resource_allocation,
        "preferential_attachment": preferential_attachment,
        "katz": katz_index,
    }
)


def _shared(graph: Graph, pairs: Tensor, weight: Callable[[Any], Any]) -> Tensor:
    """Return the sums over common neighbours of a weight of their degrees."""
    adjacency, degrees, (u, v) = _neighbourhoods(graph, pairs)
    weighted = csr_array(adjacency.multiply(weight(degrees)[None]))
    found = np.zeros(len(u))
    for rows in _chunks(degrees[u] + degrees[v]):
        found[rows] = weighted[u[rows]].multiply(adjacency[v[rows]]).sum(1)
    return torch.from_numpy(found)


def _neighbourhoods(
    graph: Graph, pairs: Tensor
) -> tuple[csr_array, NDArray[np.float64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the matrix of neighbours, degrees, and both ends of pairs."""
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise ValueError(f"expected pairs of nodes as whole numbers (P, 2), got {pairs.dtype} {tuple(pairs.shape)}")
    if len(pairs) and not 0 <= int(pairs.min()) <= int(pairs.max()) < graph.nodes:
        raise ValueError(f"expected nodes 0 to {graph.nodes - 1}, got {int(pairs.min())} to {int(pairs.max())}")
    adjacency = graph.undirected().adjacency(weighted=False)
    u, v = pairs.cpu().numpy().T
    return adjacency, np.diff(adjacency.indptr).astype(np.float64), (u, v)


def _chunks(sizes: NDArray[np.float64]) -> Iterator[slice]:
    """Yield slices of pairs whose rows have about ENTRIES entries together."""
    part = (sizes.cumsum() - sizes) // ENTRIES
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]
    return (slice(a, b) for a, b in pairwise(edges) if b > a)


def _greatest_eigenvalue(adjacency: csr_array) -> float:
    if adjacency.shape[0] < 3:
        return float(np.linalg.eigvalsh(adjacency.toarray()).max())
    start = np.random.default_rng(0).uniform(0.5, 1.5, adjacency.shape[0])
    return float(eigsh(adjacency, 1, which="LA", v0=start, return_eigenvectors=False)[0])
