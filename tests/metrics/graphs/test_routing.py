"""Greedy routing against packets that are sent one by one, and maps on which it always or never arrives."""

import networkx as nx
import numpy as np
import pytest
import torch

from lsgen.latent import Codes, Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs import CodeScores, RoutingRule, greedy_routing


def _sent(graph: Graph, distance: np.ndarray, rule: str) -> tuple[float, float]:
    """Return success and stretch, packet by packet."""
    network = nx.from_scipy_sparse_array(graph.adjacency(False), create_using=nx.DiGraph)
    ways, found = dict(nx.all_pairs_shortest_path_length(network)), []
    for s in network:
        for t in ways[s].keys() - {s}:
            at, been = s, {s}
            while at != t:
                near = [t] if t in network[at] else sorted(network[at], key=lambda v: (distance[t, v], v))
                if (
                    not near
                    or near[0] in been
                    or (rule == "closer" and near[0] != t and distance[t, near[0]] >= distance[t, at])
                ):
                    break
                at = near[0]
                been.add(at)
            found.append((len(been) - 1) / ways[s][t] if at == t else np.nan)
    arrived = np.isfinite(found)
    return float(np.mean(arrived)), float(np.mean(np.array(found)[arrived]))


@pytest.mark.parametrize("rule", ["nearest", "closer"])
@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(), PoincareBall()])
@pytest.mark.parametrize("directed", [False, True])
def test_it_is_that_of_packets_sent_one_by_one(rule: RoutingRule, manifold: Manifold, directed: bool) -> None:
    network = nx.gnp_random_graph(36, 0.07, seed=1, directed=directed)
    graph = Graph.of(list(network.edges), 37, directed=directed)
    z = manifold.parametrised(torch.randn(37, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    found = greedy_routing(CodeScores(Codes(z, manifold=manifold)), graph, rule, targets=None)
    success, stretch = _sent(graph, manifold.distance(z[:, None], z[None]).numpy(), rule)
    assert 0 < success < 1
    assert float(found["success"]["value"]) == pytest.approx(success)
    assert float(found["stretch"]["value"]) == pytest.approx(stretch)
    assert float(found["success"]["low"]) < success < float(found["success"]["high"])


def test_every_packet_arrives_on_a_grid_and_on_a_path() -> None:
    for network in (nx.grid_2d_graph(6, 5), nx.path_graph(9)):
        z = torch.tensor([node if isinstance(node, tuple) else (node, 0) for node in network], dtype=torch.float64)
        graph = Graph.of(list(nx.convert_node_labels_to_integers(network).edges))
        for rule in ("nearest", "closer"):
            found = greedy_routing(CodeScores(Codes(z)), graph, rule)
            assert [float(found[name]["value"]) for name in ("success", "stretch")] == [1.0, 1.0]
            assert float(found["success"]["chance"]) < 0.9
    assert int(found["packets"]["value"]) == 9 * 8


def test_collapsed_codes_reach_neighbours_alone() -> None:
    graph = Graph.of(list(nx.cycle_graph(8).edges))
    found = greedy_routing(CodeScores(Codes(torch.zeros(8, 2))), graph, "closer")
    assert float(found["success"]["value"]) == pytest.approx(2 / 7)
    assert float(found["success"]["chance"]) == pytest.approx(2 / 7)


def test_some_targets_are_an_estimate_of_all() -> None:
    network = nx.random_geometric_graph(120, 0.16, seed=2)
    z = torch.tensor(list(nx.get_node_attributes(network, "pos").values()), dtype=torch.float64)
    graph, scores = Graph.of(list(network.edges), 120), CodeScores(Codes(z))
    whole, part = (greedy_routing(scores, graph, targets=targets) for targets in (None, 60))
    assert float(part["success"]["low"]) < float(whole["success"]["value"]) < float(part["success"]["high"])
    assert int(part["packets"]["value"] + part["packets"]["left_out"]) == 60 * 119


def test_no_packet_arrives_has_no_stretch_and_no_way_is_refused() -> None:
    """From 0 the neighbour 1 is nearer to 3 than 2 is, and leads nowhere."""
    z = torch.tensor([[0.0], [0.9], [-5.0], [1.0]], dtype=torch.float64)
    graph = Graph.of([[0, 1], [0, 2], [2, 3]])
    found = greedy_routing(CodeScores(Codes(z)), graph, targets=None)
    assert 0 < float(found["success"]["value"]) < 1
    lonely = CodeScores(Codes(torch.zeros(2, 1)))
    with pytest.raises(ValueError, match="expected nodes with a way between them, got 2 without a link"):
        greedy_routing(lonely, Graph.of([], 2))
    with pytest.raises(ValueError, match="expected a rule out of nearest, closer, got 'best'"):
        greedy_routing(lonely, Graph.of([[0, 1]]), "best")
