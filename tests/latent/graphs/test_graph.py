"""Graphs against networkx, and what is refused."""

import pickle
from copy import deepcopy

import networkx as nx
import numpy as np
import pytest
import torch

from lsgen.latent.graphs import Graph


@pytest.fixture(params=[False, True], ids=["undirected", "directed"])
def pair(request):
    """Return a random weighted graph with isolated nodes and several components, and the same in networkx."""
    rng = np.random.default_rng(3)
    links = np.unique(rng.integers(0, 40, (60, 2)), axis=0)
    links = links[links[:, 0] != links[:, 1]]
    if not request.param:
        links = np.unique(np.sort(links, 1), axis=0)
    links, weights = rng.permutation(links), rng.random(len(links)) + 0.5
    theirs = nx.DiGraph() if request.param else nx.Graph()
    theirs.add_nodes_from(range(50))
    theirs.add_weighted_edges_from((int(i), int(j), w) for (i, j), w in zip(links, weights, strict=True))
    flipped = links if request.param else links[:, ::-1]
    return Graph.of(flipped, 50, directed=request.param, weights=weights), theirs


def test_what_follows_from_links_is_that_of_networkx(pair):
    ours, theirs = pair
    assert np.array_equal(ours.adjacency().toarray(), nx.to_numpy_array(theirs, range(50)))
    assert np.array_equal(ours.adjacency(False).toarray(), nx.to_numpy_array(theirs, range(50), weight=None))
    out, into = (theirs.out_degree, theirs.in_degree) if ours.directed else (theirs.degree, theirs.degree)
    assert ours.degrees().tolist() == [out[i] for i in range(50)]
    assert ours.in_degrees().tolist() == [into[i] for i in range(50)]
    assert ours.isolated().tolist() == [theirs.degree[i] == 0 for i in range(50)]
    parts = list(nx.weakly_connected_components(theirs) if ours.directed else nx.connected_components(theirs))
    of = ours.components()
    assert len(parts) == int(of.max()) + 1 > 3
    assert all(len(set(of[list(part)].tolist())) == 1 for part in parts)
    assert ours.largest_component().nodes == max(map(len, parts))
    everything = torch.cartesian_prod(torch.arange(50), torch.arange(50))
    assert ours.has(everything).tolist() == [theirs.has_edge(int(i), int(j)) for i, j in everything]
    assert not ours.has(torch.tensor([[0, 50], [-1, 0], [50, 50]])).any()


def test_undirected_adds_what_goes_both_ways():
    graph = Graph.of([[0, 1], [1, 0], [2, 1]], directed=True, weights=[1, 2, 4], times=[5, 3, 1]).undirected()
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.weights.tolist() == [3, 4]
    assert graph.times.tolist() == [3, 1]
    plain = Graph.of([[0, 1], [1, 0]], directed=True).undirected()
    assert plain.weights is None
    assert len(plain) == 1


def test_a_part_of_a_graph_keeps_names_columns_weights_and_times():
    graph = Graph.of(
        [[0, 1], [1, 2], [2, 3], [3, 0]], weights=[1, 2, 3, 4], times=[1, 2, 3, 4], names="abcd",
        columns={"kind": ["x", "y", "z", "w"], "size": torch.arange(4)},
    )  # fmt: skip
    part = graph.subgraph(torch.tensor([False, True, True, True]))
    assert part.names == ("b", "c", "d")
    assert part.edges.tolist() == [[0, 1], [1, 2]]
    assert part.weights.tolist() == [2, 3] == part.times.tolist()
    assert part.columns["kind"].tolist() == ["y", "z", "w"]
    assert part.columns["size"].tolist() == [1, 2, 3]
    some = graph.kept(torch.tensor([True, False, False, True]))
    assert some.nodes == 4
    assert some.edges.tolist() == [[0, 1], [0, 3]]
    assert some.weights.tolist() == [1, 4]
    assert graph.numbers(["d", "a"]).tolist() == [3, 0]
    with pytest.raises(ValueError, match="got 1 others, such as 'e'"):
        graph.numbers(["a", "e"])


@pytest.mark.parametrize(("duplicates", "weights", "times"), [("first", [1, 4], [9, 1]), ("add", [3, 4], [7, 1])])
def test_links_that_are_given_twice(duplicates, weights, times):
    links = [[3, 1], [2, 1], [1, 3], [2, 2]]
    options = {"duplicates": duplicates, "loops": "drop"}
    graph = Graph.of(links, weights=[1, 4, 2, 8], times=[9, 1, 7, 0], **options)
    assert graph.edges.tolist() == [[1, 3], [1, 2]]
    assert graph.weights.tolist() == weights
    assert graph.times.tolist() == times
    counted = Graph.of(links, **options).weights
    assert counted is None if duplicates == "first" else counted.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("links", "options", "sentence"),
    [
        ([[0, 1], [1, 0]], {}, "expected every link once, got 1 again, such as that of '0' and '1'"),
        ([[0, 1], [0, 1]], {"directed": True}, "expected every link once"),
        ([[0, 0]], {}, "expected no link from a node to itself, got 1, such as that of '0'"),
        ([[0, 5]], {"nodes": 3}, "expected links between nodes 0 to 2, got one with node 5"),
        ([[0, -1]], {}, "got one with node -1"),
        ([[0.0, 1.0]], {}, "expected links as whole numbers of their two ends, got float64"),
        ([[0, 1, 2]], {}, r"expected links as whole numbers of their two ends, \(E, 2\), got \(1, 3\)"),
        ([[0, 1]], {"weights": [np.nan]}, "expected finite weights of links, got nan of link 0"),
        ([[0, 1]], {"weights": [-1]}, "expected weights above 0 of links of a graph without signs, got -1 of link 0"),
        ([[0, 1]], {"weights": [0]}, "expected weights above 0"),
        ([[0, 1]], {"weights": [1, 2]}, r"expected weights of 1 links, \(1,\), got \(2,\)"),
        ([[0, 1]], {"times": [np.inf]}, "expected finite times of links, got inf of link 0"),
        ([[0, 1]], {"names": "aa"}, "expected a name of each of 2 nodes, all different, got 1"),
        ([[0, 1]], {"names": "a"}, "expected links between nodes 0 to 0, got one with node 1"),
        ([], {}, "expected a graph of at least one node, got none"),
        ([(0, 2**40)], {}, "expected the nodes numbered from 0 on, at most 134217728, got node 1099511627776"),
        ([[0, 1]], {"columns": {"x": [1, 2, 3]}}, "expected 2 values in the column 'x'"),
        ([[0, 1]], {"loops": "keep"}, "got 'refuse' and 'keep'"),
    ],
)
def test_what_is_no_graph_is_refused_in_a_sentence(links, options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        Graph.of(links, **options)


@pytest.mark.parametrize(
    ("graph", "options", "sentence"),
    [
        (Graph.of([[0, 1]], directed=True), {"directed": False}, "Map expected an undirected graph, got a directed"),
        (Graph.of([[0, 1]]), {"directed": True}, "Map expected a directed graph, got an undirected graph"),
        (Graph.of([[0, 1]], weights=[-1], signed=True), {}, "Map expected weights above 0, got -1"),
        (Graph.of([], 3), {}, "Map expected a graph of at least 1 links, got 0"),
        (Graph.of([[0, 1]], 4), {"connected": True}, "got one of 3 components, 2 of which are nodes without a link"),
        (Graph.of([[0, 1], [2, 3]]), {"connected": True}, "got one of 2 components$"),
    ],
)
def test_a_model_refuses_what_it_cannot_use(graph, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        graph.require("Map", **options)


def test_signed_weights_are_allowed_where_they_are_said_to_be():
    graph = Graph.of([[0, 1], [1, 2]], weights=[-1, 2], signed=True)
    graph.require("Map", signed=True, directed=False, connected=True)
    assert graph.adjacency().sum() == 2
    assert repr(graph) == "Graph(3 nodes, 2 signed weighted undirected links)"


def test_one_node_without_links_is_a_graph():
    graph = Graph.of([], 1)
    assert len(graph) == 0
    assert graph.adjacency().shape == (1, 1)
    assert graph.isolated().tolist() == [True]
    assert graph.components().tolist() == [0]
    assert graph.largest_component().nodes == 1
    assert not graph.has(torch.tensor([[0, 0]])).any()


def test_a_graph_can_be_copied_and_sent_to_other_processes():
    graph = Graph.of([[0, 1], [1, 2]], weights=[1, 2], names="abc", columns={"kind": ["x", None, "z"]})
    for copy in (deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert torch.equal(copy.edges, graph.edges)
        assert torch.equal(copy.weights, graph.weights)
        assert copy.names == graph.names
        assert copy.columns["kind"].tolist() == ["x", None, "z"]
        assert not copy.columns["kind"].flags.writeable
