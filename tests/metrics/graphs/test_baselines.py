"""Baselines of link prediction against networkx and the series of Katz's index."""

import networkx as nx
import numpy as np
import pytest
import torch

from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs import (
    BASELINES,
    adamic_adar,
    baselines,
    common_neighbours,
    katz_index,
    preferential_attachment,
    resource_allocation,
)

THEIRS = {
    adamic_adar: nx.adamic_adar_index,
    resource_allocation: nx.resource_allocation_index,
    preferential_attachment: nx.preferential_attachment,
    common_neighbours: lambda g, pairs: ((u, v, len(list(nx.common_neighbors(g, u, v)))) for u, v in pairs),
}


def _networks() -> dict[str, nx.Graph]:
    disconnected = nx.disjoint_union(nx.barbell_graph(4, 2), nx.star_graph(5))
    disconnected.add_nodes_from(range(17, 20))
    return {"karate": nx.karate_club_graph(), "disconnected": disconnected, "one link": nx.path_graph(2)}


@pytest.mark.parametrize("name", ["karate", "disconnected", "one link"])
def test_they_are_those_of_networkx(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = nx.Graph(_networks()[name].edges)
    network.add_nodes_from(range(len(_networks()[name])))
    graph = Graph.of(list(network.edges), len(network))
    pairs = torch.triu_indices(len(network), len(network), 1).T
    for entries in (baselines.ENTRIES, 20):
        monkeypatch.setattr(baselines, "ENTRIES", entries)
        for ours, theirs in THEIRS.items():
            expected = [value for _, _, value in theirs(network, [(int(u), int(v)) for u, v in pairs])]
            np.testing.assert_allclose(ours(graph, pairs).numpy(), expected, rtol=1e-12)


def test_the_index_of_katz_is_the_sum_over_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "ENTRIES", 100)
    network = _networks()["disconnected"]
    graph, a = Graph.of(list(network.edges), len(network)), nx.to_numpy_array(network, weight=None)
    pairs = torch.triu_indices(len(network), len(network), 0).T.flip(0)
    total, power = np.zeros_like(a), np.eye(len(a))
    for _ in range(200):
        power = 0.2 * power @ a
        total += power
    np.testing.assert_allclose(katz_index(graph, pairs, 0.2).numpy(), total[tuple(pairs.T)], rtol=1e-10, atol=1e-14)
    most = 1 / np.linalg.eigvalsh(a).max()
    assert bool(katz_index(graph, pairs, 0.999 * most).isfinite().all())
    with pytest.raises(ValueError, match=f"expected beta above 0 and below {most:g}"):
        katz_index(graph, pairs, 1.001 * most)


def test_weights_and_directions_do_not_count() -> None:
    plain = Graph.of([[0, 1], [1, 2], [0, 2], [2, 3]])
    other = Graph.of([[1, 0], [1, 2], [2, 0], [3, 2], [2, 3]], directed=True, weights=[3.0, 0.1, 7.0, 1.0, 2.0])
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    for ours in BASELINES.values():
        assert torch.equal(ours(plain, pairs), ours(other, pairs))


def test_isolated_nodes_score_nothing_and_other_nodes_are_refused() -> None:
    graph = Graph.of([], 3)
    for ours in BASELINES.values():
        assert ours(graph, torch.tensor([[0, 1], [2, 2]])).tolist() == [0.0, 0.0]
        assert ours(graph, torch.zeros(0, 2, dtype=torch.int64)).shape == (0,)
        with pytest.raises(ValueError, match="expected nodes 0 to 2, got 1 to 3"):
            ours(graph, torch.tensor([[1, 3]]))
        with pytest.raises(ValueError, match="expected pairs of nodes as whole numbers"):
            ours(graph, torch.zeros(3, 2))
