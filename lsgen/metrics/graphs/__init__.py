"""Metrics of networks: how well codes of nodes predict, reconstruct and route along links, and baselines."""

from lsgen.metrics.graphs.baselines import (
    BASELINES,
    adamic_adar,
    common_neighbours,
    katz_index,
    preferential_attachment,
    resource_allocation,
)
from lsgen.metrics.graphs.link_prediction import LinkPrediction
from lsgen.metrics.graphs.mean_weights import Attractiveness, attractiveness
from lsgen.metrics.graphs.pair_scores import CodeScores, LinkScores, PairScores, Similarity
from lsgen.metrics.graphs.radius import code_radius, radius_degree
from lsgen.metrics.graphs.reconstruction import GraphReconstruction, graph_reconstruction
from lsgen.metrics.graphs.routing import RoutingRule, greedy_routing

__all__ = [
    "BASELINES",
    "Attractiveness",
    "CodeScores",
    "GraphReconstruction",
    "LinkPrediction",
    "LinkScores",
    "PairScores",
    "RoutingRule",
    "Similarity",
    "adamic_adar",
    "attractiveness",
    "code_radius",
    "common_neighbours",
    "graph_reconstruction",
    "greedy_routing",
    "katz_index",
    "preferential_attachment",
    "radius_degree",
    "resource_allocation",
]
