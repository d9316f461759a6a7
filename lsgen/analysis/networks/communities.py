"""How well clusters of codes, and of the network itself, agree with known communities."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from lsgen.analysis.clustering import LabelAgreement, find_clusters, label_agreement
from lsgen.analysis.networks.spectral import spectral_coordinates
from lsgen.latent import Codes
from lsgen.latent.columns import rows_with
from lsgen.latent.distances import distance_on
from lsgen.latent.graphs import Graph
from lsgen.latent.neighbours import neighbour_graph

__all__ = ["community_agreement"]

STARTS = 10


def community_agreement(
    codes: Codes, column: str, graph: Graph | None = None, k: int = 10, seed: int = 0
) -> dict[str, LabelAgreement]:
    """Return the adjusted Rand index and mutual information of clusters and communities, both 0 by chance.

    There are as many clusters as communities: those of "kmeans" on the codes, "spectral" ones of the network that joins
    every code to its k nearest neighbours, and, where it is given, the "network" itself, by its spectrum alone.

    Args:
        codes: the codes of nodes, (N, d).
        column: the communities; nodes for which it is missing are left out of the comparison.
        graph: the network of the N nodes.
        k: number of nearest neighbours.
        seed: seed of the starts of k-means and of the intervals.

    Raises:
        ValueError: there is no such column, or fewer than 2 communities, or codes are fewer than 3 or equal; the graph
            is of another number of nodes.

    """
    if column not in codes.columns:
        raise ValueError(
            f"expected communities in a column out of {', '.join(codes.columns) or 'none'}, got {column!r}"
        )
    if graph is not None and graph.nodes != len(codes):
        raise ValueError(f"expected a network of {len(codes)} nodes, as there are codes, got one of {graph.nodes}")
    values = codes.columns[column]
    number = len(np.unique(values[~rows_with(column, values, None)].astype(str)))
    if number < 2:
        raise ValueError(f"expected at least 2 communities in {column!r}, got {number}")
    found = {"kmeans": find_clusters(codes, "kmeans", number, draws=0, seed=seed).labels}
    near = neighbour_graph(codes.tensor(), min(k, len(codes) - 1), distance_on(codes.manifold))
    networks = {"spectral": Graph.of(near.edges, len(codes))} | (
        {} if graph is None or not len(graph) else {"network": graph}
    )
    for name, network in networks.items():
        points = spectral_coordinates(network, min(number, network.nodes))
        found[name] = KMeans(number, n_init=STARTS, random_state=seed).fit_predict(points)
    return {name: label_agreement(labels, values, seed) for name, labels in found.items()}
