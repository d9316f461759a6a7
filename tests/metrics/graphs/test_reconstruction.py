"""Mean rank and MAP of Nickel and Kiela against their definition node by node, ties by enumeration, and edge cases."""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from lsgen.latent import Codes, Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs import CodeScores, GraphReconstruction, LinkScores, graph_reconstruction


def _codes(n: int, manifold: Manifold, d: int = 3) -> Codes:
    raw = torch.randn(n, d, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    return Codes(manifold.parametrised(raw), manifold=manifold)


def _by_definition(scores: np.ndarray, adjacency: np.ndarray) -> tuple[float, float]:
    """Return mean rank and MAP; of u the other neighbours are left out of the ranking of each."""
    ranks, precisions = [], []
    for u in range(len(scores)):
        near = np.flatnonzero(adjacency[u])
        others = np.setdiff1d(np.arange(len(scores)), [*near, u])
        ranks += [1 + (scores[u, others] > scores[u, v]).sum() for v in near]
        listed = np.setdiff1d(np.arange(len(scores)), [u])
        if len(near):
            precisions.append(average_precision_score(adjacency[u, listed] > 0, scores[u, listed]))
    return float(np.mean(ranks)), float(np.mean(precisions))


@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(), PoincareBall(), PoincareBall(0.5)])
@pytest.mark.parametrize("directed", [False, True])
def test_it_is_that_of_the_definition(manifold: Manifold, directed: bool) -> None:
    graph = Graph.of(list(nx.gnp_random_graph(40, 0.1, seed=3, directed=directed).edges), 41, directed=directed)
    codes = _codes(41, manifold)
    z = codes.tensor()
    distances = manifold.distance(z[:, None], z[None]).numpy()
    rank, precision = _by_definition(-distances, graph.adjacency(False).toarray())
    for chunk in (None, 7):
        found = graph_reconstruction(CodeScores(codes), graph, chunk_size=chunk)
        assert float(found["mean_rank"]["value"]) == pytest.approx(rank)
        assert float(found["map"]["value"]) == pytest.approx(precision)
    alone = int((graph.degrees() == 0).sum())
    assert found["nodes"] == {"value": torch.tensor(41 - alone), "left_out": torch.tensor(alone)}
    assert alone >= 1


@pytest.mark.parametrize("score", [[2, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 2, 2, 0, 0]])
@pytest.mark.parametrize("linked", [[1, 2], [0, 1, 4], [3]])
def test_ties_are_averaged_over_all_their_orders(score: list[float], linked: list[int]) -> None:
    """Of the node 5, whose own score of infinity is not looked at."""
    orders = [o for o in permutations(range(5)) if all(score[a] >= score[b] for a, b in zip(o, o[1:]))]  # noqa: B905, RUF007
    ranks, precisions = [], []
    for order in orders:
        places = [order.index(v) for v in linked]
        ranks += [1 + sum(order.index(w) < place for w in range(5) if w not in linked) for place in places]
        precisions += [sum(p <= place for p in places) / (place + 1) for place in places]
    metric = GraphReconstruction(draws=0)
    links = torch.zeros(1, 6, dtype=torch.bool)
    links[0, linked] = True
    metric.update(torch.tensor([[*score, torch.inf]]), links, torch.tensor([5]))
    found = metric.compute()
    assert float(found["mean_rank"]["value"]) == pytest.approx(np.mean(ranks))
    assert float(found["map"]["value"]) == pytest.approx(np.mean(precisions))


def test_collapsed_codes_are_at_the_level_of_chance_and_their_interval_is_a_point() -> None:
    graph = Graph.of(list(nx.cycle_graph(12).edges))
    found = graph_reconstruction(CodeScores(Codes(torch.ones(12, 2))), graph)
    for name in ("mean_rank", "map"):
        values = [float(found[name][part]) for part in ("value", "low", "high")]
        assert values == pytest.approx([float(found[name]["chance"])] * 3)
    assert float(found["mean_rank"]["chance"]) == pytest.approx(1 + 9 / 2)
    best = graph_reconstruction(LinkScores(lambda pairs: graph.has(pairs).double(), 12), graph)
    assert [float(best[name]["value"]) for name in ("mean_rank", "map")] == [1.0, 1.0]


def test_a_node_linked_to_all_others_has_rank_one() -> None:
    found = graph_reconstruction(CodeScores(_codes(5, Euclidean())), Graph.of(list(nx.star_graph(4).edges)))
    hub_and_leaves = found["nodes"]["value"]
    assert int(hub_and_leaves) == 5
    pair = graph_reconstruction(CodeScores(_codes(2, Euclidean())), Graph.of([[0, 1]]))
    assert [float(pair[name][part]) for name in ("mean_rank", "map") for part in ("value", "chance")] == [1.0] * 4


def test_codes_at_the_rim_of_the_ball_are_ordered_by_their_distances() -> None:
    """Points at 1 - 1e-12 along one ray from the origin: the order is that of their hyperbolic radius."""
    radius = torch.tensor([0.0, 5.0, 11.0, 20.0, 27.0], dtype=torch.float64)
    z = torch.stack([torch.tanh(radius / 2), 0 * radius], 1)
    graph = Graph.of([[0, 1], [1, 2], [2, 3], [3, 4]])
    found = graph_reconstruction(CodeScores(Codes(z, manifold=PoincareBall())), graph)
    expected = _by_definition(-(radius[:, None] - radius).abs().numpy(), graph.adjacency(False).toarray())
    assert [float(found[name]["value"]) for name in ("mean_rank", "map")] == pytest.approx(expected)


def test_what_cannot_be_measured_is_refused() -> None:
    codes = CodeScores(_codes(3, Euclidean()))
    with pytest.raises(ValueError, match="expected nodes with links, got none among 3"):
        graph_reconstruction(codes, Graph.of([], 3))
    with pytest.raises(ValueError, match="expected nodes with links, got none among 1"):
        graph_reconstruction(CodeScores(_codes(1, Euclidean())), Graph.of([], 1))
    with pytest.raises(ValueError, match="expected scores of the 4 nodes of the network, got those of 3"):
        graph_reconstruction(codes, Graph.of([[0, 3]]))
    with pytest.raises(ValueError, match="expected scores that are numbers, got NaN"):
        graph_reconstruction(LinkScores(lambda pairs: torch.full((len(pairs),), torch.nan), 2), Graph.of([[0, 1]]))
