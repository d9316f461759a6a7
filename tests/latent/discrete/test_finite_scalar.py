"""Finite scalar quantisation against rounding by hand and the enumeration of its codebook."""

from itertools import product
from math import log

import pytest
import torch
from torch.distributions import kl_divergence

from lsgen.latent import EncodableLatentSpace, FiniteScalarQuantiser, LatticePrior, StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import ELBO, FSQVAE, VQVAE
from lsgen.nn import MLPDecoder, MLPEncoder

LEVELS = [8, 5, 2, 3]
VALUES = [  # whole numbers over floor(n / 2)
    [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75],
    [-1.0, -0.5, 0.0, 0.5, 1.0],
    [-1.0, 0.0],
    [-1.0, 0.0, 1.0],
]
REAL = torch.float64


def test_every_level_is_reached_and_no_other() -> None:
    quantiser = FiniteScalarQuantiser(4, LEVELS).to(REAL)
    sweep = torch.linspace(-6, 6, 4001, dtype=REAL).unsqueeze(1).expand(-1, 4)
    z = quantiser(sweep).mean
    for i, values in enumerate(VALUES):
        assert z[:, i].unique().tolist() == values
        assert bool((z[:, i].diff() >= 0).all())
    assert bool(quantiser.manifold.contains(z).all())
    assert quantiser.manifold == LatticePrior(4, LEVELS).manifold
    extremes = quantiser(torch.tensor([[-1e4] * 4, [1e4] * 4], dtype=REAL)).mean
    torch.testing.assert_close(extremes, torch.tensor([[v[0] for v in VALUES], [v[-1] for v in VALUES]], dtype=REAL))


def test_levels_are_equally_wide_about_the_origin_and_the_gradient_is_that_of_the_bound() -> None:
    """f = h tanh(y + s) - o is one wide for every inner level; its slope is h (1 - tanh^2), over floor(n / 2)."""
    quantiser, y = FiniteScalarQuantiser(4, LEVELS).to(REAL), torch.tensor([[0.3, -0.8, 0.1, 2.0]], dtype=REAL)
    y.requires_grad_()
    (gradient,) = torch.autograd.grad(quantiser(y).mean.sum(), y)
    for i, n in enumerate(LEVELS):
        h, o = (n - 1) * (1 - 1e-3) / 2, 0.5 * (n % 2 == 0)
        bounded = lambda at, h=h, o=o: h * torch.tanh(at + torch.tan(torch.tensor(o / h, dtype=REAL))) - o
        slope = torch.autograd.functional.jacobian(bounded, y.detach()[0, i])
        torch.testing.assert_close(gradient[0, i], slope / (n // 2))
        if n > 2:
            assert abs(bounded(torch.zeros((), dtype=REAL)).item()) < 0.02


def test_the_codebook_lists_every_entry_once_and_numbers_are_places_in_it() -> None:
    quantiser = FiniteScalarQuantiser(8, LEVELS)
    codebook = quantiser.codebook
    assert {tuple(entry) for entry in codebook.tolist()} == set(product(*VALUES))
    assert len(codebook) == quantiser.entries == 8 * 5 * 2 * 3
    q = quantiser(2 * torch.randn(50, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(codebook[q.indices].flatten(1), q.mean)
    counts = torch.bincount(q.indices.flatten(), minlength=quantiser.entries)
    torch.testing.assert_close(q.usage, counts / 100)


def test_prior_is_uniform_over_the_lattice() -> None:
    prior = LatticePrior(8, LEVELS).to(REAL)
    p, points = prior(), torch.tensor(list(product(*VALUES)), dtype=REAL)
    torch.testing.assert_close(p.mean, points.mean(0).repeat(2))
    torch.testing.assert_close(p.variance, points.var(0, correction=0).repeat(2))
    assert p.log_prob(p.sample((3,))).tolist() == pytest.approx([-2 * log(240)] * 3)
    q = FiniteScalarQuantiser(8, LEVELS)(torch.randn(3, 8))
    torch.testing.assert_close(kl_divergence(q, LatticePrior(8, LEVELS)()), torch.full((3,), 2 * log(240)))
    z = p.sample((20_000,))
    for i, values in enumerate(VALUES):
        shares = (z[:, i, None] == torch.tensor(values, dtype=REAL)).double().mean(0)
        assert bool(((shares - 1 / len(values)).abs() < 5 * (len(values) * 20_000) ** -0.5).all())
    middle = (torch.arange(8, dtype=REAL) + 0.5) / 8
    assert prior.levels(torch.special.ndtri(middle))[:, 0].tolist() == VALUES[0]
    assert prior.levels(torch.tensor([-20.0, 20.0], dtype=REAL))[:, 1].tolist() == [-1.0, 1.0]


def test_objective_is_the_reconstruction_and_counts_what_is_used() -> None:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((6,), 4, hidden=[8], heads=1), MLPDecoder(4, (6,), hidden=[8])
    space = EncodableLatentSpace(
        encoder, decoder, Bernoulli((6,)), LatticePrior(4, LEVELS), FiniteScalarQuantiser(4, LEVELS)
    )
    x = torch.rand(7, 6).round()
    losses = FSQVAE()(space, {"x": x}, 0)
    q = space.encode(x)
    torch.testing.assert_close(losses.loss, -space.decode(q.mean).log_prob(x).mean())
    torch.testing.assert_close(losses.elbo, -losses.reconstruction - log(240))
    shares = q.indices.flatten().unique(return_counts=True)[1] / 7
    torch.testing.assert_close(losses.scalars["perplexity"], torch.exp(-(shares * shares.log()).sum()))
    torch.testing.assert_close(losses.scalars["usage"], torch.tensor(len(shares) / 240))
    for objective in (VQVAE(), ELBO()):
        with pytest.raises(TypeError, match=r"expected .*, got FiniteScalarQuantiser"):
            objective.check(space)


def test_impossible_levels_are_refused() -> None:
    for levels in ([], [1, 3], [3, 3, 3]):
        for kind in (LatticePrior, FiniteScalarQuantiser):
            with pytest.raises(
                ValueError, match="expected levels of at least 2 whose number divides the dimension 4, got"
            ):
                kind(4, levels)
    space = EncodableLatentSpace(torch.nn.Linear(3, 4), torch.nn.Linear(2, 3), Bernoulli((3,)), StandardNormal(2))
    with pytest.raises(
        TypeError, match=r"FSQVAE expected a FiniteScalarQuantiser .* got DiagonalNormal and StandardNormal"
    ):
        FSQVAE().check(space)
