"""LINE against its expected loss by enumeration, known communities, and what it refuses."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from lsgen.data import Links, StochasticBlocks
from lsgen.latent.graphs import Graph
from lsgen.models.graphs import Line, LineLinks
from lsgen.models.graphs.line import Order

NODES, DIM, K = 6, 4, 3


def _graph(directed: bool, weighted: bool) -> Graph:
    edges = [(0, 1), (1, 2), (2, 3), (0, 2), (4, 1), (3, 4)]
    return Graph.of(edges, NODES, directed=directed, weights=[1, 2, 0.5, 3, 1, 0.25] if weighted else None)


def _model(graph: Graph, order: Order) -> Line:
    torch.manual_seed(1)
    model = Line(LineLinks(graph.nodes, DIM, order, negatives=K), spread=1.0).double()
    model.learn(graph)
    if model.latent_space.decoder.contexts is not None:
        torch.nn.init.normal_(model.latent_space.decoder.contexts)
    return model


def _logits(model: Line) -> list[np.ndarray]:
    """Return the scores of all pairs, for each order."""
    codes, contexts = model.latent_space.table().detach().numpy(), model.latent_space.decoder.contexts
    if contexts is None:
        return [codes @ codes.T]
    second = contexts.detach().numpy()
    first = codes[:, : DIM - second.shape[1]]
    return ([first @ first.T] if first.shape[1] else []) + [codes[:, first.shape[1] :] @ second.T]


@pytest.mark.parametrize(
    ("order", "directed", "weighted"),
    [("first", False, True), ("second", False, False), ("second", True, True), ("both", False, True)],
)
def test_loss_is_in_expectation_that_of_links_and_all_noise(order: Order, directed: bool, weighted: bool) -> None:
    graph = _graph(directed, weighted)
    model = _model(graph, order)
    network = nx.DiGraph() if directed else nx.Graph()
    network.add_nodes_from(range(NODES))
    network.add_weighted_edges_from(
        [(int(i), int(j), float(w)) for (i, j), w in zip(graph.edges, graph.strengths(), strict=True)]
    )
    noise = np.array([network.degree(node, weight="weight") for node in range(NODES)]) ** 0.75
    noise /= noise.sum()
    expected = 0.0
    pairs = [(i, j, d["weight"]) for i, j, d in network.edges(data=True)]
    pairs += [] if directed else [(j, i, w) for i, j, w in pairs]
    for scores in _logits(model):
        losses = [w * (-np.log(expit(scores[i, j])) - K * noise @ np.log(expit(-scores[i]))) for i, j, w in pairs]
        expected += sum(losses) / sum(w for *_, w in pairs)
    rounds = 20_000
    batch = {"x": graph.edges.repeat(rounds, 1)}
    if weighted:
        batch["weight"] = graph.strengths().repeat(rounds)
    assert float(model.loss(batch).loss.detach()) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("order", ["first", "second", "both"])
def test_logits_are_the_mean_of_the_orders(order: Order) -> None:
    model = _model(_graph(False, False), order)
    space, expected = model.latent_space, np.mean(_logits(model), 0)
    with torch.no_grad():
        np.testing.assert_allclose(space.decoder(space.table()), expected, atol=1e-12)
        pairs = torch.tensor([[0, 3], [5, 2], [4, 4]])
        np.testing.assert_allclose(space.link_scores(pairs), expected[pairs[:, 0], pairs[:, 1]], atol=1e-12)


@pytest.mark.parametrize("order", ["first", "second", "both"])
def test_known_communities_are_found(order: Order) -> None:
    graph = StochasticBlocks((30, 30, 30), 0.35, 0.02).graph()
    torch.manual_seed(0)
    model = Line(LineLinks(graph.nodes, 8, order))
    model.learn(graph)
    optimizer = model.configure_optimizers()["optimizer"]
    for _ in range(300):
        optimizer.zero_grad()
        loss = model.loss({"x": graph.edges}).loss
        (loss * 2 * len(graph)).backward()
        optimizer.step()
    z = model.latent_space.items().z
    z = np.asarray(z) / np.linalg.norm(z, axis=1, keepdims=True)
    found = KMeans(3, n_init=5, random_state=0).fit_predict(z)
    assert adjusted_rand_score(graph.columns["block"], found) > 0.9


def test_a_node_without_links_is_no_noise() -> None:
    decoder = LineLinks(4, 2)
    decoder.weigh(torch.tensor([2.0, 0.0, 1.0, 0.0]))
    drawn = decoder.contrasted(torch.zeros(20_000, dtype=torch.int64))[:, 1:]
    share = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
    expected = 2**0.75 / (2**0.75 + 1)
    np.testing.assert_allclose(share, [expected, 0, 1 - expected, 0], atol=0.01)


def test_what_line_cannot_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an even latent dimension, half of it for each order, got 3"):
        LineLinks(5, 3)
    with pytest.raises(ValueError, match="expected an order out of first, second, both, got 'third'"):
        LineLinks(5, 2, "third")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Line of order both expected an undirected graph, got a directed graph"):
        _model(_graph(True, False), "both")
    signed = Graph.of([(0, 1), (1, 2)], weights=[1.0, -1.0], signed=True)
    with pytest.raises(ValueError, match="Line of order first expected weights above 0, got -1"):
        _model(signed, "first")
    with pytest.raises(ValueError, match=r"expected links with weights for data\.by_weight"):
        Links(by_weight=True)
