"""Links are held out as the split says, and pairs without a link have the probabilities that it says."""

from itertools import combinations, permutations

import networkx as nx
import numpy as np
import pytest
import torch

from lsgen.data import CitationGraph, KarateClub, LesMiserables, Links, LinkSplit, Loading, StochasticBlocks, Tree
from lsgen.data.graphs import non_links
from lsgen.data.graphs.non_links import draw_non_links
from lsgen.latent.graphs import Graph

PARTS = ("train", "val", "test")


class Given:
    """A network that is there."""

    def __init__(self, graph):
        self._graph = graph

    def graph(self):
        return self._graph


def timed(times, directed=True):
    edges = np.array(list(combinations(range(12), 2)))[: len(times)]
    return Graph.of(edges, 12, directed=directed, times=times)


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_random_parts_are_disjoint_and_of_their_sizes(connected, directed):
    graph = StochasticBlocks((40, 30), 0.15, 0.02, directed).graph()
    split = LinkSplit(val_size=30, test_size=0.2, connected=connected)
    rows = split.rows(graph, 0)
    assert torch.equal(torch.cat([rows[part] for part in PARTS]).sort().values, torch.arange(len(graph)))
    assert (len(rows["val"]), len(rows["test"])) == (30, round(0.2 * len(graph)))
    assert all(torch.equal(part, split.rows(graph, 0)[name]) for name, part in rows.items())
    assert not torch.equal(rows["test"], split.rows(graph, 1)["test"])
    of = whole = graph.components()
    if connected:
        of = graph.kept(torch.isin(torch.arange(len(graph)), rows["train"])).components()
        assert torch.equal(of, whole)


def test_components_stay_whole_down_to_a_spanning_forest():
    club = KarateClub().graph()
    rows = LinkSplit(val_size=20, test_size=78 - 33 - 20, connected=True).rows(club, 3)
    tree = nx.Graph(club.edges[rows["train"]].tolist())
    assert nx.is_tree(tree)
    assert len(tree) == 34
    with pytest.raises(ValueError, match=r"expected 46 links that can be held out with every component whole, got 45"):
        LinkSplit(val_size=20, test_size=26, connected=True).rows(club, 3)
    both = Graph.of([[0, 1], [1, 0], [1, 2], [2, 1]], directed=True)  # opposite links are two ways between the same
    for seed in range(8):
        kept = LinkSplit(val_size=1, test_size=1, connected=True).rows(both, seed)["train"]
        assert {tuple(sorted(edge)) for edge in both.edges[kept].tolist()} == {(0, 1), (1, 2)}
    with pytest.raises(ValueError, match=r"got 0 of 39: lower data.split.val_size"):
        LinkSplit(connected=True).rows(Tree(3, 3).graph(), 0)


def test_every_link_is_held_out_equally_often():
    club, seeds = KarateClub().graph(), 600
    often = torch.zeros(78)
    for seed in range(seeds):
        often[LinkSplit(test_size=0.5, val_size=0).rows(club, seed)["test"]] += 1
    assert ((often / seeds - 0.5).abs() < 5 * (0.25 / seeds) ** 0.5).all()


def test_the_latest_links_are_held_out_those_of_one_time_together():
    times = np.random.default_rng(0).permutation(np.repeat(np.arange(10.0), 6))
    graph = timed(times)
    rows = LinkSplit("time", 0.1, 0.2).rows(graph, 0)
    found = {part: set(times[rows[part].numpy()]) for part in PARTS}
    assert found == {"train": {*range(7)}, "val": {7}, "test": {8, 9}}
    assert sum(map(len, rows.values())) == 60
    uneven = np.array([0.0] * 30 + [1.0] * 3 + [2.0] * 20)  # each part has a time of its own, however many links it has
    rows = LinkSplit("time", 0.05, 0.05).rows(timed(uneven), 0)
    assert [len(rows[part]) for part in PARTS] == [30, 3, 20]
    assert [len(part) for part in LinkSplit("time", 0, 0.4).rows(timed(uneven), 0).values()] == [33, 0, 20]
    with pytest.raises(ValueError, match=r"expected links of at least 3 times, so that each split has .*, got 2 in"):
        LinkSplit("time").rows(timed(uneven[20:33]), 0)
    with pytest.raises(ValueError, match=r"expected links with times for data.split.kind=time, got Graph\(34 nodes"):
        LinkSplit("time").rows(KarateClub().graph(), 0)


def test_links_of_nodes_that_training_does_not_know():
    star = Graph.of([[0, 1], [0, 2], [0, 3], [0, 4]], names=["hub", "a", "b", "c", "d"], times=[0, 1, 2, 3])
    sentence = r"got 2 links of 2 nodes without, such as 'c': data.split.unknown=drop leaves them out"
    sizes = {"kind": "time", "val_size": 1, "test_size": 1}
    warned = LinkSplit(**sizes)
    assert {part: rows.tolist() for part, rows in warned.rows(star, 0).items()} == {
        "train": [0, 1],
        "val": [2],
        "test": [3],
    }
    data = Links(graph=Given(star), split=warned, batch_size=1)
    with pytest.warns(UserWarning, match=sentence):
        data.setup("fit")
    with pytest.raises(ValueError, match=sentence):
        LinkSplit(**sizes, unknown="refuse").rows(star, 0)
    dropped = LinkSplit(**sizes, unknown="drop").rows(star, 0)
    assert {part: rows.tolist() for part, rows in dropped.items()} == {"train": [0, 1], "val": [], "test": []}


def test_links_of_training_are_asked_where_none_is_held_out():
    data = Links(graph=KarateClub(), split={"kind": "none"}, batch_size=4)
    assert [len(data.dataset(part)) for part in PARTS] == [78, 78, 78]
    assert torch.equal(data.graph.edges, data.whole.edges)
    assert all(part.shape == (0, 2) for part in vars(data.held_out("test")).values())


@pytest.mark.parametrize("kind", ["random", "degree"])
@pytest.mark.parametrize("directed", [False, True])
def test_held_out_pairs_are_links_and_none(kind, directed):
    source = StochasticBlocks((60, 50), 0.2, 0.02, directed)
    options = {"graph": source, "split": {"kind": kind, "negatives": 2.5}}
    data = Links(**options)
    parts = {part: data.held_out(part) for part in ("val", "test")}
    for part, held in parts.items():
        assert torch.equal(held.positive, data.dataset(part)[torch.arange(len(data.dataset(part)))]["x"])
        assert not data.graph.has(held.positive).any()
        assert data.whole.has(held.positive).all()
        assert len(held.negative) == round(2.5 * len(held.positive))
        assert torch.equal(held.negative, Links(**options, seed=1).held_out(part).negative)
        other = Links(**options, loading=Loading(split_seed=1)).held_out(part)
        assert not torch.equal(held.negative, other.negative[: len(held.negative)])
    negative = torch.cat([held.negative for held in parts.values()])
    assert not data.whole.has(negative).any()
    assert len(negative.unique(dim=0)) == len(negative)
    assert (negative[:, 0] != negative[:, 1]).all() if directed else (negative[:, 0] < negative[:, 1]).all()
    with pytest.raises(ValueError, match='expected a held-out split, "val" or "test", got \'train\''):
        data.held_out("train")


@pytest.mark.parametrize("by_degree", [False, True])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("few", [0, 10**6])
def test_pairs_without_a_link_have_their_probabilities(by_degree, directed, few, monkeypatch):
    monkeypatch.setattr(non_links, "FEW", few)  # 0: drawn and refused; else listed
    graph = Graph.of([[0, 1], [0, 2], [0, 3], [1, 2], [3, 4], [4, 0]], directed=directed)
    linked = nx.DiGraph(graph.edges.tolist()) if directed else nx.Graph(graph.edges.tolist())
    out, into = (dict(linked.out_degree()), dict(linked.in_degree())) if directed else (dict(linked.degree()),) * 2
    pairs = permutations(range(5), 2) if directed else combinations(range(5), 2)
    weights = {pair: out[pair[0]] * into[pair[1]] if by_degree else 1 for pair in pairs if not linked.has_edge(*pair)}
    rng, draws = np.random.default_rng(5), 1500
    found = [tuple(draw_non_links(graph, 1, by_degree, rng)[0].tolist()) for _ in range(draws)]
    assert set(found) <= set(weights)
    for pair, weight in weights.items():
        p = weight / sum(weights.values())
        assert abs(found.count(pair) / draws - p) < 4.5 * (p * (1 - p) / draws) ** 0.5 + 1e-12
    everything = draw_non_links(graph, sum(weight > 0 for weight in weights.values()), by_degree, rng)
    assert {tuple(pair) for pair in everything.tolist()} == {pair for pair, weight in weights.items() if weight}
    with pytest.raises(ValueError, match=r"expected 99 pairs.* without a link to tell from held-out links, got \d+ in"):
        draw_non_links(graph, 99, by_degree, rng)


def test_degree_corrected_pairs_have_the_degrees_of_links():
    source = LesMiserables()
    degree = source.graph().degrees().double()
    rng = np.random.default_rng(0)
    reached = degree.square().sum() / degree.sum()
    corrected = degree[draw_non_links(source.graph(), 150, True, rng)].mean()
    uniform = degree[draw_non_links(source.graph(), 150, False, rng)].mean()
    assert abs(corrected - reached) < 0.25 * reached
    assert uniform < 0.6 * reached


def test_options_out_of_range_are_refused():
    for options, sentence in (
        ({"kind": "years"}, "expected data.split.kind to be one of random, degree, time, none, got 'years'"),
        ({"unknown": "ask"}, "expected data.split.unknown to be one of warn, drop, refuse, got 'ask'"),
        ({"negatives": 0.0}, "expected data.split.negatives above 0, got 0.0"),
        ({"kind": "time", "connected": True}, "expected data.split.connected=false with a split by time"),
    ):
        with pytest.raises(ValueError, match=sentence):
            LinkSplit(**options)
    for options, sentence in (
        (
            {"val_size": 0.5, "test_size": 0.5},
            "expected sizes that leave some of 78 links for training, got val_size = 39",
        ),
        ({"val_size": 1.5}, r"expected val_size to be a number of observations or a fraction in \[0, 1\)"),
        ({"size": 1}, "expected split to be a mapping with some of kind, val_size, .* got size"),
        ({"connected": "no"}, "expected data.split.connected to be true or false, got 'no'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Links(graph=KarateClub(), split=options)


def test_citations_with_features():
    try:
        data = Links(graph=CitationGraph("citeseer"), split={"connected": True}, batch_size=128)
    except FileNotFoundError:
        pytest.skip("the files of citeseer are not in LSGEN_DATA_DIR")
    assert (data.nodes, len(data.whole), data.features.shape) == (3327, 4552, (3327, 3703))
    assert torch.equal(data.graph.components(), data.whole.components())
    assert set(data.features.data.tolist()) == {1.0}
    with pytest.raises(ValueError, match=r"expected data.graph.name to be cora or citeseer, got 'pubmed'"):
        CitationGraph("pubmed")
    with pytest.raises(FileNotFoundError, match=r"expected the cora data at .*cora.npz, found nothing"):
        CitationGraph(root="/nowhere").graph()


def test_a_split_without_links_says_what_sets_their_number():
    data = Links(graph=KarateClub(), split={"val_size": 0}, batch_size=8)
    with pytest.raises(
        ValueError, match=r"Links expected at least one of 78 links in the val split, .*data.split.val_size"
    ):
        data.val_dataloader()
