"""Probability paths: their clock, its inverse and its derivatives, and the noise of a batch."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from lsgen.models.diffusion import (
    Cosine,
    Karras,
    LinearLogSNR,
    RectifiedFlow,
    VarianceExploding,
    VariancePreserving,
)
from lsgen.models.diffusion.coupling import log_transport_plan, paired_noise

f64 = torch.float64
PATHS = [LinearLogSNR(), VariancePreserving(), Cosine(), VarianceExploding(), Karras(), RectifiedFlow()]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)


@every_path
def test_the_clock_runs_between_its_bounds_and_back(path):
    t = torch.linspace(0, 1, 101, dtype=f64)
    l = path.log_snr(t)
    ends = torch.tensor([path.log_snr_max, path.log_snr_min], dtype=f64)
    torch.testing.assert_close(l[[0, -1]], ends, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(path.time(l), t, rtol=1e-9, atol=1e-9)
    alpha, sigma = path.alpha_sigma(t)
    torch.testing.assert_close(2 * (alpha / sigma).log(), l, rtol=1e-9, atol=1e-9)
    single = path.log_snr(t.float())
    torch.testing.assert_close(single.double(), l, rtol=1e-3, atol=1e-3)


@every_path
def test_slopes_are_derivatives(path):
    t = torch.linspace(0.01, 0.99, 37, dtype=f64, requires_grad=True)
    l = path.log_snr(t)
    (by_autograd,) = torch.autograd.grad(l.sum(), t)
    torch.testing.assert_close(path.slope(t), by_autograd, rtol=1e-8, atol=1e-10)
    for k, slope in enumerate((path.dalpha(t), path.dsigma(t))):
        (by_autograd,) = torch.autograd.grad((path.alpha_sigma(t)[k] + 0 * t).sum(), t)
        torch.testing.assert_close(slope, by_autograd, rtol=1e-8, atol=1e-10)


def test_schedules_are_those_of_their_papers():
    """At their own time s, which is t stretched to where l is finite."""
    s = torch.linspace(0.05, 0.95, 19, dtype=f64)
    b = 0.1 * s + 19.9 * s.square() / 2
    alpha, sigma = VariancePreserving().scales(
        VariancePreserving().log_snr(VariancePreserving().time(-b.expm1().log()))
    )
    torch.testing.assert_close(alpha.square(), (-b).exp())
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(s))
    angle = torch.pi / 2
    bar = (((s + 0.008) / 1.008) * angle).cos().square() / torch.tensor(0.008 / 1.008 * angle, dtype=f64).cos().square()
    path = Cosine()
    torch.testing.assert_close(path.scales(path.log_snr(path.time((bar / (1 - bar)).log())))[0].square(), bar)
    flow = RectifiedFlow()
    torch.testing.assert_close(sum(flow.alpha_sigma(s)), torch.ones_like(s))


def test_noise_of_edm_is_normal_in_its_logarithm():
    path, t = Karras(), (torch.arange(4000, dtype=f64) + 0.5) / 4000
    log_sigma = -path.log_snr(t) / 2
    assert abs(float(log_sigma.mean()) + 1.2) < 1e-3
    assert abs(float(log_sigma.std()) - 1.2) < 2e-3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearLogSNR(log_snr_max=-1, log_snr_min=1), "expected finite log_snr_min < log_snr_max"),
        (lambda: VariancePreserving(beta_min=3, beta_max=1), "expected 0 <= beta_min <= beta_max"),
        (lambda: VariancePreserving(beta_min=0, beta_max=float("nan")), "expected 0 <= beta_min <= beta_max"),
        (lambda: Cosine(offset=-1), "offset of at least 0"),
        (lambda: VarianceExploding(sigma_min=0), "expected 0 < sigma_min < sigma_max"),
        (lambda: Karras(std=0), "std > 0"),
        (lambda: RectifiedFlow(coupling="sinkhorn"), "independent or optimal_transport"),
    ],
)
def test_what_is_no_schedule_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_transport_plans_have_their_marginals_and_cost_less():
    """Against the exact assignment of scipy: within a few per cent, and far from independent pairs."""
    torch.manual_seed(0)
    x, eps = torch.randn(64, 2, dtype=f64) + 3, torch.randn(64, 2, dtype=f64)
    cost = torch.cdist(x, eps).square()
    plan = log_transport_plan(cost).exp()
    torch.testing.assert_close(plan.sum(0), torch.full((64,), 1 / 64, dtype=f64))
    torch.testing.assert_close(plan.sum(1), torch.full((64,), 1 / 64, dtype=f64), rtol=0.2, atol=0)
    rows, columns = linear_sum_assignment(cost.numpy())
    exact, independent = float(cost[rows, columns].mean()), float(cost.mean())
    assert exact * 0.99 < float((plan * cost).sum()) < exact + 0.15 * (independent - exact)
    drawn = paired_noise(x, eps, torch.Generator().manual_seed(0))
    assert float((x - drawn).square().sum(1).mean()) < exact + 0.3 * (independent - exact)
    assert all(any(torch.equal(row, other) for other in eps) for row in drawn)


def test_paired_noise_stays_standard_normal():
    torch.manual_seed(0)
    x, eps = torch.randn(2000, 4, 2) * 2 + 5, torch.randn(2000, 4, 2)
    drawn = torch.cat([paired_noise(a, b) for a, b in zip(x.split(100), eps.split(100), strict=True)]).flatten(1)
    assert drawn.mean(0).abs().max() < 0.1
    torch.testing.assert_close(drawn.T.cov(), torch.eye(8), rtol=0, atol=0.15)
