"""Networks that are embedded or made up are those of networkx, or have the probabilities that they say."""

from math import comb

import networkx as nx
import numpy as np
import pytest
import torch

from lsgen.data import KarateClub, LesMiserables, Links, Nodes, StochasticBlocks, Tree
from lsgen.latent.graphs import Graph


@pytest.mark.parametrize(
    ("source", "made"), [(KarateClub, nx.karate_club_graph), (LesMiserables, nx.les_miserables_graph)]
)
def test_embedded_networks(source, made):
    matrix = nx.to_scipy_sparse_array(made())
    assert (source(weighted=True).graph().adjacency() != matrix).nnz == 0
    assert (source().graph().adjacency() != (matrix > 0)).nnz == 0
    assert source().graph().weights is None


def test_the_club_falls_apart():
    club = KarateClub().graph()
    assert club.names == tuple(str(number) for number in range(1, 35))
    sides = dict(zip(club.names, club.columns["club"], strict=True))
    assert [sides[name] for name in ("1", "33", "34")] == ["Mr. Hi", "Officer", "Officer"]


@pytest.mark.parametrize("directed", [False, True])
def test_blocks_are_linked_with_their_probabilities(directed):
    sizes, inside, outside = (60, 30, 80), 0.3, 0.05
    source = StochasticBlocks(sizes, inside, outside, directed, seed=4)
    graph = source.graph()
    assert torch.equal(graph.edges, source.graph().edges)
    block = torch.from_numpy(graph.columns["block"].copy())
    assert block.bincount().tolist() == list(sizes)
    assert graph.names[60] == "1:0"
    counts = torch.zeros(3, 3)
    b = block[graph.edges]
    counts.index_put_((b[:, 0], b[:, 1]), torch.ones(len(b)), accumulate=True)
    for i, j in ((0, 0), (0, 1), (1, 2), (2, 2), (2, 0)):
        pairs = comb(sizes[i], 2) * (1 + directed) if i == j else sizes[i] * sizes[j]
        p = inside if i == j else outside
        found = counts[i, j] if directed or i <= j else 0
        assert abs(found - p * pairs * (directed or i <= j)) < 4.5 * (pairs * p * (1 - p)) ** 0.5
    if directed:  # both directions are drawn by themselves
        both = (graph.adjacency() > 0).multiply((graph.adjacency() > 0).T).sum() / 2
        expected = sum(comb(n, 2) for n in sizes) * inside**2 + (60 * 30 + 60 * 80 + 30 * 80) * outside**2
        assert abs(both - expected) < 4.5 * expected**0.5
    assert len(StochasticBlocks((5, 4), 1.0, 0.0).graph()) == 16
    for options in ({"sizes": ()}, {"sizes": (3, 0)}, {"seed": -1}, {"inside": 1.5}, {"outside": float("nan")}):
        with pytest.raises(
            ValueError, match=r"expected (blocks of at least one node|probabilities inside and outside)"
        ):
            StochasticBlocks(**options)


@pytest.mark.parametrize(("branching", "depth"), [(3, 4), (1, 5), (2, 1)])
def test_trees_are_those_of_networkx(branching, depth):
    graph = Tree(branching, depth).graph()
    made = nx.balanced_tree(branching, depth)
    assert {tuple(edge) for edge in graph.edges.tolist()} == {tuple(sorted(edge)) for edge in made.edges}
    level = nx.single_source_shortest_path_length(made, 0)
    assert graph.columns["level"].tolist() == [level[node] for node in range(graph.nodes)]
    up = Tree(branching, depth, directed=True).graph()
    assert (up.edges[:, 0] > up.edges[:, 1]).all()
    for options in ((0, 3), (3, 0), (10, 9), (1, 10**9)):
        with pytest.raises(ValueError, match=r"expected a (branching and a depth of at least 1|tree of at most)"):
            Tree(*options)


class Signed:
    """Three nodes and two signed links."""

    def graph(self):
        return Graph.of([[0, 1], [2, 1]], weights=[-2.0, 0.5], signed=True, directed=True)


def test_links_have_their_weights_and_nodes_are_all_there():
    data = Links(graph=LesMiserables(weighted=True), split={"connected": True}, batch_size=16)
    matrix = nx.to_scipy_sparse_array(nx.les_miserables_graph())
    for split in ("train", "val", "test"):
        part = data.dataset(split)
        batch = part[torch.arange(len(part))]
        i, j = batch["x"].T.numpy()
        assert np.array_equal(batch["weight"].numpy(), matrix[i, j])
        assert batch["weight"].dtype == torch.float32
    signed = Links(graph=Signed(), split={"kind": "none"}, batch_size=2)
    whole = signed.dataset("train")[torch.arange(2)]
    assert (whole["x"].tolist(), whole["weight"].tolist()) == ([[0, 1], [2, 1]], [-2.0, 0.5])
    assert signed.counts.tolist() == [1, 2, 1]
    nodes = Nodes(split={"kind": "degree"})
    assert nodes.counts.tolist() == nodes.graph.degrees().tolist()
    assert nodes.dataset("val")[torch.arange(34)]["x"].tolist() == [[node] for node in range(34)]
    assert (nodes.nodes, nodes.vocabulary, nodes.features) == (34, nodes.whole.names, None)


def test_networks_that_no_data_set_can_be_are_refused():
    class Empty:
        def graph(self):
            return Graph.of([], 3)

    with pytest.raises(ValueError, match="Links expected a graph of at least 1 links, got 0"):
        Links(graph=Empty())
    with pytest.raises(ValueError, match=r"expected data.nodes of 34, which Graph\(34 nodes, 78 .* has, got 33"):
        Nodes(nodes=33)
