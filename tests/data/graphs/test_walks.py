"""Random walks against enumerated probabilities of their transitions, powers of matrices and walks drawn otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from lsgen.data import Links, Loading, StochasticBlocks, Walks
from lsgen.data.graphs.walks import expected_visits
from lsgen.data.sampler import ShuffledBatches
from lsgen.latent.graphs import Graph

pytest.importorskip("numba")

NONE = {"kind": "none"}


@dataclass(frozen=True)
class Given:
    """A network that is given."""

    found: Graph

    def graph(self) -> Graph:
        return self.found


def _random(nodes: int, links: int, seed: int, directed: bool, weighted: bool) -> Graph:
    rng = np.random.default_rng(seed)
    edges = rng.integers(nodes, size=(links, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    found = Graph.of(edges, nodes, directed=directed, duplicates="first")
    weights = np.exp(rng.normal(size=len(found))) if weighted else None
    return Graph.of(found.edges, nodes, directed=directed, weights=weights)


def _transitions(graph: Graph, p: float, q: float, before: int, here: int) -> np.ndarray:
    """Return the probabilities (N,) of node2vec by their definition."""
    weights = graph.adjacency().toarray()
    alpha = np.where(weights[before] > 0, 1.0, 1 / q) if before >= 0 else np.ones(graph.nodes)
    if before >= 0:
        alpha[before] = 1 / p
    found = alpha * weights[here]
    return found / found.sum()


def _transition_counts(walks: np.ndarray, nodes: int) -> dict[tuple[int, int], np.ndarray]:
    """Return how often each node came after two others, by (node before or -1 at the start, node)."""
    begun = np.concatenate([np.full((len(walks), 1), -1), walks], 1)
    steps = np.stack([begun[:, :-2], begun[:, 1:-1], begun[:, 2:]], -1).reshape(-1, 3)
    steps = steps[steps[:, 2] >= 0] + [1, 0, 0]
    counts = np.bincount(steps @ [nodes**2, nodes, 1], minlength=(nodes + 1) * nodes**2).reshape(-1, nodes, nodes)
    return {(int(t) - 1, int(v)): counts[t, v] for t, v in np.argwhere(counts.sum(-1))}


def _misfit(graph: Graph, walks: np.ndarray, p: float, q: float) -> tuple[float, int]:
    """Return Pearson's chi-square of all transitions, those that are rare taken together, and its degrees of freedom.

    What is expected less than 5 times in all may not come much more often.
    """
    square, freedom = 0.0, 0
    for (before, here), counts in _transition_counts(walks, graph.nodes).items():
        wanted = _transitions(graph, p, q, before, here) * counts.sum()
        assert not counts[wanted == 0].any()
        often = wanted > 5
        rare = wanted[~often].sum()
        assert counts[~often].sum() < rare + 6 * np.sqrt(rare) + 6
        square += float(((counts - wanted)[often] ** 2 / wanted[often]).sum())
        freedom += max(int(often.sum()) - 1, 0)
    return square, freedom


def _walks(graph: Graph, p: float, q: float, length: int, per_node: int) -> np.ndarray:
    data = Walks(graph=Given(graph), split=NONE, walk={"p": p, "q": q, "length": length, "per_node": per_node})
    rows = data.dataset("train")
    return rows[torch.arange(len(rows))]["x"].numpy()


@pytest.mark.parametrize(
    ("p", "q", "directed", "weighted"),
    [
        (1, 1, False, False), (1, 1, True, True), (0.25, 4, False, True), (4, 0.25, True, True), (0.5, 2, True, False),
        (3, 3, False, True), (0.3, 0.3, False, False), (1, 5, False, False), (5, 1, False, True),
    ],
)  # fmt: skip
def test_transitions_are_those_of_the_definition(p: float, q: float, directed: bool, weighted: bool) -> None:
    graph = _random(9, 60 if directed else 40, 3, directed, weighted)
    walks = _walks(graph, p, q, 60, 1000)
    square, freedom = _misfit(graph, walks, p, q)
    assert freedom > 40
    assert square < chi2.isf(1e-4, freedom)
    for wrong in ((1.4 * p, q), (p, 1.4 * q)):
        square, freedom = _misfit(graph, walks, *wrong)
        assert square > chi2.isf(1e-12, freedom)


@pytest.mark.parametrize(("p", "q"), [(1e6, 1), (1e6, 1e6), (1, 1e6), (1e-6, 1), (1, 1e-6), (1e-6, 1e6), (1e6, 1e-6)])
def test_extreme_parameters_are_exact_as_well(p: float, q: float) -> None:
    star = [(0, x) for x in range(1, 9)] + [(1, 2), (2, 3), (8, 9), (9, 10), (10, 8)]
    graph = Graph.of(star, weights=np.linspace(0.2, 3, len(star)))
    walks = _walks(graph, p, q, 40, 1500)
    square, freedom = _misfit(graph, walks, p, q)
    assert square < chi2.isf(1e-4, max(freedom, 1))


def test_weights_over_many_orders_of_magnitude_keep_their_proportion() -> None:
    weights = 10.0 ** np.array([-12, 6, 3, 5.5, 6])
    graph = Graph.of([(0, x) for x in range(1, 6)], directed=True, weights=weights)
    counts = np.bincount(_walks(graph, 1, 1, 2, 200_000)[:, 1], minlength=6)[1:]
    expected = weights / weights.sum() * counts.sum()
    assert counts[0] == 0
    assert ((counts - expected)[1:] ** 2 / expected[1:]).sum() < chi2.isf(1e-4, 3)


def test_walks_end_where_no_link_leaves_and_start_where_one_does() -> None:
    graph = Graph.of([(0, 1), (1, 2), (3, 2)], 5, directed=True)
    data = Walks(graph=Given(graph), split=NONE, walk={"length": 4, "per_node": 1, "q": 2.0})
    rows = data.dataset("train")
    assert rows[torch.arange(len(rows))]["x"].tolist() == [[0, 1, 2, -1], [1, 2, -1, -1], [3, 2, -1, -1]]
    assert data.counts.tolist() == [1, 2, 3, 1, 0]
    assert set(data.dataset("val")[torch.arange(64)]["x"][:, 0].tolist()) <= {0, 1, 3}


@pytest.mark.parametrize("directed", [False, True])
def test_expected_visits_are_those_of_many_walks(directed: bool) -> None:
    graph = _random(12, 20, 1, directed, weighted=True)
    per_node = 20_000
    walks = _walks(graph, 1, 1, 7, per_node)
    counts = np.bincount(walks[walks >= 0], minlength=12) / per_node
    np.testing.assert_allclose(counts, expected_visits(graph, 7).numpy(), atol=0.06)


def test_a_walk_depends_on_seed_epoch_and_its_number_alone() -> None:
    def epochs(batch_size: int, workers: int = 0, seed: int = 3) -> list[Counter[tuple[int, ...]]]:
        data = Walks(graph=StochasticBlocks((20, 20)), split=NONE, walk={"q": 0.5, "length": 9, "per_node": 3},
                     batch_size=batch_size, seed=seed, loading=Loading(num_workers=workers))  # fmt: skip
        loader = data.train_dataloader()
        assert isinstance(loader.sampler, ShuffledBatches)
        found = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            found.append(Counter(tuple(row) for batch in loader for row in batch["x"].tolist()))
        return found

    first, second = epochs(7)
    assert [first, second] == epochs(64) == epochs(10, workers=2)
    assert first != second
    assert first != epochs(7, seed=4)[0]
    assert sum((first & second).values()) < sum(first.values()) / 4


def test_held_out_walks_are_the_same_for_every_seed_and_go_along_links_of_training() -> None:
    def of(seed: int) -> Walks:
        return Walks(graph=StochasticBlocks((30, 30)), split={"kind": "random", "test_size": 0.3}, seed=seed)

    one, other = of(0), of(1)
    for split in ("val", "test"):
        x, same = (data.dataset(split)[torch.arange(64)]["x"] for data in (one, other))
        assert torch.equal(x, same)
        assert one.graph.has(torch.stack([x[:, :-1], x[:, 1:]], -1).reshape(-1, 2)).all()
    assert not torch.equal(one.dataset("val")[torch.arange(64)]["x"], one.dataset("test")[torch.arange(64)]["x"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"p": 0}, "expected data.walk.p and q above 0 and finite, got 0 and 1.0"),
        ({"q": float("nan")}, "expected data.walk.p and q above 0 and finite, got 1.0 and nan"),
        ({"length": 1}, "expected data.walk.length of at least 2 nodes"),
        ({"r": 1}, "expected walk to be a mapping with some of p, q, length, per_node, held_out, got r"),
    ],
)
def test_what_is_no_walk_is_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Walks(walk=options)


def test_networks_without_walks_are_refused() -> None:
    signed = Graph.of([(0, 1), (1, 2)], weights=[1.0, -2.0], signed=True)
    with pytest.raises(ValueError, match="Walks expected weights above 0, got -2"):
        Walks(graph=Given(signed), split=NONE)
    with pytest.raises(ValueError, match="Walks expected a graph of at least 1 link"):
        Walks(graph=Given(Graph.of([], 3)), split=NONE)


def test_links_are_drawn_in_proportion_to_their_weights() -> None:
    weights = np.array([0.1, 1, 2, 5, 0.5])
    graph = Given(Graph.of([(0, k) for k in range(1, 6)], weights=weights))
    data = Links(graph=graph, split=NONE, by_weight=True, batch_size=2)
    batches = data.train_dataloader().sampler
    assert isinstance(batches, ShuffledBatches)
    counts = np.bincount(torch.cat([batches.order(epoch) for epoch in range(4000)]), minlength=5)
    expected = weights / weights.sum() * counts.sum()
    assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-4, 4)
    assert torch.equal(batches.order(7), batches.order(7))
    assert "weight" not in next(iter(data.train_dataloader()))
    assert "weight" in next(iter(data.val_dataloader()))
