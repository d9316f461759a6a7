"""Likelihoods of networks: enumeration of all small networks, maximum likelihood, and samples of pairs."""

import warnings
from functools import partial
from itertools import combinations, permutations, product
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lsgen.data import KarateClub, Nodes, StochasticBlocks
from lsgen.geometry import immersion, metric
from lsgen.latent import HypersphericalUniform, PoincareBall, StandardNormal, WrappedNormalPrior
from lsgen.latent.graphs import Graph
from lsgen.models.graphs import (
    BlockLinks,
    DistanceLinks,
    InnerProductLinks,
    LatentPositionModel,
    LinkDecoder,
    NodeSpace,
    PairLosses,
)


def nodes(count: int) -> dict[str, Tensor]:
    return {"x": torch.arange(count)[:, None]}


def fit(model: LatentPositionModel, batch: dict[str, Tensor], steps: int, lr: float = 0.05) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.loss(batch).loss
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("directed", [False, True])
def test_the_likelihoods_of_all_small_networks_sum_to_one(directed: bool) -> None:
    """Each pair counts once, and none of a node with itself: else the sum would not be 1."""
    count = 3 if directed else 4
    pairs = list((permutations if directed else combinations)(range(count), 2))
    torch.manual_seed(0)
    decoder = InnerProductLinks(count, 2, contexts=directed)
    model = LatentPositionModel(decoder).double()
    total = 0.0
    for chosen in product([False, True], repeat=len(pairs)):
        edges = [pair for pair, linked in zip(pairs, chosen, strict=True) if linked]
        model.pair_losses.take(Graph.of(np.array(edges).reshape(-1, 2), count, directed=directed))
        total += float((-count * model.loss(nodes(count)).loss).exp().detach())
    assert total == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("directed", [False, True])
def test_rows_of_a_batch_are_those_of_loops(directed: bool) -> None:
    graph = Graph.of([[0, 3], [1, 2], [3, 4], [4, 1]], 6, directed=directed)
    a = graph.adjacency(False).toarray()
    losses = PairLosses(6)
    losses.take(graph)
    chosen = torch.tensor([4, 0, 5])
    decoder = InnerProductLinks(6, 2, contexts=directed).double()
    z = 4 * torch.randn(6, 2, dtype=torch.float64)
    targets = decoder.targets() if directed else z
    h = (z @ targets.T).detach()
    of_links, of_others = (part.detach() for part in losses(decoder, z, targets, chosen)[:2])
    for row, i in enumerate(chosen.tolist()):
        terms = [(a[i, j], float(-logsigmoid(h[i, j] if a[i, j] else -h[i, j]))) for j in range(6) if j != i]
        assert float(of_links[row]) == pytest.approx(sum(t for linked, t in terms if linked), abs=1e-10)
        assert float(of_others[row]) == pytest.approx(sum(t for linked, t in terms if not linked), abs=1e-10)
    assert losses.share == pytest.approx(a.sum() / 30)
    parts = [losses.balanced(*losses(decoder, z, targets, rows)[:2]) for rows in torch.arange(6).split(2)]
    whole = losses.balanced(*losses(decoder, z, targets, torch.arange(6))[:2])
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_the_intercept_of_all_pairs_is_the_log_odds_of_a_link() -> None:
    graph = StochasticBlocks(sizes=[30], inside=0.1).graph()
    model = LatentPositionModel(InnerProductLinks(30, 2)).double()
    with torch.no_grad():
        model.latent_space.codes.zero_()
    model.learn(graph)
    fit(model, nodes(30), 200)
    share = len(graph) / (30 * 29 / 2)
    assert model.latent_space.decoder.bias is not None
    assert float(model.latent_space.decoder.bias.detach()) == pytest.approx(log(share / (1 - share)), abs=1e-3)


def test_the_intercept_of_samples_is_that_of_the_network() -> None:
    """The expectation over samples has its minimum at the log odds, whatever the number of negatives."""
    graph = StochasticBlocks(sizes=[200], inside=0.02, seed=1).graph()
    share = len(graph) / (200 * 199 / 2)
    for negatives in (1, 5):
        model = LatentPositionModel(InnerProductLinks(200, 1), negatives=negatives).double()
        with torch.no_grad():
            model.latent_space.codes.zero_()
            model.latent_space.decoder.bias.fill_(log(share / (1 - share)))
        model.learn(graph)
        torch.manual_seed(2)
        bias = model.latent_space.decoder.bias
        slopes = torch.stack([torch.autograd.grad(model.loss({"x": graph.edges}).loss, bias)[0] for _ in range(200)])
        assert abs(float(slopes.mean())) < 4 * float(slopes.std()) / 200**0.5
        assert float(slopes.std()) < 0.05


def test_drawn_pairs_are_uniform_and_links_do_not_count() -> None:
    graph = Graph.of([[0, 1], [2, 3], [1, 4]], 5)
    model = LatentPositionModel(InnerProductLinks(5, 1), negatives=2)
    model.learn(graph)
    torch.manual_seed(0)
    pairs, free = model._drawn(20000, torch.device("cpu"))
    assert bool((pairs[:, 0] != pairs[:, 1]).all())
    assert torch.equal(~free, graph.has(pairs))
    counts = torch.bincount(pairs[:, 0] * 5 + pairs[:, 1], minlength=25).double()
    assert float(((counts[counts > 0] - 1000).square() / 1000).sum()) < 45  # chi squared, 19 degrees, p = 7e-4


def log_density(prior: Any, table: Tensor) -> float:
    return float(prior().log_prob(table).sum())


@pytest.mark.parametrize(
    "prior",
    [partial(StandardNormal, 3), partial(WrappedNormalPrior, 3, curvature=2.0), partial(HypersphericalUniform, 3)],
)
def test_a_prior_of_codes_is_added_once_for_each_node(prior: Any) -> None:
    graph = Graph.of([[0, 1], [2, 3]], 5)
    code_prior = prior().double()
    torch.manual_seed(1)
    decoder = DistanceLinks(5, 3, code_prior.manifold)
    with_prior = LatentPositionModel(decoder, code_prior=code_prior, spread=0.2).double()
    with_prior.learn(graph)
    likelihood = with_prior.loss(nodes(5)).scalars["nll"]
    expected = likelihood - log_density(code_prior, with_prior.latent_space.table().detach()) / 5
    torch.testing.assert_close(with_prior.loss(nodes(5)).loss.detach(), expected)


def test_distances_of_a_path_are_found() -> None:
    """Links of probability near 1 between neighbours of a path and near 0 between others, in one dimension."""
    torch.manual_seed(0)
    count = 6
    graph = Graph.of([[i, i + 1] for i in range(count - 1)], count)
    model = LatentPositionModel(DistanceLinks(count, 2, temperature=0.1), code_prior=StandardNormal(2)).double()
    model.learn(graph)
    fit(model, nodes(count), 200)
    distances = torch.cdist(model.latent_space.table(), model.latent_space.table()).detach()
    linked = torch.from_numpy(graph.adjacency(False).toarray()).bool()
    apart = ~linked & ~torch.eye(count, dtype=torch.bool)
    assert float(distances[linked].max()) < float(distances[apart].min())


def blocks(corrected: bool, directed: bool = False) -> NodeSpace:
    torch.manual_seed(4)
    space = NodeSpace(BlockLinks(6, 3, corrected, directed), parametrised=True).double()
    with torch.no_grad():
        space.decoder.affinity.copy_(torch.randn(3, 3) * 2 - 1)
    return space


@pytest.mark.parametrize("directed", [False, True])
def test_logits_of_blocks_are_those_of_the_mixed_probability(directed: bool) -> None:
    space = blocks(False, directed)
    theta, b = space.table(), space.decoder.probabilities()
    assert bool((b == b.T).all()) != directed
    torch.testing.assert_close(theta.sum(1), torch.ones(6, dtype=torch.float64))
    p = theta @ b @ theta.T
    torch.testing.assert_close(space.raw(theta).sigmoid(), p)
    torch.testing.assert_close(space.link_scores(torch.tensor([[0, 4], [4, 0]])).sigmoid(), p[[0, 4], [4, 0]])


def test_logits_of_corrected_blocks_are_those_of_a_poisson_number_above_zero() -> None:
    space = blocks(True)
    table = space.table()
    theta, activity = table[:, :3], table[:, 3]
    rate = torch.exp(activity[:, None] + activity) * (theta @ space.decoder.probabilities() @ theta.T)
    torch.testing.assert_close(space.raw(table).sigmoid(), 1 - torch.exp(-rate))
    torch.testing.assert_close(space.link_scores(torch.tensor([[1, 2]])).sigmoid(), 1 - torch.exp(-rate[1:2, 2]))
    for rates in (-60.0, -9.3, 0.0, 4.0, 6.0):
        log_rate = torch.tensor(rates, dtype=torch.float64, requires_grad=True)
        h = BlockLinks._of_rate(log_rate)
        lam = np.exp(rates)
        assert float(h.detach()) == pytest.approx(rates + np.log(-np.expm1(-lam) / lam) + lam, rel=1e-9)
        h.backward()
        assert float(log_rate.grad) == pytest.approx(lam / -np.expm1(-lam), rel=1e-6)


@pytest.mark.parametrize("corrected", [False, True])
def test_two_blocks_are_recovered(corrected: bool) -> None:
    graph = StochasticBlocks(sizes=[20, 25], inside=0.4, outside=0.05, seed=3).graph()
    torch.manual_seed(0)
    model = LatentPositionModel(BlockLinks(45, 2, corrected), spread=0.1).double()
    model.learn(graph)
    fit(model, nodes(45), 150, lr=0.1)
    found = model.latent_space.table()[:, :2].argmax(1).detach().numpy()
    known = graph.columns["block"]
    assert max((found == known).mean(), (found != known).mean()) >= 44 / 45


def test_affinities_of_known_blocks_are_the_shares_of_linked_pairs() -> None:
    graph = StochasticBlocks(sizes=[5, 6], inside=0.5, outside=0.2, seed=3).graph()
    model = LatentPositionModel(BlockLinks(11, 2)).double()
    model.learn(graph)
    known = torch.from_numpy(np.array(graph.columns["block"]))
    with torch.no_grad():
        model.latent_space.codes.copy_(torch.where(torch.stack([known == 0, known == 1], 1), 40.0, -40.0))
    model.latent_space.codes.requires_grad_(False)
    fit(model, nodes(11), 150, lr=0.1)
    within = [len(graph.subgraph(known == k)) for k in (0, 1)]
    expected = [within[0] / 10, within[1] / 15, (len(graph) - sum(within)) / 30]
    b = model.latent_space.decoder.probabilities().detach()
    np.testing.assert_allclose([*b.diagonal(), b[0, 1]], expected, atol=2e-3)


def test_the_metric_of_memberships_is_the_second_order_of_the_divergence() -> None:
    space = blocks(False).eval()
    z = space.table().detach()[:2]
    v = torch.tensor([[1.0, -0.4, -0.6], [0.3, -0.5, 0.2]], dtype=torch.float64)
    e = 1e-4
    p, q = (space.raw(z + e * sign * v).sigmoid() for sign in (-1, 1))
    squares = (2 * torch.asin(p.sqrt()) - 2 * torch.asin(q.sqrt())).square().sum(-1) / (2 * e) ** 2
    g = metric(immersion(space), z)
    torch.testing.assert_close(torch.einsum("bi,bij,bj->b", v, g, v), squares, rtol=1e-5, atol=0)


class Constant(LinkDecoder):
    """A logit that is learned."""

    def __init__(self) -> None:
        super().__init__(4, 1)
        self.level = nn.Parameter(torch.zeros(()))

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        return (z + w)[..., 0] * 0 + self.level


def test_held_out_pairs_count_by_their_share() -> None:
    model = LatentPositionModel(Constant())
    model.learn(Graph.of([[0, 1]], 4))
    with torch.no_grad():
        model.latent_space.decoder.level.fill_(2.0)
    links, others = torch.tensor([[0, 2]]), torch.tensor([[0, 3], [1, 3]])
    expected = -logsigmoid(torch.tensor(2.0)) / 6 - logsigmoid(torch.tensor(-2.0)) * 5 / 6
    torch.testing.assert_close(model.held_out_loss(links, others).detach(), expected)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LatentPositionModel(Constant(), negatives=0), "got negatives = 0"),
        (
            lambda: LatentPositionModel(Constant(), code_prior=StandardNormal(2)),
            "model.code_prior of dimension 1",
        ),
        (
            lambda: LatentPositionModel(DistanceLinks(4, 2, PoincareBall()), code_prior=StandardNormal(2)),
            "got one of dimension 2 on Euclidean",
        ),
        (lambda: BlockLinks(4, 1), "expected at least 2 blocks, got 1"),
        (
            lambda: LatentPositionModel(Constant()).learn(Graph.of([[0, 1]], 4, weights=[-1.0], signed=True)),
            "LatentPositionModel expected weights above 0, got -1",
        ),
        (
            lambda: LatentPositionModel(BlockLinks(4, 2, directed=True)).learn(Graph.of([[0, 1]], 4)),
            "LatentPositionModel expected a directed graph, got an undirected graph",
        ),
        (
            lambda: LatentPositionModel(BlockLinks(4, 2)).learn(Graph.of([[0, 1]], 4, directed=True)),
            "LatentPositionModel expected an undirected graph, got a directed graph",
        ),
        (
            lambda: LatentPositionModel(Constant()).learn(Graph.of(torch.zeros(0, 2, dtype=torch.int64), 4)),
            "expected a graph of at least 1 links, got 0",
        ),
    ],
)
def test_refusals(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("weighted", [False, True])
def test_weights_that_say_nothing_of_links_are_told_of(weighted: bool) -> None:
    data = Nodes(graph=KarateClub(weighted=weighted))
    model = LatentPositionModel(InnerProductLinks(34, 2), max_steps=1)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        trainer.fit(model, data)
    told = [str(one.message) for one in seen if "weights of links are left out" in str(one.message)]
    assert len(told) == weighted
