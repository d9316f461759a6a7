"""The likelihood of the S1 model is that of its formula, with its derivatives."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.models.graphs.s1 import Candidates, likelihood, refinement, start
from lsgen.models.graphs.s1.likelihood import PairLikelihood
from lsgen.models.graphs.s1.refinement import ascend, swept


def _graph(nodes: int, directed: bool, seed: int = 0, links: int = 3) -> Graph:
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes, (links * nodes, 2))
    return Graph.of(pairs, nodes, directed=directed, loops="drop", duplicates="first")


def _coordinates(pairs: PairLikelihood, directed: bool, beta: float = 2.2, seed: int = 1) -> S1Coordinates:
    rng, nodes = np.random.default_rng(seed), len(pairs.links)
    theta = torch.from_numpy(rng.uniform(0, 6.28, nodes))
    log_out, log_in = torch.from_numpy(rng.normal(1, 0.4, (2, nodes)))
    at = torch.tensor(beta, dtype=torch.float64)
    return S1Coordinates(theta, log_out, log_in if directed else log_out, at, pairs.mu(at))


def _naive(graph: Graph, theta: Tensor, log_out: Tensor, log_in: Tensor, beta: Tensor) -> Tensor:
    """Return log L, pair by pair."""
    n, linked = graph.nodes, {tuple(pair) for pair in graph.edges.tolist()}
    mean = len(graph) / n * (1 if graph.directed else 2)
    mu, total = beta * torch.sin(math.pi / beta) / (2 * math.pi * mean), torch.zeros((), dtype=torch.float64)
    for i in range(n):
        for j in range(n) if graph.directed else range(i + 1, n):
            if i != j:
                delta = torch.acos(torch.cos(theta[i] - theta[j]))
                ratio = n / (2 * math.pi) * delta / (mu * torch.exp(log_out[i] + log_in[j]))
                p = 1 / (1 + ratio**beta)
                total = total + torch.log(p if (i, j) in linked else 1 - p)
    return total


@pytest.mark.parametrize("directed", [False, True])
def test_it_is_the_sum_over_pairs_with_its_derivatives(directed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = _graph(13, directed)
    pairs = PairLikelihood(graph)
    at = _coordinates(pairs, directed)
    leaves = [x.clone().requires_grad_() for x in (at.theta, at.log_out, at.log_in, at.beta)]
    expected = _naive(graph, leaves[0], leaves[1], leaves[2] if directed else leaves[1], leaves[3])
    slopes = torch.autograd.grad(expected, leaves, allow_unused=True)
    for size in (2**18, 20):  # all pairs at once, and row by row
        monkeypatch.setattr(likelihood, "_PAIRS", size)
        torch.testing.assert_close(pairs.log_likelihood(at), expected.detach())
        found = pairs.gradients(at)
        into = slopes[2] if directed else torch.zeros(13, dtype=torch.float64)
        sides = at.log_out @ pairs.out_sides + directed * at.log_in @ pairs.in_sides
        torch.testing.assert_close(found.value, expected.detach() + sides)
        of_in = into + directed * pairs.in_sides
        expected_slopes = (slopes[0], slopes[1] + pairs.out_sides, of_in, slopes[3])
        for own, other in zip((found.theta, found.log_out, found.log_in, found.beta), expected_slopes, strict=True):
            torch.testing.assert_close(own, other, rtol=1e-7, atol=1e-7)


def test_nodes_without_links_and_with_all_of_them_are_told() -> None:
    pairs = PairLikelihood(Graph.of([[0, 1], [0, 2], [0, 3], [1, 2]], 4))
    assert pairs.out_sides.tolist() == [-0.5, 0, 0, 0]
    pairs = PairLikelihood(Graph.of([[0, 1], [0, 2], [3, 0]], 4, directed=True))
    assert pairs.out_sides.tolist() == [0.125, 0.625, 0.625, 0.125]
    assert pairs.in_sides.tolist() == [0.25, 0.25, 0.25, 0.75]


def test_two_nodes_at_one_angle_are_surely_linked() -> None:
    graph = Graph.of([[0, 1], [1, 2], [0, 2]], 4)
    pairs = PairLikelihood(graph)
    at = _coordinates(pairs, False)
    at = replace(at, theta=torch.tensor([1.0, 1.0, 2.0, 4.0], dtype=torch.float64))
    assert bool(pairs.log_likelihood(at).isfinite())
    assert bool(pairs.gradients(at).theta.isfinite().all())


@pytest.mark.parametrize("directed", [False, True])
def test_a_sweep_never_makes_the_network_less_likely(directed: bool) -> None:
    graph = _graph(30, directed, seed=2)
    pairs = PairLikelihood(graph)
    at, generator = _coordinates(pairs, directed), torch.Generator().manual_seed(0)
    before = pairs.log_likelihood(at)
    for _ in range(3):
        at = swept(pairs, at, Candidates(steps=3, neighbours=4, anywhere=2), generator)
        after = pairs.log_likelihood(at)
        assert float(after) > float(before)
        before = after


@pytest.mark.slow
@pytest.mark.parametrize("directed", [False, True])
def test_at_the_likeliest_place_expected_degrees_are_the_observed_ones(directed: bool) -> None:
    graph = Graph.of([*_graph(24, directed, seed=4).edges.tolist(), [24, 3]], 26, directed=directed)
    pairs = PairLikelihood(graph)
    at = _coordinates(pairs, directed)
    for _ in range(20):  # where one ascent ends early, another goes on
        at, _ = ascend(pairs, at, 3000, None)
    p = torch.zeros(26, 26, dtype=torch.float64)
    i, j = (~torch.eye(26, dtype=torch.bool)).nonzero().T
    p[i, j] = at.logits(i, j).sigmoid()
    sides = (pairs.out_sides, pairs.in_sides)
    for own, degrees, side in zip((p.sum(1), p.sum(0)), (graph.degrees(), graph.in_degrees()), sides, strict=True):
        torch.testing.assert_close(own, degrees + side / at.beta, atol=0.1, rtol=0)
    if directed:
        torch.testing.assert_close(at.log_out.exp().mean(), at.log_in.exp().mean())
    assert float(at.beta) == 2.2


def test_first_hidden_degrees_have_the_expected_degrees_that_were_observed() -> None:
    graph = _graph(60, True, seed=6)
    pairs = PairLikelihood(graph)
    at = start.with_hidden_degrees(graph, torch.zeros(60, dtype=torch.float64), pairs, 2.0)
    out, into = at.log_out.exp().numpy(), at.log_in.exp().numpy()
    scale = float(at.mu) * 2 * math.pi / 60
    for own, other, degrees in ((out, into, graph.degrees()), (into, out, graph.in_degrees())):
        found = start.expected_degrees(own, other, scale, 2.0)
        np.testing.assert_allclose(
            found / found.mean(), degrees.clamp(min=0.5) / degrees.clamp(min=0.5).mean(), rtol=2e-3
        )


def test_a_ring_is_laid_out_in_its_order() -> None:
    ring = torch.arange(40)
    graph = Graph.of(torch.cat([torch.stack([ring, (ring + step) % 40], 1) for step in (1, 2)]))
    at = start.eigenmap_start(graph, PairLikelihood(graph), 3.0)
    steps = torch.remainder(at.theta - at.theta.roll(1), 2 * math.pi)
    assert float(torch.minimum(steps, 2 * math.pi - steps).max()) < 2.5 * 2 * math.pi / 40


def test_candidates_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected numbers of candidates of at least 0"):
        Candidates(0, 0, 0)
    assert refinement.Candidates is Candidates
