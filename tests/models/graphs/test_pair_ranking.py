"""Ranking embeddings: the loss in closed form, negatives, steps along geodesics, and spaces that never give NaN."""

from functools import partial
from typing import Any

import networkx
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.special import log_softmax
from torch import Tensor, nn

from lsgen.data import Links, Tree
from lsgen.geometry import immersion, metric
from lsgen.latent import Cube, Euclidean, Lorentz, Manifold, PoincareBall, ProductManifold, Sphere
from lsgen.latent.graphs import Graph
from lsgen.models.graphs import NonNeighbours, PairRanking, RankedLinks, RiemannianSGD

f64 = torch.float64
GRAPH = Graph.of([[0, 1], [0, 2], [3, 1], [4, 0], [2, 3]], 6)
SPACES: list[tuple[Manifold, int]] = [
    (Euclidean(), 2),
    (Sphere(), 3),
    *((kind(c), d) for c in (0.1, 1.0, 10.0) for kind, d in ((PoincareBall, 2), (Lorentz, 3))),
    (ProductManifold([PoincareBall(10.0), Sphere(), Lorentz(0.1), Euclidean()], [2, 3, 3, 1]), 9),
]


def model(manifold: Manifold, dim: int, graph: Graph = GRAPH, **options: Any) -> PairRanking:
    torch.manual_seed(0)
    made = PairRanking(RankedLinks(graph.nodes, dim, manifold), **{"spread": 0.5, **options})
    made.learn(graph)
    return made


def train(made: PairRanking, graph: Graph, steps: int) -> list[float]:
    """Take steps on all links, and return the losses before them."""
    optimizer, losses = made.configure_optimizers()["optimizer"], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = made.loss({"x": graph.edges}).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("directed", [False, True])
def test_negatives_are_all_others_with_equal_probability(directed: bool) -> None:
    graph = Graph.of(GRAPH.edges, 6, directed=directed)
    nodes, draws = torch.arange(6), 4000
    torch.manual_seed(0)
    found, some = NonNeighbours(graph).draw(nodes, draws)
    linked = networkx.DiGraph if directed else networkx.Graph
    known = linked(graph.edges.tolist())
    for node in range(6):
        others = set(range(6)) - {node} - (set(known[node]) if node in known else set())
        assert set(found[node].tolist()) == others
        share = torch.bincount(found[node], minlength=6)[sorted(others)] / draws
        assert bool(((share - 1 / len(others)).abs() < 5 / (4 * draws) ** 0.5).all())
    assert bool(some.all())


def test_a_node_that_is_linked_to_all_has_no_negatives_and_no_loss() -> None:
    star = Graph.of([[0, 1], [0, 2], [0, 3]], 4)
    assert NonNeighbours(star).draw(torch.arange(4), 2)[1][:, 0].tolist() == [False, True, True, True]
    losses = model(Euclidean(), 2, star).losses(torch.tensor([[0, 1], [1, 0]]))
    assert losses[0] == 0
    assert losses[1] > 0


@pytest.mark.parametrize(("manifold", "dim"), SPACES, ids=lambda value: str(value)[:30])
def test_the_loss_is_that_of_a_softmax_over_distances(manifold: Manifold, dim: int, monkeypatch: Any) -> None:
    made = model(manifold, dim, negatives=3)
    drawn = torch.tensor([[3, 5, 5], [2, 4, 5]])
    monkeypatch.setattr(made.others, "draw", lambda nodes, count: (drawn, torch.ones(2, 1, dtype=torch.bool)))
    z = made.latent_space.table().detach()
    links = torch.tensor([[0, 1], [3, 1]])
    rows = torch.cat([links[:, 1:], drawn], 1)
    distances = manifold.distance(z[links[:, :1]].expand(2, 4, dim), z[rows]).numpy()
    expected = -log_softmax(-distances, axis=1)[:, 0]
    np.testing.assert_allclose(made.losses(links).detach().numpy(), expected)


def test_links_without_a_direction_count_from_both_ends_and_by_their_weights(monkeypatch: Any) -> None:
    asked: list[Tensor] = []
    for directed, times in ((True, 1), (False, 2)):
        made = model(Euclidean(), 2, Graph.of(GRAPH.edges, 6, directed=directed))
        monkeypatch.setattr(made, "losses", lambda links: asked.append(links) or links[:, 0].double())
        loss = made.loss({"x": GRAPH.edges}).loss
        assert len(asked.pop()) == times * len(GRAPH)
        weighted = made.loss({"x": GRAPH.edges, "weight": torch.tensor([1.0, 2.0, 0.0, 0.0, 3.0])}).loss
        ends = (GRAPH.edges if directed else torch.cat([GRAPH.edges, GRAPH.edges.flip(1)]))[:, 0].numpy()
        assert float(loss) == pytest.approx(ends.mean())
        assert float(weighted) == pytest.approx(np.average(ends, weights=[1.0, 2.0, 0.0, 0.0, 3.0] * times))
        asked.clear()


@pytest.mark.parametrize(("manifold", "dim"), SPACES, ids=lambda value: str(value)[:30])
def test_a_step_goes_down_the_geodesic_of_steepest_descent(manifold: Manifold, dim: int) -> None:
    torch.manual_seed(0)
    start = manifold.parametrised(torch.randn(4, dim, dtype=f64) / 3)
    target = manifold.parametrised(torch.randn(4, dim, dtype=f64) / 3)
    codes = nn.Parameter(start.clone())
    optimizer = RiemannianSGD([codes], lr=0.1).on(manifold)
    before = manifold.distance(codes, target)
    before[:3].sum().backward()
    optimizer.step()
    after = manifold.distance(codes.detach(), target)
    torch.testing.assert_close(after[:3], before[:3].detach() - 0.1)
    torch.testing.assert_close(manifold.distance(start, codes.detach())[:3], torch.full((3,), 0.1, dtype=f64))
    torch.testing.assert_close(codes.detach()[3], start[3])
    rows = nn.Parameter(start.clone())
    optimizer = RiemannianSGD([rows], lr=0.1).on(manifold)
    manifold.distance(nn.functional.embedding(torch.arange(3), rows, sparse=True), target[:3]).sum().backward()
    optimizer.step()
    torch.testing.assert_close(rows.detach(), codes.detach())


@pytest.mark.parametrize(("manifold", "dim"), SPACES, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("lr", [0.3, 30.0])
def test_codes_stay_finite_and_on_the_manifold_at_any_rate(manifold: Manifold, dim: int, lr: float) -> None:
    pytest.importorskip("numba")
    graph = Tree(2, 2).graph()
    made = model(manifold, dim, graph, optimizer=partial(RiemannianSGD, lr=lr), negatives=4, spread=1e-3)
    losses = train(made, graph, 40)
    z = made.latent_space.table().detach()
    assert np.isfinite(losses).all()
    assert bool((manifold.onto(z) - z).norm(dim=-1).isfinite().all())
    assert made.latent_space.items().manifold == manifold


@pytest.mark.parametrize(("manifold", "dim"), SPACES, ids=lambda value: str(value)[:30])
def test_going_from_link_to_link_takes_the_step_of_each(manifold: Manifold, dim: int) -> None:
    kernel = pytest.importorskip("lsgen.models.graphs.geodesic_descent", reason="needs numba")
    torch.manual_seed(1)
    start = manifold.parametrised(0.7 * torch.randn(6, dim, dtype=f64))
    codes = nn.Parameter(start.clone())
    links, negatives, weights = (
        torch.tensor([[0, 1], [3, 1], [5, 2]]),
        torch.tensor([[2, 3], [5, 4], [0, 4]]),
        [2, 1, 0],
    )
    optimizer, total = RiemannianSGD([codes], lr=0.2).on(manifold), 0.0
    for (u, v), others, weight in zip(links, negatives, weights, strict=True):
        optimizer.zero_grad()
        rows = torch.stack([v, *others])
        distance = manifold.distance(codes[u].expand(3, dim), codes[rows])
        loss = -weight * torch.log_softmax(-distance / 0.5, 0)[0]
        loss.backward()
        total += float(loss.detach())
        optimizer.step()
    found = start.clone()
    parts = kernel.known_parts(manifold, dim)
    assert parts is not None
    arrays = (links.numpy(), negatives.numpy(), np.array(weights, np.float64), found.numpy())
    assert kernel.descend_links(*arrays, *parts, 0.5, 0.2) == pytest.approx(total)
    torch.testing.assert_close(found, codes.detach())


def test_equal_codes_and_steps_too_far_leave_codes_where_they_are() -> None:
    kernel = pytest.importorskip("lsgen.models.graphs.geodesic_descent", reason="needs numba")
    for manifold, dim in SPACES:
        parts = kernel.known_parts(manifold, dim)
        assert parts is not None
        same = manifold.parametrised(torch.full((1, dim), 0.3, dtype=f64)).expand(4, dim).clone()
        before, arrays = same.clone(), (np.array([[0, 1]]), np.array([[2, 3]]), np.ones(1))
        assert kernel.descend_links(*arrays, same.numpy(), *parts, 1.0, 0.1) == pytest.approx(np.log(3))
        assert torch.equal(same, before)
    for manifold, dim in ((PoincareBall(), 2), (Lorentz(), 3)):
        codes = manifold.parametrised(torch.eye(4, dim, dtype=f64))
        parts = kernel.known_parts(manifold, dim)
        assert parts is not None
        kernel.descend_links(np.array([[0, 1]]), np.array([[2, 3]]), np.ones(1), codes.numpy(), *parts, 1.0, 1e3)
        assert torch.equal(codes, manifold.parametrised(torch.eye(4, dim, dtype=f64)))
    assert kernel.known_parts(Cube(0.0, 1.0), 2) is None


def test_a_code_stays_where_a_step_would_leave_double_precision() -> None:
    for manifold, start in ((PoincareBall(), [0.5, 0.0]), (Lorentz(), [2**0.5, 1.0, 0.0])):
        codes = nn.Parameter(torch.tensor([start], dtype=f64))
        codes.grad = 1e3 * torch.ones_like(codes)
        RiemannianSGD([codes], lr=1.0).on(manifold).step()
        assert codes.tolist() == [start]
        codes.grad = torch.full_like(codes, torch.nan)
        RiemannianSGD([codes], lr=1.0).on(manifold).step()
        assert bool(codes.isnan().any())


@pytest.mark.parametrize(("manifold", "dim"), [(PoincareBall(), 2), (Lorentz(), 3)], ids=str)
def test_neighbours_in_a_tree_become_the_nearest(manifold: Manifold, dim: int) -> None:
    pytest.importorskip("numba")
    graph = Tree(2, 3).graph()
    made = model(manifold, dim, graph, optimizer=partial(RiemannianSGD, lr=3.0), negatives=10, spread=1e-2)
    train(made, graph, 300)
    z = made.latent_space.table().detach()
    distance = manifold.distance(z[:, None].expand(-1, len(z), -1), z[None].expand(len(z), -1, -1)).numpy()
    known, precisions = networkx.Graph(graph.edges.tolist()), []
    for node in known:
        order = [other for other in np.argsort(distance[node]).tolist() if other != node]
        places = sorted(order.index(other) + 1 for other in known[node])
        precisions.append(np.mean([(i + 1) / place for i, place in enumerate(places)]))
    assert np.mean(precisions) > 0.9


@pytest.mark.parametrize(
    ("manifold", "dim"), [*SPACES[:5], (ProductManifold([PoincareBall(), Lorentz(2.0)], [2, 3]), 5)], ids=str
)
def test_optimisers_of_geoopt_know_the_manifold(manifold: Manifold, dim: int) -> None:
    geoopt = pytest.importorskip("geoopt")
    made = model(manifold, dim, optimizer=partial(geoopt.optim.RiemannianAdam, lr=0.02))
    losses = train(made, GRAPH, 60)
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert isinstance(made.latent_space.codes, geoopt.ManifoldParameter)
    z = made.latent_space.table().detach()
    assert bool(manifold.contains(z).all()) or isinstance(manifold, ProductManifold)
    assert made.latent_space.items().dim == dim


def test_optimisers_that_leave_the_manifold_are_refused() -> None:
    made = model(PoincareBall(), 2, optimizer=torch.optim.Adam)
    with pytest.raises(TypeError, match=r"an optimiser of geoopt for codes on PoincareBall\(1.0\), got Adam"):
        made.configure_optimizers()
    flat = model(Euclidean(), 2, optimizer=torch.optim.Adam).configure_optimizers()["optimizer"]
    assert isinstance(flat, torch.optim.Adam)


@pytest.mark.parametrize(("manifold", "dim"), [(Euclidean(), 2), (PoincareBall(), 2), (Lorentz(), 3)], ids=str)
def test_the_fisher_metric_is_the_second_order_of_the_divergence(manifold: Manifold, dim: int) -> None:
    """KL(p(. | z) || p(. | exp_z(e v))) = e^2 v.g v / 2 + O(e^3), symmetrised over e and -e."""
    space = model(manifold, dim).latent_space.eval()
    z = manifold.shift(space.table().detach(), torch.full((6, dim), 0.1, dtype=f64))
    v, e = manifold.tangent(z, torch.randn(6, dim, dtype=f64)), 2e-4
    rows = [nn.functional.log_softmax(space.raw(manifold.exp(z, s * v)), -1).detach() for s in (0, e, -e)]
    divergence = sum((rows[0].exp() * (rows[0] - other)).sum(-1) for other in rows[1:])
    g = metric(immersion(space), z)
    torch.testing.assert_close(torch.einsum("bi,bij,bj->b", v, g, v), divergence / e**2, rtol=1e-4, atol=0)


def test_training_by_lightning_keeps_the_network_in_the_checkpoint(tmp_path: Any) -> None:
    pytest.importorskip("numba")
    data = Links(graph=Tree(2, 2, directed=True), split={"kind": "none"}, batch_size=3)
    made = PairRanking(
        RankedLinks(7, 2, PoincareBall()),
        negatives=4,
        scheduler=partial(torch.optim.lr_scheduler.ConstantLR, factor=0.01, total_iters=4),
        max_steps=8,
    )
    trainer = pl.Trainer(max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, default_root_dir=tmp_path)  # fmt: skip
    trainer.fit(made, data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.03)
    assert made.generator_steps == trainer.global_step == 8
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = PairRanking(RankedLinks(7, 2, PoincareBall()), negatives=4)
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=False)
    again.on_load_checkpoint(checkpoint)
    again.load_state_dict(checkpoint["state_dict"])
    assert again.latent_space.items() == made.latent_space.items()
    assert torch.equal(again.others.thresholds, made.others.thresholds)


def test_gradients_are_neither_clipped_nor_accumulated_where_there_are_none(tmp_path: Any) -> None:
    pytest.importorskip("numba")
    data = Links(graph=Tree(2, 2), split={"kind": "none"}, batch_size=3)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                         gradient_clip_val=1.0, enable_progress_bar=False, default_root_dir=tmp_path)  # fmt: skip
    with pytest.raises(ValueError, match="expected one process, and no gradients that are clipped"):
        trainer.fit(PairRanking(RankedLinks(7, 2, PoincareBall()), negatives=4), data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairRanking(RankedLinks(4, 2), negatives=0), "expected at least 1 negative, got 0"),
        (lambda: RankedLinks(4, 2, temperature=0.0), "expected a temperature above 0, got 0"),
        (lambda: RiemannianSGD([nn.Parameter(torch.zeros(1))], lr=0.0), "expected a learning rate above 0, got 0"),
        (lambda: PairRanking(RankedLinks(4, 2)).learn(GRAPH), "expected 4 nodes, .* got a network of 6"),
        (lambda: model(Euclidean(), 2, Graph.of([[0, 1]], weights=[-1.0], signed=True)), "expected weights above 0"),
    ],
)
def test_bad_options_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
