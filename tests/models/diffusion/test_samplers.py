"""Samplers: orders of convergence and moments on distributions whose denoiser is exact, and inversion."""

from dataclasses import replace
from itertools import pairwise
from math import log2

import pytest
import torch

from lsgen.models.diffusion import LinearLogSNR, MixtureDenoiser, RectifiedFlow, VarianceExploding
from lsgen.models.diffusion.samplers import (
    DDIM,
    AdaptiveODE,
    Ancestral,
    ChurnedHeun,
    DPMSolver,
    Euler,
    Heun,
    StochasticDDIM,
)

f64 = torch.float64
NARROW = LinearLogSNR(log_snr_max=5.0, log_snr_min=-5.0)
MEANS, WEIGHTS = torch.tensor([[-1.5, 0.5], [1.0, -0.5]], dtype=f64), [0.4, 0.6]
RULES = [(DDIM(), 1), (Euler(), 1), (Heun(), 2), (DPMSolver(), 2)]
every_rule = pytest.mark.parametrize(("rule", "order"), RULES, ids=[type(rule).__name__ for rule, _ in RULES])


def mixture(path):
    return MixtureDenoiser(path, MEANS, 0.5, WEIGHTS)


def noise(n):
    return torch.randn(n, 2, dtype=f64, generator=torch.Generator().manual_seed(0))


@every_rule
@pytest.mark.parametrize("path", [NARROW, RectifiedFlow(log_snr_max=5.0, log_snr_min=-5.0)], ids=["VP", "flow"])
def test_deterministic_rules_converge_with_their_order(rule, order, path):
    denoise, start = mixture(path), noise(50)
    exact = AdaptiveODE(1e-10, 1e-10)(denoise, path, start)
    errors = []
    for steps in (40, 80, 160):
        found = replace(rule, steps=steps, denoise_last=False, spacing="log_snr")(denoise, path, start)
        errors.append(float((found - exact).norm()))
    for coarse, fine in pairwise(errors):
        assert abs(log2(coarse / fine) - order) < 0.25


@every_rule
def test_inversion_comes_back_as_its_order_says(rule, order):
    denoise, start = mixture(NARROW), noise(50)
    errors = []
    for steps in (40, 80):
        one = replace(rule, steps=steps, denoise_last=False, spacing="log_snr")
        errors.append(float((one.invert(denoise, NARROW, one(denoise, NARROW, start)) - start).norm()))
    assert log2(errors[0] / errors[1]) > order - 0.3
    assert errors[1] < (1.0 if order == 1 else 0.1)


def test_the_flow_comes_back_to_where_it_started():
    denoise, start, ode = mixture(NARROW), noise(20), AdaptiveODE(1e-9, 1e-9)
    x = ode(denoise, NARROW, start)
    torch.testing.assert_close(ode.invert(denoise, NARROW, x), start, rtol=1e-6, atol=1e-6)


STOCHASTIC = [
    Ancestral(400),
    Ancestral(400, variance="forward"),
    StochasticDDIM(400),
    StochasticDDIM(400, eta=0.5),
    ChurnedHeun(200),
]


@pytest.mark.parametrize("rule", STOCHASTIC, ids=lambda rule: f"{type(rule).__name__}-{rule.steps}")
def test_stochastic_rules_draw_from_the_mixture(rule):
    """Means, covariance and the shares of the components, within four standard errors and the steps' bias."""
    n, denoise = 4000, mixture(NARROW)
    rule = (
        replace(rule, denoise_last=False, inflation=1.0)
        if isinstance(rule, ChurnedHeun)
        else replace(rule, denoise_last=False)
    )
    x = rule(denoise, NARROW, noise(n), torch.Generator().manual_seed(1))
    share = torch.tensor(WEIGHTS, dtype=f64)
    mean = share @ MEANS
    covariance = 0.25 * torch.eye(2, dtype=f64) + (share[:, None] * (MEANS - mean)).T @ (MEANS - mean)
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=4 * float(covariance.diag().max() / n) ** 0.5)
    torch.testing.assert_close(x.T.cov(), covariance, rtol=0, atol=0.12)
    first = float((denoise_share(x) > 0.5).double().mean())
    assert abs(first - 0.4) < 4 * (0.4 * 0.6 / n) ** 0.5


def denoise_share(x):
    """Return the posterior probability of the first component."""
    logits = torch.tensor(WEIGHTS, dtype=f64).log() - (x[:, None] - MEANS).square().sum(2) / (2 * 0.25)
    return logits.softmax(1)[:, 0]


def test_variance_of_ancestral_steps_for_points_and_for_normal_data():
    """ "posterior" is exact for one point, "forward" for standard normal data, whatever the number of steps."""
    point = MixtureDenoiser(NARROW, torch.tensor([[0.7]], dtype=f64))
    normal = MixtureDenoiser(NARROW, torch.tensor([[0.0]], dtype=f64), 1.0)
    start = torch.randn(20_000, 1, dtype=f64, generator=torch.Generator().manual_seed(0))
    for denoise, variance, expected in (
        (point, "posterior", NARROW.scales(torch.tensor(5.0))[1]),
        (normal, "forward", 1.0),
    ):
        rule = Ancestral(5, denoise_last=False, variance=variance)
        *_, last = rule.states(denoise, NARROW, start * rule.nodes(NARROW)[0].sigma, torch.Generator().manual_seed(1))
        assert abs(float(last.std()) / float(expected) - 1) < 0.02


def test_straight_lines_are_followed_in_one_step():
    """Data that are one point have straight paths; a rectified flow reaches it at once."""
    path = RectifiedFlow()
    denoise = MixtureDenoiser(path, torch.tensor([[0.3, -0.2]], dtype=f64))
    found = Euler(2, denoise_last=True)(denoise, path, noise(5))
    torch.testing.assert_close(found, torch.tensor([[0.3, -0.2]], dtype=f64).expand(5, -1))


@every_rule
def test_the_denoiser_is_asked_as_often_as_steps_say(rule, order):
    calls = []

    def counted(x, l):
        calls.append(len(x))
        return mixture(NARROW)(x, l)

    replace(rule, steps=10)(counted, NARROW, noise(3))
    assert len(calls) == (19 if isinstance(rule, Heun) else 10)
    calls.clear()
    replace(rule, steps=10, denoise_last=False)(counted, NARROW, noise(3))
    assert len(calls) == (20 if isinstance(rule, Heun) else 10)


def test_draws_are_repeated_from_a_seed():
    path = VarianceExploding(sigma_max=10.0)
    for rule in STOCHASTIC:
        one = replace(rule, steps=20)
        first, again, other = (
            one(mixture(path), path, noise(4), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_deterministic_samplers_are_differentiable():
    for rule in (DDIM(10), Euler(10), Heun(10), DPMSolver(10), AdaptiveODE(1e-6, 1e-6)):
        start = noise(3).requires_grad_()
        (slope,) = torch.autograd.grad(rule(mixture(NARROW), NARROW, start)[:, 0].sum(), start)
        moved = [rule(mixture(NARROW), NARROW, start.detach() + torch.tensor([h, 0.0]))[:, 0] for h in (1e-4, -1e-4)]
        torch.testing.assert_close(slope[:, 0], (moved[0] - moved[1]) / 2e-4, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DDIM(1), "expected at least 2 steps"),
        (lambda: DDIM(0, denoise_last=False), "expected at least 1 steps"),
        (lambda: Euler(spacing="even"), "time, log_snr or sigma"),
        (lambda: StochasticDDIM(eta=2.0), "eta in"),
        (lambda: Ancestral(variance="learned"), "posterior or forward"),
        (lambda: ChurnedHeun(churn=-1.0), "churn >= 0"),
        (lambda: AdaptiveODE(rtol=0.0), "above 0"),
    ],
)
def test_what_is_no_sampler_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
