r"""Coordinates of nodes from the spectrum of their network, what codes that were learned are compared with.

    D^-1/2 A D^-1/2 u_i = lambda_i u_i,    lambda_1 >= lambda_2 >= ...,      node v: (u_1v, ..., u_dv) over its length

A the adjacency matrix without directions, D the sums of its rows. Of a network in k components lambda_1, ..., lambda_k
are 1. A node without a link is at the origin. The sign of u_i is that of its entry of greatest size, which is positive.

Reference: Ng, Jordan & Weiss, "On spectral clustering" (2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array
from scipy.sparse.linalg import eigsh

from lsgen.latent.graphs import Graph

__all__ = ["spectral_coordinates"]

SMALL = 500


def spectral_coordinates(graph: Graph, dim: int) -> NDArray[np.float64]:
    """Return the spectral coordinates (N, d) of the nodes of a network.

    Args:
        graph: the network.
        dim: number d of coordinates; at most that of the nodes.

    Raises:
        ValueError: there are fewer nodes, no link, or negative weights.

    """
    graph.require("spectral_coordinates")
    if not 1 <= dim <= graph.nodes:
        raise ValueError(f"expected from 1 to {graph.nodes} coordinates of as many nodes, got {dim}")
    adjacency = graph.undirected().adjacency()
    sums = adjacency.sum(1)
    scale = diags_array(np.where(sums > 0, sums, 1) ** -0.5)
    matrix = scale @ adjacency @ scale
    if graph.nodes <= max(SMALL, 2 * dim):
        vectors = np.linalg.eigh(matrix.toarray())[1][:, -dim:]
    else:
        start = np.random.default_rng(0).uniform(0.5, 1.5, graph.nodes)
        values, vectors = eigsh(matrix, dim, which="LA", v0=start)
        vectors = vectors[:, np.argsort(values)]
    vectors = vectors[:, ::-1] * (sums > 0)[:, None]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(dim)])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.where(length > 0, length, 1)
    return unit
