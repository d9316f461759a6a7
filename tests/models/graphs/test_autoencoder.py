"""Graph autoencoders: the bound against quadrature, the loss of the paper, batches, and training to the end."""

from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from pytorch_lightning import Trainer
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import logsigmoid

from lsgen.data import KarateClub, Nodes
from lsgen.geometry import immersion, metric, scalar_curvature
from lsgen.latent import (
    Deterministic,
    DiagonalNormal,
    HypersphericalUniform,
    PoincareBall,
    StandardNormal,
    VonMisesFisherPosterior,
    WrappedNormalPosterior,
    WrappedNormalPrior,
)
from lsgen.latent.graphs import Graph
from lsgen.models.graphs import DistanceLinks, GraphAutoencoder, InnerProductLinks
from lsgen.nn import GraphEncoder

SQUARE = Graph.of([[0, 1], [1, 2], [2, 3], [0, 3]], 4)
KINDS = ("gae", "vgae", "svgae", "hyperbolic_vgae")


def model_of(kind: str, nodes: int = 4, dim: int = 2, **options: Any) -> GraphAutoencoder:
    torch.manual_seed(1)
    families = {
        "gae": (StandardNormal, Deterministic),
        "vgae": (StandardNormal, DiagonalNormal),
        "svgae": (HypersphericalUniform, VonMisesFisherPosterior),
        "hyperbolic_vgae": (WrappedNormalPrior, WrappedNormalPosterior),
    }
    prior, posterior = families[kind][0](dim), families[kind][1]()
    encoder = GraphEncoder(nodes, dim, (8,), heads=posterior.heads, features=options.pop("features", None))
    manifold = prior.manifold
    ball = isinstance(manifold, PoincareBall)
    decoder = DistanceLinks(nodes, dim, manifold) if ball else InnerProductLinks(nodes, dim, manifold=manifold)
    return GraphAutoencoder(encoder, decoder, prior, posterior, **options).double()


def every(count: int) -> dict[str, Tensor]:
    return {"x": torch.arange(count)[:, None]}


def log_likelihood(z: Tensor, bias: float) -> Tensor:
    """Return log p(A | z) of the square for codes (..., 4)."""
    linked = {tuple(edge) for edge in SQUARE.edges.tolist()}
    total = torch.zeros(z.shape[:-1], dtype=z.dtype)
    for i, j in combinations(range(4), 2):
        h = z[..., i] * z[..., j] + bias
        total = total + logsigmoid(h if (i, j) in linked else -h)
    return total


def test_the_bound_is_that_of_quadrature_and_below_the_evidence() -> None:
    model = model_of("vgae", dim=1, balanced=False)
    model.learn(SQUARE)
    with torch.no_grad():
        assert model.latent_space.decoder.bias is not None
        model.latent_space.decoder.bias.fill_(0.3)
        model.latent_space.encoder.weights[0].mul_(2)
    points, weights = hermegauss(16)
    grid = torch.tensor(list(product(points, repeat=4)))
    mass = torch.tensor(list(product(weights / weights.sum(), repeat=4))).prod(-1)
    evidence = (log_likelihood(grid, 0.3).exp() * mass).sum().log()
    q = model.latent_space.encode()
    expected = (log_likelihood(q.mean[:, 0] + grid * q.stddev[:, 0], 0.3) * mass).sum()
    mean, variance = q.mean[:, 0], q.variance[:, 0]
    kl = (mean.square() + variance - 1 - variance.log()).sum() / 2
    torch.manual_seed(0)
    draws = torch.stack([model.loss(every(4)).elbo.sum().detach() for _ in range(500)])
    bound = (expected - kl).detach()
    assert abs(float(draws.mean() - bound)) < 4 * float(draws.std()) / 500**0.5
    assert float(bound) < float(evidence.detach())
    loss = model.loss(every(4))
    torch.testing.assert_close(loss.loss, -loss.elbo.sum() / 4)


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_balanced_loss_is_that_of_the_paper(kind: str, loops: bool) -> None:
    """norm * mean of weighted cross-entropies + mean KL / N; pairs of a node with itself are left out or links."""
    model = model_of(kind, beta=0.7, loops=loops)
    model.learn(SQUARE)
    torch.manual_seed(5)
    found = model.loss(every(4))
    torch.manual_seed(5)
    z = model.latent_space.encode().rsample()
    h = model.latent_space.decoder.between(z, z)
    a = torch.from_numpy(SQUARE.adjacency(False).toarray())
    pairs, links = 12, a.sum()
    eye = torch.eye(4, dtype=torch.float64)
    a, own = a + eye * loops, eye * (not loops)
    weight = torch.where(a > 0, (pairs - links) / links, 1.0) * (1 - own)
    cross = -(weight * (a * logsigmoid(h) + (1 - a) * logsigmoid(-h))).sum() / pairs
    kl = found.kl.sum(-1).mean() if found.kl.numel() else 0.0
    torch.testing.assert_close(found.loss, pairs / (2 * (pairs - links)) * cross + 0.7 * kl / 4)
    assert found.kl.shape == (4, {"gae": 0, "vgae": 2}.get(kind, 1))
    assert bool(found.elbo.isnan().all()) == (kind == "gae")


@pytest.mark.parametrize("balanced", [False, True])
def test_batches_of_nodes_average_to_the_whole(balanced: bool) -> None:
    model = model_of("gae", balanced=balanced)
    model.learn(SQUARE)
    whole = model.loss(every(4)).loss
    parts = [model.loss({"x": rows[:, None]}).loss for rows in torch.randperm(4).split(2)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)
    gradients = torch.autograd.grad(whole, model.latent_space.encoder.weights[0])[0]
    split = torch.autograd.grad(torch.stack(parts).mean(), model.latent_space.encoder.weights[0])[0]
    torch.testing.assert_close(gradients, split)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_codes_have_a_metric_and_a_curvature(kind: str) -> None:
    model = model_of(kind, nodes=34, dim=3)
    model.learn(KarateClub().graph())
    space = model.latent_space.eval()
    z = space.table().detach()[:3]
    z = space.manifold.exp(z, 0.05 * space.manifold.tangent(z, torch.ones_like(z)))
    g = metric(immersion(space), z)
    v = space.manifold.tangent(z, torch.ones_like(z))
    e = 1e-4
    p, q = (space.raw(space.manifold.exp(z, sign * e * v)).sigmoid() for sign in (1, -1))
    squares = (2 * torch.asin(p.sqrt()) - 2 * torch.asin(q.sqrt())).square().sum(-1) / (2 * e) ** 2
    torch.testing.assert_close(torch.einsum("bi,bij,bj->b", v, g, v), squares, rtol=1e-3, atol=0)
    assert bool(scalar_curvature(immersion(space), z).isfinite().all())


quiet = partial(Trainer, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
                num_sanity_val_steps=0, max_epochs=-1, precision="64-true")  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_trained_with_held_out_links_and_loaded_without_data(tmp_path: Path) -> None:
    data = Nodes(graph=KarateClub(), batch_size=17, split={"val_size": 0.1, "test_size": 0.1})
    model = model_of("vgae", nodes=34, max_steps=6)
    trainer = quiet(enable_checkpointing=False)
    trainer.fit(model, data)
    assert model.generator_steps == 6
    assert len(model.latent_space.graph) == len(data.graph) < len(data.whole)
    held = data.held_out("val")
    model.eval()
    expected = -(logsigmoid(model.latent_space.link_scores(held.positive)).mean()
                 + logsigmoid(-model.latent_space.link_scores(held.negative)).mean()) / 2  # fmt: skip
    found = trainer.validate(model, data, verbose=False)[0]["val/loss"]
    assert found == pytest.approx(float(expected), rel=1e-6)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    again = model_of("vgae", nodes=34)
    again.on_load_checkpoint(content)
    again.load_state_dict(content["state_dict"])
    assert again.eval().latent_space.items() == model.latent_space.items()
    items = again.latent_space.items()
    assert items.scale is not None
    np.testing.assert_allclose(items.scale, model.latent_space.encode().stddev.detach(), rtol=1e-12)
    assert items.columns["degree"].tolist() == data.graph.degrees().tolist()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: GraphAutoencoder(GraphEncoder(5, 2), InnerProductLinks(4, 2), StandardNormal(2)),
            "encoder.nodes = 4, got 5",
        ),
        (
            lambda: GraphAutoencoder(GraphEncoder(4, 3), InnerProductLinks(4, 2), StandardNormal(2)),
            "encoder.dim = 2, got 3",
        ),
        (
            lambda: GraphAutoencoder(GraphEncoder(4, 2, heads=1), InnerProductLinks(4, 2), StandardNormal(2)),
            "encoder.heads = 2, got 1",
        ),
        (
            lambda: GraphAutoencoder(GraphEncoder(4, 2), InnerProductLinks(4, 2), WrappedNormalPrior(2)),
            r"expected model.decoder of codes on PoincareBall\(1.0\), as the prior, got Euclidean",
        ),
        (lambda: model_of("vgae").learn(Graph.of([[0, 1]], 4, directed=True)), "expected an undirected graph"),
        (lambda: model_of("vgae", features=3).latent_space.encoder.describe(csr_array((4, 2))), r"got \(4, 2\)"),
    ],
)
def test_refusals(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
