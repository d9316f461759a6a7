"""The von Mises-Fisher distribution against Bessel functions, quadrature and the closed form on S^2."""

from math import log, pi

import pytest
import torch
from scipy.special import ive
from torch import Tensor
from torch.distributions import kl_divergence

from lsgen.latent import HypersphericalUniform, VonMisesFisher, VonMisesFisherPosterior
from lsgen.latent.families.spherical_angles import largest_concentration
from lsgen.latent.families.von_mises_fisher import log_sphere_area

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


def test_divergence_has_exact_gradients() -> None:
    p = HypersphericalUniform(6).double()()
    kappa = torch.tensor([0.3, 5.0], dtype=torch.float64, requires_grad=True)
    mu = torch.eye(6, dtype=torch.float64)[:2]
    assert torch.autograd.gradcheck(lambda k: kl_divergence(VonMisesFisher(mu, k), p), kappa)


@pytest.mark.parametrize("d", [2, 20, 200, 500])
@pytest.mark.parametrize("kappa", [1e-4, 0.1, 3.0, 1e4])
def test_divergences_keep_their_digits_in_single_precision(d: int, kappa: float) -> None:
    """The entropies that they are differences of are thousands of times larger; so are the terms of the gradient."""
    values = []
    for dtype in (torch.float32, torch.float64):
        k = torch.tensor(kappa, dtype=dtype, requires_grad=True)
        value = kl_divergence(VonMisesFisher(torch.eye(d, dtype=dtype)[0], k), HypersphericalUniform(d).to(dtype)())
        values.append((value.item(), torch.autograd.grad(value, k)[0].item()))
    assert values[0] == pytest.approx(values[1], rel=2e-6, abs=1e-12)
    if kappa < 0.1 * d**0.5:
        assert values[1][1] == pytest.approx(kappa / d, rel=1e-2)


@pytest.mark.parametrize(("directions", "concentrations"), [((), (5,)), ((3,), (2, 1)), ((4, 1), (3,)), ((0, 1), (2,))])
def test_shapes_of_directions_and_concentrations_are_broadcast(directions, concentrations) -> None:
    mu, kappa = torch.eye(3)[0].expand(*directions, 3), torch.full(concentrations, 2.0)
    q, batch = VonMisesFisher(mu, kappa), torch.broadcast_shapes(directions, concentrations)
    assert q.batch_shape == q.entropy().shape == q.mean_resultant_length.shape == batch
    assert q.rsample((2,)).shape == (2, *batch, 3)
    assert q.log_prob(mu).shape == kl_divergence(q, HypersphericalUniform(3)()).shape == batch
    assert q.mean.shape == q.variance.shape == (*batch, 3)


@pytest.mark.parametrize(
    ("directions", "concentrations", "sentence"),
    [
        ((3, 4), (2,), r"expected directions \(B, d\) and concentrations \(B,\), got \(3, 4\) and \(2,\)"),
        ((2, 1), (2,), r"expected directions \(B, d\) in at least 2 dimensions, got shape \(2, 1\)"),
        ((), (), r"expected directions \(B, d\) in at least 2 dimensions, got shape \(\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(directions, concentrations, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        VonMisesFisher(torch.ones(directions), torch.ones(concentrations))


def test_several_gradients_of_one_distribution() -> None:
    k = torch.tensor(3.0, requires_grad=True)
    q = VonMisesFisher(torch.eye(3)[0], k)
    gradients = [
        torch.autograd.grad(value, k)[0] for value in (q.entropy(), q.rsample()[0], q.log_prob(torch.eye(3)[0]))
    ]
    assert all(bool(gradient.isfinite()) for gradient in gradients)


@pytest.mark.parametrize("kappa", [1.0, 100.0, 5000.0])
def test_single_precision_suffices(kappa: float) -> None:
    single, double = _distribution(20, kappa, torch.float32), _distribution(20, kappa)
    exact = kl_divergence(double, HypersphericalUniform(20).double()()).item()
    assert kl_divergence(single, HypersphericalUniform(20)()).item() == pytest.approx(exact, rel=1e-3, abs=1e-4)
    torch.manual_seed(0)
    z = single.rsample((1000,))
    assert bool(torch.isfinite(z).all())
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(1000))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [1e4, 1e6, 1e7, 2e10])
def test_high_concentrations_keep_their_entropy_spread_and_gradients(kappa: float, dtype: torch.dtype) -> None:
    """On S^2, H = log(4 pi sinh kappa / kappa) - kappa coth kappa + 1; kappa times the variance across is A."""
    concentration = torch.tensor(kappa, dtype=dtype, requires_grad=True)
    q = VonMisesFisher(torch.tensor([0.6, 0.0, 0.8], dtype=dtype), concentration)
    entropy, n = q.entropy(), 4000
    assert entropy.item() == pytest.approx(log(2 * pi / kappa) + 1, rel=1e-6)
    (slope,) = torch.autograd.grad(entropy, concentration)
    assert slope.item() == pytest.approx(-1 / kappa, rel=1e-6)
    torch.testing.assert_close(q.variance * kappa, torch.tensor([0.64, 1.0, 0.36], dtype=dtype), rtol=2e-4, atol=0)
    torch.manual_seed(0)
    z = q.sample((n,))
    across = z.double() @ torch.tensor([[0.0, 0.8], [1.0, 0.0], [0.0, -0.6]], dtype=torch.float64)
    assert (across.square().mean() * kappa).item() == pytest.approx(1, abs=5 / n**0.5)
    wide = VonMisesFisher(q.direction.double(), concentration.detach().double()).log_prob(z.double())
    torch.testing.assert_close(q.log_prob(z).double(), wide, rtol=1e-6, atol=1e-6)
    assert -wide.mean().item() == pytest.approx(entropy.item(), abs=0.01 * (kappa > 1e9) + 5 / n**0.5)


def test_draws_have_unit_length_where_the_noise_is_parallel_to_the_mean(monkeypatch) -> None:
    """In two dimensions the tangent is the sign of a normal number, which may be tiny beside the noise along mu."""
    mu = torch.nn.functional.normalize(torch.tensor([[1.0, 3.0]]), dim=-1)
    across = torch.tensor([[3.0, -1.0]], dtype=torch.float64) * torch.logspace(-7, 0, 50, dtype=torch.float64)[:, None]
    noise = mu.double() + across
    monkeypatch.setattr(torch, "randn", lambda shape, **kind: noise.to(**kind).view(shape))
    z = VonMisesFisher(mu, torch.tensor([4.0])).sample((50,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(50, 1), rtol=0, atol=3e-7)


def test_what_is_no_von_mises_fisher_distribution_is_refused() -> None:
    mu, kappa = torch.eye(3), torch.ones(3)
    for value, said in ((-1.0, "-1"), (0.0, "0"), (1e11, r"1e\+11"), (float("inf"), "inf")):
        with pytest.raises(ValueError, match=rf"above 0 and up to 2\.4e\+10, where float32 .* got {said}$"):
            VonMisesFisher(mu, torch.where(torch.arange(3) == 1, value, kappa))
    assert bool(torch.isfinite(VonMisesFisher(mu.double(), 1e11 * kappa.double()).sample()).all())
    assert largest_concentration(torch.float64) > 1e23
    with pytest.raises(ValueError, match="expected unit vectors as directions, got lengths from 0 to 1"):
        VonMisesFisherPosterior()(torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]]))
    tiny = VonMisesFisherPosterior()(torch.tensor([[3e-30, 4e-30, 1.0, 1.0]]))
    torch.testing.assert_close(tiny.mean, torch.tensor([[0.6, 0.8]]))


def test_posterior_reads_a_direction_and_a_concentration() -> None:
    q = VonMisesFisherPosterior()(torch.cat([torch.tensor([[3.0, 4.0]]), torch.tensor([[-1.0, 1.0]])], -1))
    torch.testing.assert_close(q.mean, torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(q.concentration, torch.tensor([1 + log(2)]))


@pytest.mark.parametrize("shape", [(0,), (2, 3), ()])
def test_batches_of_every_shape_and_half_precision_are_drawn(shape: tuple[int, ...]) -> None:
    for dtype in (torch.bfloat16, torch.float32):
        q = VonMisesFisherPosterior()(torch.randn(*shape, 8).to(dtype))
        z = q.rsample((5,))
        assert z.shape == (5, *shape, 4)
        assert z.dtype == q.entropy().dtype == dtype
        torch.testing.assert_close(z.float().norm(dim=-1), torch.ones(5, *shape), rtol=0, atol=2e-2)


def test_a_training_step_reads_nothing_from_the_device() -> None:
    """Tensors without values refuse to be read."""
    raw = torch.randn(4, 6, device="meta", requires_grad=True)
    q = VonMisesFisherPosterior()(raw)
    (kl_divergence(q, HypersphericalUniform(3).to("meta")()) + q.log_prob(q.rsample((2,)))).sum().backward()
    assert raw.grad is not None


def test_spheres_of_no_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="expected codes on a sphere in at least 2 dimensions, got 1"):
        HypersphericalUniform(1)
