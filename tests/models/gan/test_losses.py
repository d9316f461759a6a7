"""Adversarial losses against what is known of the game between N(m, 1) and N(-m, 1).

Expectations are integrals on a fine grid. There log p/q = 2 m x, TV(p, q) = 2 Phi(m) - 1, and a loss whose critic
is optimal at C* has a vanishing functional derivative there:  p dl/dr + q dl/df = 0 at every x.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from lsgen.models.gan import Hinge, LeastSquares, NonSaturating, Relativistic, Wasserstein
from lsgen.models.gan.losses import AdversarialLoss

M = 0.8
X = torch.linspace(-12, 12, 48_001, dtype=torch.float64)
P, Q = (Normal(torch.tensor(m, dtype=torch.float64), 1.0).log_prob(X).exp() for m in (M, -M))
LOSSES = [NonSaturating(), LeastSquares(), Hinge(), Wasserstein(), Relativistic(), Relativistic(True)]


def _critic_value(loss: AdversarialLoss, critic: Tensor) -> Tensor:
    """Return the critic's expected loss, through l(r, f) = l_real(r) + l_fake(f), which these losses obey."""
    zero = torch.zeros((), dtype=torch.float64)
    rest = loss.critic(zero, zero)
    real = torch.vmap(lambda r: loss.critic(r[None], zero[None]))(critic)
    fake = torch.vmap(lambda f: loss.critic(zero[None], f[None]))(critic)
    return torch.trapezoid(P * real + Q * fake, X) - rest


def _js_divergence() -> Tensor:
    mean = (P + Q) / 2
    return torch.trapezoid(P * (P / mean).log() + Q * (Q / mean).log(), X) / 2


@pytest.mark.parametrize(
    ("loss", "optimal"),
    [
        (NonSaturating(), 2 * M * X),
        (LeastSquares(), P / (P + Q)),
        (LeastSquares(-1, 2, 0.5), (2 * P - Q) / (P + Q)),
    ],
)
def test_the_known_optimal_critic_is_stationary(loss: AdversarialLoss, optimal: Tensor) -> None:
    critic = optimal.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(_critic_value(loss, critic), critic)
    assert gradient.abs().max() < 1e-12
    (elsewhere,) = torch.autograd.grad(_critic_value(loss, critic + 0.1), critic)
    assert elsewhere.abs().max() > 1e-6


@pytest.mark.parametrize("loss", [NonSaturating()])
def test_logistic_value_at_the_optimum_is_the_jensen_shannon_divergence(loss: AdversarialLoss) -> None:
    value = _critic_value(loss, 2 * M * X)
    torch.testing.assert_close(value, 2 * math.log(2) - 2 * _js_divergence())


def test_hinge_value_at_the_optimum_is_twice_the_overlap() -> None:
    value = _critic_value(Hinge(), (P - Q).sign())
    total_variation = 2 * Normal(0.0, 1.0).cdf(torch.tensor(M, dtype=torch.float64)) - 1
    torch.testing.assert_close(value, 2 * (1 - total_variation), atol=1e-7, rtol=0)


def test_least_squares_with_the_targets_of_the_paper_is_a_pearson_divergence() -> None:
    loss = LeastSquares(a=-1, b=1, c=0)
    optimal = (P - Q) / (P + Q)
    both = torch.trapezoid((P + Q) * (optimal - loss.c) ** 2, X)
    pearson = torch.trapezoid((2 * Q - (P + Q)) ** 2 / (P + Q), X)
    torch.testing.assert_close(both, pearson)
    torch.testing.assert_close(2 * loss.generator(optimal, optimal), optimal.square().mean())


def test_wasserstein_measures_the_distance_of_the_means() -> None:
    torch.testing.assert_close(-_critic_value(Wasserstein(), X), torch.tensor(2 * M, dtype=torch.float64))


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_are_averaged_over_the_batch(loss: AdversarialLoss) -> None:
    real, fake = torch.randn(2, 7, dtype=torch.float64)
    for value in (loss.critic, loss.generator):
        assert value(real, fake).shape == ()
        torch.testing.assert_close(value(real.repeat(3), fake.repeat(3)), value(real, fake))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_generator_gains_where_the_score_of_its_observations_grows(loss: AdversarialLoss) -> None:
    fake = torch.linspace(-3, 0.9, 9, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss.generator(torch.ones(9, dtype=torch.float64), fake), fake)
    assert (gradient < 0).all()


def test_gradient_of_the_logistic_generator() -> None:
    fake = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    (kind,) = torch.autograd.grad(NonSaturating().generator(fake, fake), fake)
    torch.testing.assert_close(kind, -torch.sigmoid(-fake.detach()) / 13)


def test_relativistic_losses_see_differences_only_and_exchange_the_kinds() -> None:
    real, fake = torch.randn(2, 6, dtype=torch.float64)
    for average in (False, True):
        loss = Relativistic(average)
        torch.testing.assert_close(loss.critic(real + 5, fake + 5), loss.critic(real, fake))
        torch.testing.assert_close(loss.generator(real, fake), loss.critic(fake, real))
        equal = loss.critic(real.mean().expand(6), real.mean().expand(6))
        torch.testing.assert_close(equal, torch.tensor((1 + average) * math.log(2), dtype=torch.float64))


def test_equal_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="got a = b = 1"):
        LeastSquares(1, 1, 0)
