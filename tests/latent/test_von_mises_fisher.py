"""The von Mises-Fisher distribution against Bessel functions, quadrature and the closed form on S^2."""

from math import log, pi

import pytest
import torch
from scipy.special import ive
from torch import Tensor
from torch.distributions import kl_divergence

from lsgen.latent import HypersphericalUniform, VonMisesFisher, VonMisesFisherPosterior
from lsgen.latent.von_mises_fisher import _angle, log_sphere_area

DIMENSIONS = [2, 3, 5, 10, 40]
KAPPAS = [1e-3, 0.5, 4.0, 30.0, 500.0]


def _distribution(d: int, kappa: float, dtype: torch.dtype = torch.float64) -> VonMisesFisher:
    direction = torch.randn(d, dtype=dtype, generator=torch.Generator().manual_seed(d))
    direction = torch.nn.functional.normalize(direction, dim=0)
    return VonMisesFisher(direction, torch.tensor(kappa, dtype=dtype))


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("kappa", KAPPAS)
def test_normaliser_and_mean_are_those_of_bessel_functions(d: int, kappa: float) -> None:
    q = _distribution(d, kappa)
    order = d / 2 - 1
    log_normaliser = d / 2 * log(2 * pi) + log(ive(order, kappa)) + kappa - order * log(kappa)
    assert q.log_normaliser.item() == pytest.approx(log_normaliser, rel=1e-10, abs=1e-10)
    assert q.mean_resultant_length.item() == pytest.approx(ive(d / 2, kappa) / ive(order, kappa), rel=1e-8)


def test_on_the_ordinary_sphere_all_is_elementary() -> None:
    kappa = torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64)
    q = VonMisesFisher(torch.eye(3, dtype=torch.float64), kappa)
    torch.testing.assert_close(q.log_normaliser, torch.log(4 * pi * torch.sinh(kappa) / kappa))
    torch.testing.assert_close(q.mean_resultant_length, 1 / torch.tanh(kappa) - 1 / kappa)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("kappa", [0.5, 30.0])
def test_divergence_from_uniform_by_quadrature_and_its_limit(d: int, kappa: float) -> None:
    q, p = _distribution(d, kappa), HypersphericalUniform(d).double()()
    t = torch.linspace(0, pi, 40_001, dtype=torch.float64)
    points = torch.cos(t)[:, None] * q.direction + torch.sin(t)[:, None] * _tangent(q.direction)
    density = torch.exp(q.log_prob(points) + log_sphere_area(d - 1)) * torch.sin(t) ** (d - 2)
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-7)
    integrand = density * (q.log_prob(points) - p.log_prob(points))
    assert kl_divergence(q, p).item() == pytest.approx(torch.trapezoid(integrand, t).item(), abs=1e-7)
    tiny = kl_divergence(_distribution(d, 1e-4), p).item()
    assert tiny == pytest.approx(1e-8 / (2 * d), abs=1e-12)


def _tangent(mu: Tensor) -> Tensor:
    other = torch.zeros_like(mu)
    other[0] = 1
    return torch.nn.functional.normalize(other - (other @ mu) * mu, dim=0)


@pytest.mark.parametrize(("d", "kappa"), [(2, 0.5), (3, 30.0), (10, 4.0), (40, 30.0)])
def test_samples_lie_on_the_sphere_and_have_the_moments(d: int, kappa: float) -> None:
    q, n = _distribution(d, kappa), 4_000
    torch.manual_seed(0)
    z = q.rsample((n,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(n, dtype=torch.float64))
    along, A = z @ q.direction, q.mean_resultant_length.item()
    assert along.mean().item() == pytest.approx(A, abs=5 * along.std().item() / n**0.5)
    variance = 1 - A**2 - (d - 1) / kappa * A
    spread = (along - A).square()
    assert spread.mean().item() == pytest.approx(variance, abs=5 * spread.std().item() / n**0.5)
    deviation = (z - z.mean(0)).square()
    assert bool(((deviation.mean(0) - q.variance).abs() < 6 * deviation.std(0) / n**0.5).all())
    across = z - along[:, None] * q.direction
    assert bool((across.mean(0).abs() < 6 * across.std(0) / n**0.5).all())


@pytest.mark.parametrize(("d", "kappa"), [(2, 0.5), (3, 30.0), (10, 4.0)])
def test_gradient_of_an_expectation_is_exact(d: int, kappa: float) -> None:
    """d/dkappa E[mu.z] = 1 - A^2 - (d - 1) A / kappa, and the gradient in mu is A times the direction itself."""
    concentration = torch.tensor(kappa, dtype=torch.float64, requires_grad=True)
    mu = _distribution(d, kappa).direction.requires_grad_()
    n = 4_000
    torch.manual_seed(0)
    along = VonMisesFisher(mu.detach(), concentration).rsample((n,)) @ mu.detach()
    A = _distribution(d, kappa).mean_resultant_length.item()
    (mean,) = torch.autograd.grad(along.mean(), concentration)
    assert mean.item() == pytest.approx(1 - A**2 - (d - 1) / kappa * A, rel=0.1)
    weights = torch.linspace(-1, 1, d, dtype=torch.float64)
    unit = torch.nn.functional.normalize(mu, dim=0)
    (slope,) = torch.autograd.grad((VonMisesFisher(unit, concentration.detach()).rsample((n,)) @ weights).mean(), mu)
    exact = A * (weights - (weights @ mu.detach()) * mu.detach())
    torch.testing.assert_close(slope, exact, rtol=0, atol=6 * 2 / n**0.5)


def test_the_angle_is_the_inverse_of_its_distribution_function() -> None:
    def angle(kappa: Tensor) -> Tensor:
        return _angle(
            kappa, VonMisesFisher(torch.ones(97, d), kappa).log_normaliser - log_sphere_area(d - 1), uniform, d
        )

    uniform = torch.linspace(0.001, 0.999, 97, dtype=torch.float64)
    for d in (2, 3, 10):
        kappa = torch.full_like(uniform, 4.0)
        t = angle(kappa)
        grid = torch.linspace(0, pi, 200_001, dtype=torch.float64)
        density = torch.sin(grid) ** (d - 2) * torch.exp(4 * (torch.cos(grid) - 1))
        cumulative = torch.cumulative_trapezoid(density, grid)
        exact = cumulative[torch.searchsorted(grid, t).clamp(max=200_000) - 1] / cumulative[-1]
        torch.testing.assert_close(exact, uniform, rtol=0, atol=2e-4)
        step = 1e-4
        numeric = (angle(kappa + step) - angle(kappa - step)) / (2 * step)
        kappa.requires_grad_()
        (slope,) = torch.autograd.grad(angle(kappa).sum(), kappa)
        torch.testing.assert_close(slope, numeric, rtol=1e-4, atol=1e-7)


def test_divergence_has_exact_gradients() -> None:
    p = HypersphericalUniform(6).double()()
    kappa = torch.tensor([0.3, 5.0], dtype=torch.float64, requires_grad=True)
    mu = torch.eye(6, dtype=torch.float64)[:2]
    assert torch.autograd.gradcheck(lambda k: kl_divergence(VonMisesFisher(mu, k), p), kappa)


@pytest.mark.parametrize("kappa", [1.0, 100.0, 5000.0])
def test_single_precision_suffices(kappa: float) -> None:
    single, double = _distribution(20, kappa, torch.float32), _distribution(20, kappa)
    exact = kl_divergence(double, HypersphericalUniform(20).double()()).item()
    assert kl_divergence(single, HypersphericalUniform(20)()).item() == pytest.approx(exact, rel=1e-3, abs=1e-4)
    torch.manual_seed(0)
    z = single.rsample((1000,))
    assert bool(torch.isfinite(z).all())
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(1000))


def test_posterior_reads_a_direction_and_a_concentration() -> None:
    q = VonMisesFisherPosterior()(torch.cat([torch.tensor([[3.0, 4.0]]), torch.tensor([[-1.0, 1.0]])], -1))
    torch.testing.assert_close(q.mean, torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(q.concentration, torch.tensor([1 + log(2)]))


def test_spheres_of_no_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="expected codes on a sphere in at least 2 dimensions, got 1"):
        HypersphericalUniform(1)
