"""Geometry of denoising against Gaussians and Gaussian mixtures, whose posteriors are known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lsgen.geometry import (
    Immersion,
    distance,
    frechet_mean,
    geodesic,
    metric,
    scalar_curvature,
    sectional_curvature,
)
from lsgen.geometry.denoising import (
    inverse_density_metric,
    log_partition_metric,
    natural_coordinates,
    posterior_covariance,
    pullback_at,
    spacetime_metric,
    stein_metric,
    variance_preserving,
)
from lsgen.geometry.geodesics import curve_energy
from lsgen.nn import MLPDenoiser

f64 = torch.float64
one = torch.ones_like


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic Gaussians of standard deviation s, with its exact posterior given x_t."""

    means: Tensor
    s: float
    weights: Tensor

    def parts(self, x: Tensor, l: Tensor, alpha=variance_preserving) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights (N, K), means (N, K, d) and variance (N,) of the components of p(x_0 | x_t)."""
        clean = x / alpha(l)[:, None]
        total = self.s**2 + (-l).exp()
        apart = (clean[:, None] - self.means).square().sum(2)
        weights = (self.weights.log() - apart / (2 * total[:, None])).softmax(1)
        v = 1 / (1 / self.s**2 + l.exp())
        return weights, v[:, None, None] * (self.means / self.s**2 + (l.exp()[:, None] * clean)[:, None]), v

    def __call__(self, x: Tensor, l: Tensor) -> Tensor:
        weights, means, _ = self.parts(x, l)
        return (weights[..., None] * means).sum(1)

    def covariance(self, x: Tensor, l: Tensor) -> Tensor:
        """Return the exact covariance of p(x_0 | x_t): that within the components and that of their means."""
        weights, means, v = self.parts(x, l)
        centred = means - (weights[..., None] * means).sum(1, keepdim=True)
        between = torch.einsum("nk,nki,nkj->nij", weights, centred, centred)
        return v[:, None, None] * torch.eye(x.shape[1], dtype=x.dtype) + between

    def log_density(self, x: Tensor, l: Tensor) -> Tensor:
        """Return log p(x_t)."""
        a = variance_preserving(l)
        variance = a**2 * (self.s**2 + (-l).exp())
        apart = (x[:, None] - a[:, None, None] * self.means).square().sum(2) / variance[:, None]
        logs = self.weights.log() - apart / 2 - x.shape[1] / 2 * (2 * math.pi * variance.log().exp()).log()[:, None]
        return logs.logsumexp(1)


MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [1.2, 0.5], [0.1, -1.4]], dtype=f64), 0.6, torch.tensor([0.2, 0.5, 0.3], dtype=f64)
)


def gaussian(s2: float, alpha=one):
    """Return the denoiser of N(0, s^2 I): v e^l x_t / alpha."""
    return lambda x, l: ((l.exp() / (1 / s2 + l.exp()) / alpha(l)).reshape(-1, *[1] * (x.ndim - 1))) * x


def half_space(z: Tensor, s2: float) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the posterior at points z = (x, l) of alpha = 1."""
    v = 1 / (1 / s2 + z[..., -1:].exp())
    return v * z[..., -1:].exp() * z[..., :-1], v


def closed_distance(a: Tensor, b: Tensor, s2: float) -> Tensor:
    """Return the distance of |dm|^2/v + d dv^2/(2 v^2), with y = sqrt(2 d v): 2 d (|dm|^2 + dy^2) / y^2."""
    (m, v), (n, w), d = half_space(a, s2), half_space(b, s2), a.shape[-1] - 1
    y, u = (2 * d * v).sqrt()[..., 0], (2 * d * w).sqrt()[..., 0]
    cosh = 1 + ((m - n).square().sum(-1) + (y - u) ** 2) / (2 * y * u)
    return math.sqrt(2 * d) * torch.acosh(cosh)


A, B = torch.tensor([[-0.4, 0.5]], dtype=f64), torch.tensor([[0.3, 1.2]], dtype=f64)


def test_the_covariance_of_a_mixture_is_the_derivative_of_its_denoiser() -> None:
    x, l = torch.randn(20, 2, dtype=f64), torch.linspace(-6, 6, 20, dtype=f64)
    mean, covariance = posterior_covariance(MIXTURE, x, l)
    torch.testing.assert_close(mean, MIXTURE(x, l))
    torch.testing.assert_close(covariance, MIXTURE.covariance(x, l), rtol=1e-9, atol=1e-12)
    shaped = lambda x, l: MIXTURE(x.flatten(1), l).unflatten(1, (2, 1))
    other, same = posterior_covariance(shaped, x.unflatten(1, (2, 1)), l)
    assert other.shape == (20, 2, 1)
    torch.testing.assert_close(same, covariance)
    with pytest.raises(ValueError, match=r"log_snr \(\) or \(N,\), got \(20, 2\) and \(3,\)"):
        posterior_covariance(MIXTURE, x, l[:3])


@pytest.mark.slow
def test_spacetime_has_the_closed_form_of_a_gaussian() -> None:
    im = spacetime_metric(gaussian(1.3), (1,), one)
    path = geodesic(im, A, B, 65)
    assert path.converged.all()
    torch.testing.assert_close(closed_distance(A, B, 1.3), torch.tensor([0.9694009], dtype=f64), rtol=1e-7, atol=0)
    torch.testing.assert_close(distance(im, A, B), closed_distance(A, B, 1.3), rtol=1e-5, atol=0)
    hessian = log_partition_metric(lambda x, l: log_normal(x, 1.3 + (-l).exp()), (1,), one)
    found = distance(hessian, *(natural_coordinates(z, one) for z in (A, B)))
    torch.testing.assert_close(found, closed_distance(A, B, 1.3), rtol=1e-5, atol=0)
    scaled = [torch.cat([z[:, :1] * variance_preserving(z[:, 1:]), z[:, 1:]], 1) for z in (A, B)]
    vp = spacetime_metric(gaussian(1.3, variance_preserving), (1,), around=0.8)
    torch.testing.assert_close(distance(vp, *scaled), closed_distance(A, B, 1.3), rtol=1e-5, atol=0)


def log_normal(x: Tensor, variance: Tensor) -> Tensor:
    """Return the log density of N(0, variance I)."""
    return -x.square().sum(1) / (2 * variance) - x.shape[1] / 2 * (2 * math.pi * variance).log()


def test_the_discrete_energy_along_the_true_geodesic_is_that_of_the_chords() -> None:
    """sqrt(N sum d_eta . d_mu) at N = 10, 100 and 1000 segments of equal length."""
    (m, v), (n, w) = half_space(A[0], 1.3), half_space(B[0], 1.3)
    y, u = math.sqrt(2) * v.sqrt(), math.sqrt(2) * w.sqrt()
    centre = ((n**2 + u**2) - (m**2 + y**2)) / (2 * (n - m))
    radius = ((m - centre) ** 2 + y**2).sqrt()
    ends = [torch.atanh((p - centre) / radius) for p in (m, n)]
    im = spacetime_metric(gaussian(1.3), (1,), one)
    for segments, expected in ((10, 0.969763), (100, 0.969404), (1000, 0.969401)):
        s = torch.linspace(0, 1, segments + 1, dtype=f64) * (ends[1] - ends[0]) + ends[0]
        mean, variance = centre + radius * s.tanh(), (radius / s.cosh()) ** 2 / 2
        l = (1 / variance - 1 / 1.3).log()
        curve = torch.stack([mean / (variance * l.exp()), l], 1)
        torch.testing.assert_close(curve_energy(im, curve).sqrt(), torch.tensor(expected, dtype=f64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_spacetime_of_a_gaussian_has_constant_negative_curvature(d: int) -> None:
    s2 = 0.7
    z, u, v = torch.randn(3, 4, d + 1, dtype=f64).unbind(0)
    im = spacetime_metric(gaussian(s2), (d,), one)
    torch.testing.assert_close(scalar_curvature(im, z), torch.full((4,), -(d + 1) / 2, dtype=f64), rtol=1e-6, atol=0)
    found = sectional_curvature(im, z, u, v)
    torch.testing.assert_close(found, torch.full((4,), -1 / (2 * d), dtype=f64), rtol=1e-6, atol=0)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda p: torch.cat(half_space(p, s2))))(z)
    variance = half_space(z, s2)[1]
    inner = torch.cat([1 / variance.expand(-1, d), d / (2 * variance**2)], 1)
    torch.testing.assert_close(metric(im, z), jacobian.mT @ (inner[..., None] * jacobian), rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_spacetime_of_a_mixture_is_the_covariance_of_its_statistics() -> None:
    """Fisher information of an exponential family: Cov[T] of T = (x_0, |x_0|^2), here by quadrature."""
    z = torch.cat([torch.randn(5, 1, dtype=f64), torch.linspace(-1.5, 2, 5, dtype=f64)[:, None]], 1)
    mixture = Mixture(torch.tensor([[-1.3], [0.9]], dtype=f64), 0.5, torch.tensor([0.35, 0.65], dtype=f64))
    grid = torch.linspace(-9, 9, 6001, dtype=f64)[:, None]
    prior = (mixture.weights.log() - (grid - mixture.means[:, 0]).square() / (2 * 0.25)).logsumexp(1)
    eta = natural_coordinates(z)
    statistics = torch.cat([grid, grid**2], 1)
    p = (prior + eta @ statistics.T).softmax(1)
    centred = statistics - (p @ statistics)[:, None]
    fisher = torch.einsum("nk,nki,nkj->nij", p, centred, centred)
    hessian = log_partition_metric(mixture.log_density, (1,))
    torch.testing.assert_close(hessian(eta), fisher, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(hessian.dual(eta), p @ statistics, rtol=1e-8, atol=1e-9)
    slope = torch.func.vmap(torch.func.jacrev(lambda q: natural_coordinates(q)))(z)
    for around in (0.0, 1.5):
        found = metric(spacetime_metric(mixture, (1,), around=around), z)
        torch.testing.assert_close(found, slope.mT @ fisher @ slope, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_the_divergence_may_be_estimated_and_signs_are_exact_where_the_jacobian_is_diagonal() -> None:
    z = torch.randn(3, 5, dtype=f64)
    probes = torch.randint(0, 2, (2, 4)) * 2.0 - 1
    exact, estimated = (spacetime_metric(gaussian(0.7), (2, 2), one, probes=p) for p in (None, probes))
    torch.testing.assert_close(metric(estimated, z), metric(exact, z))
    with pytest.raises(ValueError, match=r"expected probes \(k, 4\), got \(2, 3\)"):
        spacetime_metric(gaussian(0.7), (2, 2), probes=probes[:, :3])


@pytest.mark.slow
def test_statistics_and_a_network_take_the_metric_as_it_is() -> None:
    torch.manual_seed(0)
    net = MLPDenoiser((1,), hidden=(8,), embedding=8).double().eval()
    net.last.weight.data.normal_(std=0.05)
    learned = lambda x, l: gaussian(1.3)(x, l) + net(x, -l / 8)
    im = spacetime_metric(learned, (1,), one)
    path = geodesic(im, A, B)
    assert path.converged.all()
    torch.testing.assert_close(path.length, closed_distance(A, B, 1.3), rtol=0.5, atol=0)
    pair = torch.cat([A, B])
    mean = frechet_mean(spacetime_metric(gaussian(1.3), (1,), one), pair, tol=1e-6).mean
    for end in (A, B):
        half = closed_distance(mean[None], end, 1.3)
        torch.testing.assert_close(half, closed_distance(A, B, 1.3) / 2, rtol=1e-4, atol=0)


def test_the_pull_back_of_a_denoiser_is_the_square_of_the_posterior_covariance() -> None:
    x, level = torch.randn(6, 2, dtype=f64), 0.7
    im = pullback_at(MIXTURE, level, (2,))
    l = torch.full((6,), level, dtype=f64)
    slope = MIXTURE.covariance(x, l) * math.exp(level) / variance_preserving(l)[:, None, None]
    torch.testing.assert_close(metric(im, x), slope @ slope, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="finite log signal-to-noise ratio, got nan"):
        pullback_at(MIXTURE, math.nan, (2,))


def test_the_inverse_density_of_a_gaussian_has_its_curvature_and_scales_with_the_unit_of_length() -> None:
    x, tau2, k = torch.randn(5, 2, dtype=f64), 0.8, 0.4
    log_p = lambda x: log_normal(x, torch.tensor(tau2, dtype=f64))
    im = inverse_density_metric(log_p, 2, k, reference=-1.0)
    shrink = (2 * k * (log_p(x) + 1)).exp()
    torch.testing.assert_close(metric(im, x), torch.eye(2, dtype=f64) / shrink[:, None, None])
    torch.testing.assert_close(scalar_curvature(im, x), 2 * k * (-2 / tau2) * shrink, rtol=1e-8, atol=0)
    wide = inverse_density_metric(lambda y: log_p(y / 3) - 2 * math.log(3), 2)
    torch.testing.assert_close(metric(wide, 3 * x), 9 * metric(inverse_density_metric(log_p, 2), x))
    with pytest.raises(ValueError, match="a power above 0, got -1"):
        inverse_density_metric(log_p, 2, -1)


def test_the_stein_metric_is_that_of_the_graph_of_the_log_density() -> None:
    x, level, strength = torch.randn(5, 2, dtype=f64), 0.5, 0.3
    im = stein_metric(MIXTURE, level, (2,), strength)
    l = lambda n: torch.full((n,), level, dtype=f64)
    graph = Immersion(lambda x: torch.cat([x, strength**0.5 * MIXTURE.log_density(x, l(len(x)))[:, None]], 1), 2)
    torch.testing.assert_close(metric(im, x), metric(graph, x), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(scalar_curvature(im, x), scalar_curvature(graph, x), rtol=1e-6, atol=1e-8)
    bowl = stein_metric(gaussian(1.0, variance_preserving), level, (2,), strength)
    expected = 2 * strength / (1 + strength * x.square().sum(1)) ** 2
    torch.testing.assert_close(scalar_curvature(bowl, x), expected, rtol=1e-7, atol=0)
    with pytest.raises(ValueError, match="strength of 0 or more, got -2"):
        stein_metric(MIXTURE, level, (2,), -2)


def test_mixture_of_the_tests_has_the_density_of_pytorch() -> None:
    x, l = torch.randn(4, 2, dtype=f64), torch.full((4,), 0.4, dtype=f64)
    a = variance_preserving(l[0])
    parts = MultivariateNormal(a * MIXTURE.means, (a**2 * (0.36 + math.exp(-0.4))) * torch.eye(2, dtype=f64))
    other = MixtureSameFamily(Categorical(MIXTURE.weights), parts)
    torch.testing.assert_close(MIXTURE.log_density(x, l), other.log_prob(x))
