"""Riemannian normals against quadrature, the closed sum of error functions in 40 digits, and finite differences."""

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats

from lsgen.latent import PoincareBall, RiemannianNormal, RiemannianNormalPosterior, RiemannianNormalPrior, WrappedNormal
from lsgen.latent.families.hyperbolic_radii import HyperbolicRadius
from lsgen.latent.families.radial_quantiles import log_normaliser, radial_quantile, radial_table

f64 = torch.float64
GRID = [(c, d, sigma) for c in (0.5, 1.0, 2.0) for d in (2, 3, 5) for sigma in (0.3, 1.0, 2.0)]


def _closed_normaliser(d: int, sigma: float) -> mpmath.mpf:
    """Return int sinh^{d-1}(t) exp(-t^2 / 2 sigma^2) dt as the paper's sum of error functions."""
    n, s = d - 1, mpmath.mpf(sigma)
    terms = (
        (-1) ** k * mpmath.binomial(n, k) * mpmath.exp((n - 2 * k) ** 2 * s**2 / 2)
        * (1 + mpmath.erf((n - 2 * k) * s / mpmath.sqrt(2)))
        for k in range(n + 1)
    )  # fmt: skip
    return mpmath.sqrt(mpmath.pi / 2) * s / 2**n * sum(terms)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 10, 40])
def test_the_normaliser_is_the_closed_sum_at_every_scale(d: int) -> None:
    sigma = torch.tensor([0.01, 0.05, 0.3, 1.0, 1.7, 3.0], dtype=f64)
    kappa = sigma**-2
    found = log_normaliser(kappa, radial_table(HyperbolicRadius(d - 1), kappa))
    with mpmath.workdps(250):
        exact = [float(mpmath.log(_closed_normaliser(d, s))) for s in sigma.tolist()]
    torch.testing.assert_close(found, torch.tensor(exact, dtype=f64), rtol=1e-12, atol=1e-11)


def _radial(c: float, d: int, sigma: float):
    """Return the density of the distance up to a factor, and where it ends for double precision."""
    n, root = d - 1, c**0.5

    def log_f(rho):
        return n * (root * rho + np.log(-np.expm1(-2 * root * rho))) - rho**2 / (2 * sigma**2)

    mode = np.arange(1, 20_000) * (n * root * sigma**2 + 3 * sigma) / 10_000
    top = log_f(mode).max()
    return lambda rho: np.exp(log_f(rho) - top), n * root * sigma**2 + 15 * sigma


@pytest.mark.parametrize(("c", "d", "sigma"), GRID)
def test_distances_follow_their_distribution_function(c: float, d: int, sigma: float) -> None:
    density, end = _radial(c, d, sigma)
    edges = np.linspace(1e-9, end, 4001)
    cumulative = integrate.cumulative_simpson(density(edges), x=edges, initial=0)
    torch.manual_seed(0)
    kappa = torch.tensor([1 / (c * sigma**2)], dtype=f64)
    share = torch.rand(3000, 1, dtype=f64)
    rho = radial_quantile(kappa.expand(3000, -1), share, radial_table(HyperbolicRadius(d - 1), kappa))[:, 0] / c**0.5
    np.testing.assert_allclose(np.interp(rho, edges, cumulative / cumulative[-1]), share[:, 0], atol=2e-6)
    ball = PoincareBall(c)
    if 1.2 * end > ball.reach(f64):
        return  # the tail lies beyond what codes in double precision reach
    centre = torch.full((d,), 0.2 / d, dtype=f64)
    z = RiemannianNormal(centre, torch.tensor(sigma, dtype=f64), ball).sample((3000,))
    law = lambda x: np.interp(x, edges, cumulative / cumulative[-1])
    assert stats.kstest(ball.distance(centre, z).numpy(), law).pvalue > 1e-3
    towards = ball.log(centre.expand_as(z), z)
    mean = torch.nn.functional.normalize(towards, dim=-1).mean(0)
    assert bool((mean.abs() < 4 / (3000 * d) ** 0.5).all())


@pytest.mark.parametrize(("c", "d", "sigma"), GRID)
def test_density_integrates_to_one_over_the_ball(c: float, d: int, sigma: float) -> None:
    density, end = _radial(c, d, sigma)
    ball = PoincareBall(c)
    q = RiemannianNormal(torch.zeros(d, dtype=f64), torch.tensor(sigma, dtype=f64), ball)
    rho = torch.linspace(0, min(end, 0.7 * ball.reach(f64)), 2001, dtype=f64)[1:]
    z = torch.zeros(len(rho), d, dtype=f64)
    z[:, 0] = torch.tanh(c**0.5 * rho / 2) / c**0.5
    sphere = 2 * np.pi ** (d / 2) / float(mpmath.gamma(d / 2))
    f = q.log_prob(z).exp() * sphere * (torch.sinh(c**0.5 * rho) / c**0.5) ** (d - 1)
    inside = integrate.quad(density, 0, float(rho[-1]), limit=200)[0] / integrate.quad(density, 0, end, limit=200)[0]
    total = integrate.simpson(np.concatenate([[0.0], f.numpy()]), dx=float(rho[0]))
    assert total == pytest.approx(inside, rel=1e-5)


def test_density_away_from_the_origin_integrates_to_one_over_a_plain_grid() -> None:
    ball, n = PoincareBall(1.3), 900
    q = RiemannianNormal(torch.tensor([0.3, -0.2], dtype=f64), torch.tensor(0.4, dtype=f64), ball)
    axis = (torch.arange(n, dtype=f64) + 0.5) / n * 1.8 - 0.9
    z = torch.cartesian_prod(axis, axis)
    z = z[z.square().sum(1) * 1.3 < 0.9999]
    total = (q.log_prob(z).exp() * ball.conformal_factor(z)[:, 0] ** 2).sum() * (1.8 / n) ** 2
    assert total.item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(("d", "sigma"), [(2, 0.05), (2, 1.0), (5, 0.3), (10, 3.0)])
def test_quantiles_have_their_derivative_in_the_scale(d: int, sigma: float) -> None:
    share = torch.tensor([1e-7, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-3, 1 - 1e-7], dtype=f64)[:, None]

    def radius(s: torch.Tensor) -> torch.Tensor:
        kappa = s**-2
        return radial_quantile(kappa.expand(len(share), -1), share, radial_table(HyperbolicRadius(d - 1), kappa))

    scale = torch.tensor([sigma], dtype=f64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(radius, scale)[:, 0, 0]
    step = 1e-4 * sigma
    central = ((radius(scale + step) - radius(scale - step)) / (2 * step))[:, 0].detach()
    torch.testing.assert_close(jacobian, central, rtol=2e-6, atol=1e-8)


def test_samples_in_single_precision_carry_gradients_and_the_expected_spread() -> None:
    torch.manual_seed(0)
    raw = torch.tensor([[0.3, -0.1, 0.0, -1.0], [1.0, 0.5, 0.5, 0.3]], requires_grad=True)
    q, p = RiemannianNormalPosterior(1.2)(raw), RiemannianNormalPrior(2, 1.2, 1.7)()
    z = q.rsample((4000,))
    assert z.dtype == torch.float32
    spread = q.ball.distance(q.mean.detach(), z.detach()).square().mean(0)
    torch.testing.assert_close(spread, q.variance.sum(-1).detach(), rtol=0.08, atol=0)
    kl = (q.log_prob(z) - p.log_prob(z)).mean(0)
    entropy = -q.log_prob(z).mean(0).detach()
    torch.testing.assert_close(entropy, q.entropy().detach(), rtol=0, atol=0.05)
    (gradient,) = torch.autograd.grad(kl.sum(), raw)
    assert bool(torch.isfinite(gradient).all())
    assert bool((kl > 0).all())


def test_reparameterised_gradient_of_an_expectation_is_that_of_the_quadrature() -> None:
    torch.manual_seed(1)
    sigma = torch.tensor(0.8, dtype=f64, requires_grad=True)
    ball, centre = PoincareBall(0.7), torch.tensor([0.2, 0.1], dtype=f64)
    z = RiemannianNormal(centre, sigma, ball).rsample((40_000,))
    each = ball.distance(centre, z).square()
    (found,) = torch.autograd.grad(each.mean(), sigma)

    def mean_square(s: float) -> float:
        f = lambda rho: np.sinh(0.7**0.5 * rho) * np.exp(-(rho**2) / (2 * s**2))
        return integrate.quad(lambda r: r**2 * f(r), 0, 20 * s)[0] / integrate.quad(f, 0, 20 * s)[0]

    exact = (mean_square(0.801) - mean_square(0.799)) / 0.002
    assert found.item() == pytest.approx(exact, rel=0.02)


def test_small_curvature_is_the_flat_normal() -> None:
    ball, sigma = PoincareBall(1e-7), torch.tensor(0.6, dtype=f64)
    centre, z = torch.tensor([0.3, -0.2], dtype=f64), torch.randn(20, 2, dtype=f64)
    q, wrapped = RiemannianNormal(centre, sigma, ball), WrappedNormal(centre, sigma.expand(2), ball)
    torch.testing.assert_close(q.log_prob(z), wrapped.log_prob(z), rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_the_ball_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a scale > 0, got 0"):
        RiemannianNormalPrior(2, 1.0, 0)
    with pytest.raises(ValueError, match="the reach of float32 in a ball of curvature 2, got dim 5 and scale 2"):
        RiemannianNormalPrior(5, 2.0, 2.0)()
    with pytest.raises(ValueError, match=r"expected centres within 16.6 of the origin.* puts one at 40"):
        RiemannianNormalPosterior()(torch.tensor([[20.0, 0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="expected scales > 0, got -1"):
        RiemannianNormal(torch.zeros(2), torch.tensor(-1.0), PoincareBall())
