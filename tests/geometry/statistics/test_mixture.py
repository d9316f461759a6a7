"""Locally adaptive normal distributions: Gaussians where space is flat, known integrals on the sphere."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

from lsgen.geometry import Immersion, log_map, log_volume, reference
from lsgen.geometry.statistics import land, land_log_density
from lsgen.geometry.statistics.mixture import model_moments, quasi_random_normals

f64 = torch.float64
SPHERE = reference.sphere()


def test_in_flat_space_one_component_is_the_gaussian_of_the_codes():
    matrix = torch.randn(2, 3, dtype=f64)
    im, codes = Immersion(lambda z: z @ matrix, 2), torch.randn(20, 2, dtype=f64)
    found = land(im, codes, 1, restarts=1, points=3, samples=8, steps=2)
    assert found.converged
    torch.testing.assert_close(found.means[0], codes.mean(0))
    torch.testing.assert_close(found.covariances[0], codes.T.cov(correction=0))
    exact = MultivariateNormal(codes.mean(0), codes.T.cov(correction=0)).log_prob(codes) - log_volume(im, codes)
    torch.testing.assert_close(land_log_density(im, found, codes, points=3), exact)
    assert found.log_likelihood[-1].item() == pytest.approx(exact.mean().item())


@pytest.mark.slow
def test_in_flat_space_two_components_are_the_mixture_of_gaussians():
    codes = torch.cat([torch.randn(25, 2, dtype=f64), 1.5 * torch.randn(25, 2, dtype=f64) + 5])
    im = Immersion(lambda z: z, 2)
    found = land(im, codes, 2, points=3, samples=8, steps=2, tol=1e-9, max_iterations=100)
    flat = GaussianMixture(2, n_init=5, tol=1e-9, max_iter=500, reg_covar=0).fit(codes.numpy())
    assert found.log_likelihood[-1].item() == pytest.approx(flat.score(codes.numpy()), abs=1e-4)
    torch.testing.assert_close(
        found.weights.sort().values, torch.as_tensor(flat.weights_).sort().values, atol=1e-3, rtol=0
    )
    assert (found.log_likelihood.diff() > -1e-9).all()


def radial(weight, power):
    return quad(lambda r: r**power * weight(r) * math.sin(r), 0, math.pi)[0]


@pytest.mark.parametrize("variance", [0.05, 0.5])
def test_the_normaliser_on_the_sphere_is_an_integral_of_sines(variance):
    """C = 2 pi int exp(-r^2 / 2 s) sin r dr, and E r^2 in it; at s = 0.5 some points lie beyond the antipode."""
    z = torch.tensor([[0.2, 0.3]], dtype=f64)
    covariance = variance * torch.linalg.inv(SPHERE.metric(z))
    found = model_moments(SPHERE.immersion, z, covariance, quasi_random_normals(1024, 2, z), 12)

    def weight(r):
        return math.exp(-(r**2) / (2 * variance))

    assert found.log_normaliser.item() == pytest.approx(math.log(2 * math.pi * radial(weight, 0)), abs=5e-3)
    square = (found.second[0] @ SPHERE.metric(z)[0]).trace().item()
    assert square == pytest.approx(radial(weight, 2) / radial(weight, 0), rel=2e-2)


@pytest.mark.slow
def test_a_ring_around_a_pole_has_the_precision_of_the_closed_form():
    """The likelihood is greatest where E r^2 under the model is the squared radius of the ring."""
    t, radius = 2 * math.pi * torch.arange(6, dtype=f64) / 6, 0.8
    codes = math.tan(radius / 2) * torch.stack([t.cos(), t.sin()], -1)
    found = land(SPHERE.immersion, codes, 1, restarts=1, samples=128, tol=1e-6)

    def surplus(s):
        weight = lambda r: math.exp(-(r**2) / (2 * s))
        return radial(weight, 2) / radial(weight, 0) - radius**2

    exact = brentq(surplus, 0.05, 2)
    assert found.converged
    torch.testing.assert_close(found.means[0], torch.zeros(2, dtype=f64), rtol=0, atol=5e-3)
    torch.testing.assert_close(4 * found.covariances[0], exact * torch.eye(2, dtype=f64), rtol=0, atol=0.03 * exact)
    assert exact > 1.05 * radius**2 / 2


def likelihood(im, codes, mean, covariance, samples):
    """Return the mean log-likelihood of one component, from its definition."""
    u = log_map(im, mean.expand_as(codes), codes, 17, tol=1e-9)
    noise = quasi_random_normals(samples, 2, codes)
    normaliser = model_moments(im, mean[None], covariance[None], noise, 12).log_normaliser
    return (-(u @ torch.linalg.inv(covariance) * u).sum(-1) / 2 - normaliser).mean().item()


@pytest.mark.slow
def test_the_mean_is_where_the_likelihood_has_no_slope():
    """By central differences, a standard deviation at a time; logarithms that did not turn with it would leave 0.23."""
    im = SPHERE.immersion
    t = torch.arange(9, dtype=f64)
    codes = torch.stack([(0.7 * t).sin(), 0.6 * (1.9 * t).cos()], -1) * 0.45
    codes[:3] += torch.tensor([0.9, 0.6], dtype=f64)
    solver = {"tol": 1e-9}
    found = land(im, codes, 1, restarts=1, samples=512, steps=12, tol=1e-6, points=17, geodesic_options=solver)
    mean, covariance = found.means[0], found.covariances[0]
    turn = 1e-4 * torch.eye(2, dtype=f64)
    values = [[likelihood(im, codes, mean + s * e, covariance, 512) for s in (1, -1)] for e in turn]
    slope = torch.tensor([(up - down) / 2e-4 for up, down in values], dtype=f64)
    assert found.converged
    assert (found.log_likelihood.diff() > -1e-6).all()
    assert (slope @ covariance @ slope).sqrt().item() < 0.03
    assert likelihood(im, codes, mean, covariance, 512) == pytest.approx(found.log_likelihood[-1].item(), abs=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match=r"expected codes \(n, 2\) with n > 2, got \(2, 2\)"):
        land(SPHERE.immersion, torch.zeros(2, 2, dtype=f64), 1)
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    codes = torch.tensor([[1.0, 0.0], [1.5, 0.0], [-1.0, 0.0]], dtype=f64)
    with pytest.raises(ValueError, match=r"expected geodesics from every mean to every code, got \d of 3 that did not"):
        land(torn, codes, 1, restarts=1)
    with pytest.raises(ValueError, match="expected at least 2 samples, which span the tangent space, got 1"):
        land(SPHERE.immersion, torch.randn(4, 2, dtype=f64), 1, samples=1)


@pytest.mark.parametrize("dtype", [torch.float32, f64])
@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 1.2, math.pi / 2])
def test_codes_on_a_line_are_refused_in_any_direction(dtype, angle):
    """Their covariance is singular but for rounding, which decides whether a factorisation of it exists."""
    way = torch.tensor([math.cos(angle), math.sin(angle)], dtype=dtype)
    line = torch.linspace(-0.3, 0.4, 5, dtype=dtype)[:, None] * way
    with pytest.raises(ValueError, match="expected every component to hold codes that span 2 dimensions, got 1 of 1"):
        land(Immersion(lambda z: z, 2), line, 1, restarts=1, points=3)


def test_coordinates_of_unlike_units_span_the_plane():
    im, codes = Immersion(lambda z: z, 2), torch.randn(12, 2, dtype=f64) * torch.tensor([1e-5, 1e3], dtype=f64)
    found = land(im, codes, 1, restarts=1, points=3, samples=8, steps=2)
    torch.testing.assert_close(found.covariances[0], codes.T.cov(correction=0), rtol=1e-9, atol=0)


def test_a_mixture_with_a_singular_covariance_has_no_density():
    found = land(Immersion(lambda z: z, 2), torch.randn(6, 2, dtype=f64), 1, restarts=1, points=3, samples=4, steps=2)
    flat = found._replace(covariances=torch.ones(1, 2, 2, dtype=f64))
    with pytest.raises(ValueError, match="got 1 of 1 that do not"):
        land_log_density(Immersion(lambda z: z, 2), flat, torch.zeros(1, 2, dtype=f64), points=3)
