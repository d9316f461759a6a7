"""Densities: against SciPy and PyTorch, their curvature, and single precision at both ends."""

import numpy
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from lsgen.geometry import immersion, metric_field, scalar_curvature
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import (
    Beta,
    ContinuousBernoulli,
    FixedLaplace,
    FixedLogistic,
    Gaussian,
    Laplace,
    Likelihood,
    Logistic,
    OptimalGaussian,
    SharedGaussian,
)


def _space(likelihood: Likelihood, dim: int) -> LatentSpace:
    return LatentSpace(nn.Identity(), likelihood, StandardNormal(dim)).double()


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize(("family", "law"), [(Laplace, stats.laplace), (Logistic, stats.logistic)])
def test_location_scale_densities_are_those_of_scipy(family, law) -> None:
    h, x = _normal(6, 2), 3 * _normal(6, 1)
    expected = law.logpdf(x[:, 0], h[:, 0], h[:, 1].exp())
    numpy.testing.assert_allclose(family((1,))(h).log_prob(x), expected, rtol=1e-12)
    numpy.testing.assert_allclose(family((1,))(h).variance[:, 0], law.var(h[:, 0], h[:, 1].exp()), rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "curvature"), [(Gaussian, -1.0), (Laplace, -2.0), (Logistic, -18 / (3 + numpy.pi**2))]
)
def test_location_scale_families_are_hyperbolic_planes(family, curvature: float) -> None:
    z, space = _normal(9, 2), _space(family((1,)), 2)
    expected = torch.full((9,), curvature, dtype=torch.float64)
    torch.testing.assert_close(scalar_curvature(immersion(space), z), expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(scalar_curvature(metric_field(space), z), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("family", [Laplace, Logistic, Gaussian])
def test_small_scales_keep_their_metric_in_single_precision(family) -> None:
    likelihood = family((1,))
    h = torch.tensor([[0.7, -6.0], [-3.0, -9.0]])
    jacobian = torch.func.vmap(torch.func.jacrev(lambda a, b: likelihood.embed(a[None], at=b[None])[0]))(h, h)
    metric = jacobian.mT @ torch.diag(likelihood.signature) @ jacobian
    torch.testing.assert_close(metric.double(), likelihood.fisher(h.double())[:, 0], rtol=1e-5, atol=1e-3)


def test_beta_curvature_lies_between_its_limits() -> None:
    field = metric_field(_space(Beta((1,)), 2))
    curvature = scalar_curvature(field, 1.5 * _normal(20, 2))
    assert bool(((curvature > -1) & (curvature < 0)).all())
    limits = scalar_curvature(field, torch.tensor([[9.0, 9.0], [-7.0, -7.0]], dtype=torch.float64))
    torch.testing.assert_close(limits, torch.tensor([-1.0, 0.0], dtype=torch.float64), rtol=0, atol=5e-3)


def test_beta_density_and_information_are_finite_at_extremes() -> None:
    likelihood = Beta((1,))
    h = torch.tensor([[-20.0, 3.0], [12.0, 12.0], [9.0, -9.0]])
    exact = likelihood.fisher(h.double())[:, 0]
    torch.testing.assert_close(likelihood.fisher(h)[:, 0].double(), exact, rtol=1e-6, atol=0)
    assert bool((torch.linalg.eigvalsh(exact) > 0).all())
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        likelihood.validate(torch.tensor([[0.0]]))


ETA = [1e-9, 1e-3, 0.4, -0.99, 1.01, -3.0, 12.0, -30.0, 200.0, 3e4]


def test_continuous_bernoulli_is_that_of_torch_away_from_one_half() -> None:
    h = torch.tensor([[0.4], [-3.0], [12.0], [1.2]], dtype=torch.float64)
    ours, theirs = ContinuousBernoulli((1,))(h), TorchContinuousBernoulli(logits=h)
    x = torch.rand(50, 4, 1, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x).squeeze(-1))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


@pytest.mark.parametrize("eta", ETA)
def test_continuous_bernoulli_moments_are_derivatives_of_its_partition(eta: float) -> None:
    h = torch.tensor([[eta]], dtype=torch.float64, requires_grad=True)
    likelihood = ContinuousBernoulli((1,))
    log_partition = -likelihood(h).log_prob(torch.zeros(1, 1, dtype=torch.float64))
    (mean,) = torch.autograd.grad(log_partition, h, create_graph=True)
    (variance,) = torch.autograd.grad(mean, h)
    torch.testing.assert_close(mean, likelihood(h).mean, rtol=1e-11, atol=0)
    torch.testing.assert_close(variance, likelihood.fisher(h)[0, 0], rtol=1e-8, atol=0)
    single = ContinuousBernoulli((1,))(h.detach().float())
    torch.testing.assert_close(single.mean.double(), likelihood(h).mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(single.variance.double(), likelihood(h).variance, rtol=1e-6, atol=0)


@pytest.mark.parametrize("eta", ETA)
def test_continuous_bernoulli_embedding_is_the_integral(eta: float) -> None:
    likelihood = ContinuousBernoulli((1,))
    root = lambda v: (likelihood.fisher(torch.tensor([[v]], dtype=torch.float64).sinh()).sqrt() * numpy.cosh(v)).item()
    end = numpy.arcsinh(eta)
    exact = integrate.quad(root, 0, end, epsabs=0, epsrel=1e-11, points=[end / 3])[0]
    h = torch.tensor([[eta]], dtype=torch.float64, requires_grad=True)
    value = likelihood.embed(h)
    assert value.item() == pytest.approx(exact, rel=1e-9)
    (slope,) = torch.autograd.grad(value, h)
    assert slope.item() == pytest.approx(likelihood.fisher(h).sqrt().item(), rel=1e-10)
    single = h.detach().float().requires_grad_()
    (slope_,) = torch.autograd.grad(likelihood.embed(single), single)
    assert slope_.item() == pytest.approx(slope.item(), rel=2e-6)


def test_optimal_gaussian_has_the_gradient_of_half_the_log_of_the_mean_squared_error() -> None:
    likelihood, x = OptimalGaussian((2, 3, 3)).double(), _normal(8, 2, 3, 3)
    h = _normal(8, 2, 3, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(-likelihood(h).log_prob(x).sum(), h)
    (expected,) = torch.autograd.grad(8 * 18 / 2 * (x - h).square().mean().log(), h)
    torch.testing.assert_close(gradient, expected)
    value = -likelihood(h).log_prob(x).mean()
    at_optimum = 18 / 2 * ((x - h).square().mean().log() + numpy.log(2 * numpy.pi) + 1)
    torch.testing.assert_close(value, at_optimum)


def test_optimal_gaussian_keeps_a_moving_average_for_use_outside_training() -> None:
    likelihood = OptimalGaussian((4,), momentum=0.25).double()
    errors = [_normal(5, 4) for _ in range(7)]
    for e in errors:
        likelihood(torch.zeros(5, 4, dtype=torch.float64)).log_prob(e)
    squares = [e.square().mean().item() for e in errors]
    average = sum(squares[:4]) / 4
    for square in squares[4:]:
        average += 0.25 * (square - average)
    assert likelihood.variance.item() == pytest.approx(average)
    before = {name: value.clone() for name, value in likelihood.state_dict().items()}
    h = _normal(3, 4)
    torch.testing.assert_close(
        likelihood.eval()(h).log_prob(0 * h), torch.distributions.Normal(h, average**0.5).log_prob(0 * h).sum(-1)
    )
    torch.testing.assert_close(likelihood.fisher(h).unique(), torch.tensor([1 / average], dtype=torch.float64))
    assert all(torch.equal(value, before[name]) for name, value in likelihood.state_dict().items())


def test_optimal_gaussian_never_falls_below_its_smallest_deviation() -> None:
    likelihood, h = OptimalGaussian((4,), smallest=0.5), torch.zeros(3, 4)
    expected = torch.distributions.Normal(h, 0.5).log_prob(h).sum(-1)
    torch.testing.assert_close(likelihood(h).log_prob(h), expected)
    for wrong, sentence in (
        ({"momentum": 0.0}, r"a momentum in \(0, 1\], got 0.0"),
        ({"smallest": 0.0}, "> 0, got 0.0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            OptimalGaussian((4,), **wrong)


def test_deviation_of_each_pixel_is_best_at_its_own_root_mean_square() -> None:
    likelihood, x = SharedGaussian((2, 2), per_dimension=True).double(), _normal(50, 2, 2)
    with torch.no_grad():
        likelihood.log_sigma.copy_(x.square().mean(0).log() / 2)
    h = torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(likelihood(h).log_prob(x).sum(), likelihood.log_sigma)
    torch.testing.assert_close(gradient, torch.zeros(2, 2, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(likelihood.fisher(h)[0, ..., 0, 0], 1 / x.square().mean(0))
    torch.testing.assert_close(likelihood.embed(x), (x / x.square().mean(0).sqrt()).flatten(1))


@pytest.mark.parametrize("family", [FixedLaplace, FixedLogistic])
def test_scales_must_be_positive(family) -> None:
    with pytest.raises(ValueError, match="expected a scale > 0, got -1"):
        family((1,), -1)
