"""Discrete codes against sums over all of them, their relaxation against quadrature and torch's own distributions."""

from itertools import product
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
    kl_divergence,
)

from lsgen.latent import (
    BernoulliPosterior,
    BernoulliPrior,
    BitCodes,
    CategoricalPosterior,
    CategoricalPrior,
    OneHotCodes,
)

REAL = torch.float64
LOGITS = torch.tensor([[0.3, -1.2, 2.0], [-0.4, 0.1, 0.7]], dtype=REAL)
K = 3


def _every_code(length: int, classes: int) -> Tensor:
    chosen = torch.tensor(list(product(range(classes), repeat=length)))
    return torch.nn.functional.one_hot(chosen, classes).to(REAL).flatten(-2)


def _line(low: float, high: float, n: int) -> tuple[Tensor, Tensor]:
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(n))
    return ((high - low) * nodes + high + low) / 2, (high - low) / 2 * weights


@pytest.mark.parametrize("kind", ["bits", "categories"])
def test_probabilities_and_moments_are_those_of_a_sum_over_all_codes(kind: str) -> None:
    if kind == "bits":
        q, p = BitCodes(LOGITS[0]), BitCodes(LOGITS[1])
        z = torch.tensor(list(product([0.0, 1.0], repeat=3)), dtype=REAL)
        truth = Bernoulli(logits=LOGITS[0]).log_prob(z).sum(-1)
    else:
        q, p = OneHotCodes(LOGITS), OneHotCodes(LOGITS.flip(0, 1))
        z = _every_code(2, K)
        chosen = z.unflatten(-1, (2, K)).argmax(-1)
        truth = Categorical(logits=LOGITS).log_prob(chosen).sum(-1)
    torch.testing.assert_close(q.log_prob(z), truth)
    mass = truth.exp()
    torch.testing.assert_close(mass.sum(), torch.ones((), dtype=REAL))
    mean = mass @ z
    torch.testing.assert_close(q.mean, mean)
    torch.testing.assert_close(q.variance, mass @ (z - mean).square())
    torch.testing.assert_close(q.entropy(), -(mass * truth).sum())
    kl = kl_divergence(q, p)
    torch.testing.assert_close(kl.sum(), (mass * (truth - p.log_prob(z))).sum())
    frequency = (q.sample((20_000,)).unsqueeze(1) == z).all(-1).to(REAL).mean(0)
    assert bool(((frequency - mass).abs() < 5 * (mass * (1 - mass) / 20_000).sqrt() + 1e-9).all())


@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 3.0])
def test_relaxed_bits_have_the_density_of_torch_and_round_to_bits(temperature: float) -> None:
    """The density in y, which is that of z times z (1 - z), adds up to 1; above the middle it is the odds of a 1."""
    logit = torch.tensor([0.7], dtype=REAL)
    q = BitCodes(logit)
    z = torch.tensor([0.1, 0.4, 0.8], dtype=REAL)
    truth = RelaxedBernoulli(torch.tensor(temperature, dtype=REAL), logits=logit).log_prob(z) + (z * (1 - z)).log()
    torch.testing.assert_close(q.relaxed_log_prob(z.logit().unsqueeze(-1), temperature), truth)
    y, weights = _line(0, 60 / temperature, 400)
    above, below = ((q.relaxed_log_prob(side.unsqueeze(-1), temperature).exp() * weights).sum() for side in (y, -y))
    torch.testing.assert_close(above, torch.sigmoid(logit[0]), rtol=1e-9, atol=0)
    torch.testing.assert_close(above + below, torch.ones((), dtype=REAL), rtol=1e-9, atol=0)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_relaxed_categories_have_the_density_of_torch_and_round_to_categories(temperature: float) -> None:
    """On the simplex z = softmax(u, v, 0), dz = prod z du dv; the part nearest to a corner, u, v < 0, is its weight."""
    q = OneHotCodes(LOGITS[:1])
    z = torch.distributions.Dirichlet(torch.ones(K, dtype=REAL)).sample((20,))
    truth = RelaxedOneHotCategorical(torch.tensor(temperature, dtype=REAL), logits=LOGITS[0]).log_prob(z)
    torch.testing.assert_close(q.relaxed_log_prob(z.log().unsqueeze(1), temperature), truth + z.log().sum(-1))
    u, weights = _line(-40 / temperature, 0, 60)
    y = torch.cat([torch.cartesian_prod(u, u), torch.zeros(len(u) ** 2, 1, dtype=REAL)], 1).log_softmax(-1)
    shares = []
    for corner in range(K):
        density = q.relaxed_log_prob(y.roll(corner + 1, -1).unsqueeze(1), temperature).exp()
        shares.append((density * torch.outer(weights, weights).flatten()).sum())
    torch.testing.assert_close(torch.stack(shares), LOGITS[0].softmax(0), rtol=1e-6, atol=0)


def test_relaxed_codes_tend_to_the_codes_they_round_to() -> None:
    torch.manual_seed(0)
    for q in (BitCodes(LOGITS), OneHotCodes(LOGITS)):
        noise = q.noise(torch.Size((200,)))
        hard = q.hard(q.scores(noise, 1.0))
        gaps = []
        for temperature in (1.0, 0.1, 1e-2, 1e-30):
            scores = q.scores(noise, temperature)
            assert torch.equal(q.hard(scores), hard)
            gaps.append((q.soft(scores) - hard).abs().mean().item())
        assert sorted(gaps, reverse=True) == gaps
        assert gaps[-1] == 0
    assert torch.equal(BernoulliPrior(2)().relaxed_log_prob(torch.zeros(2), 1.0), torch.tensor(2 * log(0.25)))


@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_saturated_logits_have_finite_values_and_gradients_in_single_precision(size: float, temperature: float) -> None:
    torch.manual_seed(0)
    raw = size * torch.tensor([[1.0, -1.0, 0.0, 0.5, -1.0, 1.0]])
    prior = {"bits": BernoulliPrior(6), "categories": CategoricalPrior(6, 3), "one": CategoricalPrior(6, 1)}
    posterior = {
        "bits": BernoulliPosterior(6),
        "categories": CategoricalPosterior(6, 3),
        "one": CategoricalPosterior(6, 1),
    }
    for kind, p in prior.items():
        logits = raw.clone().requires_grad_()
        q = posterior[kind](logits)
        scores = q.scores(q.noise(torch.Size((50,))), temperature)
        z = q.soft(scores)
        terms = [z.square().sum(), q.log_prob(q.sample((50,))).sum(), kl_divergence(q, p()).sum(), q.entropy().sum()]
        if temperature >= 1e-3:
            terms += [q.relaxed_log_prob(scores, temperature).sum(), p().relaxed_log_prob(scores, temperature).sum()]
        for term in terms:
            (gradient,) = torch.autograd.grad(term, logits, retain_graph=True)
            assert term.isfinite(), (kind, term)
            assert gradient.isfinite().all(), (kind, gradient)
        assert bool(((z >= 0) & (z <= 1)).all())


def test_impossible_numbers_of_categories_are_refused() -> None:
    for kind in (CategoricalPrior, CategoricalPosterior):
        with pytest.raises(ValueError, match="expected a number of categories that divides the dimension 6, got 4"):
            kind(6, 4)
