"""Fisher metrics as Hessians of log Z against covariances, half-plane, simplex and derivatives in closed form."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from lsgen.geometry import (
    HessianMetric,
    Immersion,
    MetricField,
    christoffel,
    curve_length,
    distance,
    exp_map,
    frechet_mean,
    geodesic,
    kmeans,
    log_map,
    log_volume,
    metric,
    parallel_transport,
    reference,
    riemann,
    scalar_curvature,
    sectional_curvature,
)
from lsgen.geometry.geodesics import curve_energy
from lsgen.geometry.large import large_geodesic, top_spectrum
from lsgen.geometry.statistics import brownian_motion

f64 = torch.float64


def gaussian_log_z(theta):
    """p(x) ~ exp(theta_1 x + theta_2 x^2)."""
    return -(theta[:, 0] ** 2) / (4 * theta[:, 1]) - torch.log(-2 * theta[:, 1]) / 2


def categorical_log_z(theta):
    return torch.cat([torch.zeros_like(theta[:, :1]), theta], -1).logsumexp(-1)


BERNOULLI = HessianMetric(lambda theta: softplus(theta).sum(-1), 3)
GAUSSIAN = HessianMetric(gaussian_log_z, 2, definite=True)
CATEGORICAL = HessianMetric(categorical_log_z, 3)


def natural(mu, sigma):
    return torch.stack([mu / sigma**2, -1 / (2 * sigma**2)], -1)


def moments(theta):
    variance = -1 / (2 * theta[..., 1])
    return theta[..., 0] * variance, variance.sqrt()


def half_plane(theta):
    """The coordinates (x, log y) of `reference.hyperbolic`, x = mu / sqrt 2 and y = sigma."""
    mu, sigma = moments(theta)
    return torch.stack([mu / math.sqrt(2), sigma.log()], -1)


def gaussians(*batch, dtype=f64):
    return natural(torch.randn(*batch, dtype=dtype), torch.rand(*batch, dtype=dtype) + 0.5)


def probabilities(theta):
    return torch.cat([torch.zeros_like(theta[..., :1]), theta], -1).softmax(-1)


def third(potential, z):
    one = torch.func.jacfwd(torch.func.hessian(lambda u: potential(u[None])[0]))
    return torch.func.vmap(one)(z)


def test_fisher_metrics_are_covariances_of_the_sufficient_statistics():
    theta = torch.randn(2, 5, 3, dtype=f64)
    p = theta.sigmoid()
    torch.testing.assert_close(metric(BERNOULLI, theta), torch.diag_embed(p * (1 - p)))
    q = probabilities(theta)[..., 1:]
    torch.testing.assert_close(metric(CATEGORICAL, theta), torch.diag_embed(q) - q[..., :, None] * q[..., None, :])
    theta = gaussians(2, 5)
    mu, sigma = moments(theta)
    mixed = 2 * mu * sigma**2
    rows = torch.stack([sigma**2, mixed], -1), torch.stack([mixed, 4 * mu**2 * sigma**2 + 2 * sigma**4], -1)
    torch.testing.assert_close(metric(GAUSSIAN, theta), torch.stack(rows, -2))
    torch.testing.assert_close(GAUSSIAN(theta), torch.stack(rows, -2))
    torch.testing.assert_close(GAUSSIAN.dual(theta), torch.stack([mu, mu**2 + sigma**2], -1))
    torch.testing.assert_close(log_volume(GAUSSIAN, theta), math.log(2) / 2 + 3 * sigma.log())


@pytest.mark.parametrize("shift", [1e8, -1e30])
def test_a_constant_added_to_the_potential_changes_nothing(shift):
    theta = torch.randn(5, 3)
    im = HessianMetric(lambda theta: softplus(theta).sum(-1) + shift, 3)
    torch.testing.assert_close(metric(im, theta), metric(BERNOULLI, theta))
    torch.testing.assert_close(im.dual(theta), theta.sigmoid())


INDEFINITE = {
    "potential": HessianMetric(lambda z: z[:, 0] ** 2 - z[:, 1] ** 2, 2),
    "signature": Immersion(lambda z: z, 2, signature=[1, -1]),
    "field": MetricField(lambda z: torch.diag_embed(torch.stack([z[:, 0] ** 0, -(z[:, 1] ** 0)], -1)), 2),
}


@pytest.mark.parametrize("measure", [curve_length, curve_energy])
@pytest.mark.parametrize("name", INDEFINITE)
def test_curves_in_an_indefinite_metric_have_no_length(name, measure):
    with pytest.raises(ValueError, match="smallest eigenvalue"):
        measure(INDEFINITE[name], torch.randn(2, 9, 2, dtype=f64))


def test_curvatures_of_the_three_families():
    theta, u, v = torch.randn(3, 2, 4, 3, dtype=f64)
    zero = torch.zeros(2, 4, dtype=f64)
    torch.testing.assert_close(scalar_curvature(BERNOULLI, theta), zero)
    torch.testing.assert_close(scalar_curvature(CATEGORICAL, theta), zero + 6 / 4)
    torch.testing.assert_close(sectional_curvature(CATEGORICAL, theta, u, v), zero + 1 / 4)
    theta = gaussians(2, 4)
    torch.testing.assert_close(scalar_curvature(GAUSSIAN, theta), zero - 1)
    torch.testing.assert_close(sectional_curvature(GAUSSIAN, theta, u[..., :2], v[..., :2]), zero - 1 / 2)


def gamma_log_z(theta):
    """p(x) ~ x^(theta_1 - 1) exp(theta_2 x)."""
    return torch.lgamma(theta[:, 0]) - theta[:, 0] * torch.log(-theta[:, 1])


def dirichlet_log_z(alpha):
    return torch.lgamma(alpha).sum(-1) - torch.lgamma(alpha.sum(-1))


def symmetric(t):
    return t[:, [0, 1, 1, 2]].unflatten(1, (2, 2))


def wishart_log_z(theta):
    return -torch.logdet(symmetric(theta))


def gamma_fisher(theta):
    shape, rate = theta[:, 0], -theta[:, 1]
    rows = [torch.polygamma(1, shape), 1 / rate], [1 / rate, shape / rate**2]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def dirichlet_fisher(alpha):
    return torch.diag_embed(torch.polygamma(1, alpha)) - torch.polygamma(1, alpha.sum(-1))[:, None, None]


def wishart_fisher(theta):
    """tr(S^-1 e_i S^-1 e_j)."""
    inverse, e = torch.linalg.inv(symmetric(theta)), symmetric(torch.eye(3, dtype=theta.dtype))
    return torch.einsum("nab,ibc,ncd,jda->nij", inverse, e, inverse, e)


SPECIAL = {
    "gamma": (gamma_log_z, gamma_fisher, torch.tensor([[1.2, -0.7], [3.0, -2.0]], dtype=f64)),
    "dirichlet": (dirichlet_log_z, dirichlet_fisher, torch.tensor([[0.4, 1.0, 2.5], [3.0, 0.8, 1.1]], dtype=f64)),
    "wishart": (wishart_log_z, wishart_fisher, torch.tensor([[1.5, 0.3, 1.0], [0.9, -0.2, 2.0]], dtype=f64)),
}


@pytest.mark.parametrize("dtype", [torch.float32, f64])
@pytest.mark.parametrize("name", SPECIAL)
def test_families_whose_log_z_is_a_special_function_or_a_determinant(name, dtype):
    log_z, fisher, theta = SPECIAL[name]
    theta = theta.to(dtype)
    im, field = HessianMetric(log_z, theta.shape[1]), MetricField(fisher, theta.shape[1])
    same = {"rtol": 1e-3, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-8, "atol": 1e-9}
    torch.testing.assert_close(metric(im, theta), fisher(theta), **same)
    torch.testing.assert_close(scalar_curvature(im, theta), scalar_curvature(field, theta), **same)
    a, b = theta
    torch.testing.assert_close(distance(im, a, b), distance(field, a, b), rtol=1e-3, atol=0)


@pytest.mark.slow
def test_connection_and_curvature_take_third_derivatives_alone():
    """Gamma_kij = phi_kij / 2 and R_ijkl = (phi_ilm phi_jkm - phi_ikm phi_jlm) / 4, of a learned convex potential."""
    net = nn.Sequential(nn.Linear(3, 12), nn.Softplus(), nn.Flatten()).double().requires_grad_(False)

    def potential(z):
        return net(z).logsumexp(-1) + (z**2).sum(-1) / 4

    im, z = HessianMetric(potential, 3), torch.randn(5, 3, dtype=f64)
    inverse, phi = torch.linalg.inv(metric(im, z)), third(potential, z)
    torch.testing.assert_close(christoffel(im, z), torch.einsum("nkl,nlij->nkij", inverse, phi) / 2)
    product = torch.einsum("nilm,nmk,nkjp->nijpl", phi, inverse, phi) / 4
    torch.testing.assert_close(riemann(im, z), product - product.transpose(-1, -2))


def test_geodesics_of_the_gaussian_are_semicircles_of_the_half_plane():
    a, b = gaussians(2, 8)
    exact, off = reference.hyperbolic().distance(half_plane(a), half_plane(b)), []
    for n in (33, 65):
        found = geodesic(GAUSSIAN, a, b, n, tol=1e-7)
        assert found.converged.all(), found.residual
        torch.testing.assert_close(found.length, exact, rtol=2e-6, atol=0)
        x, y = half_plane(found.points).unbind(-1)
        square = x**2 + y.exp() ** 2
        centre = (square[:, -1:] - square[:, :1]) / (2 * (x[:, -1:] - x[:, :1]))
        radius = torch.hypot(x - centre, y.exp())
        off.append((radius / radius[:, :1] - 1).abs().amax(-1))
    assert (off[1] < 2e-3).all()
    assert (off[1] < off[0] / 3).all(), "points are of second order in 1/n"


def test_newton_systems_are_derivatives_of_the_energy():
    """Force and Hessian over 2n by automatic differentiation; a model that is positive definite beside them."""
    curves = gaussians(3, 6)

    def energy(inside):
        whole = torch.cat([curves[:1, :1], inside[None], curves[:1, -1:]], 1)
        return 5 * GAUSSIAN.segment_energies(whole, GAUSSIAN.segment_data(whole)).sum()

    found, inside = GAUSSIAN.newton_system(curves, GAUSSIAN.segment_data(curves)), curves[0, 1:-1]
    torch.testing.assert_close(found.force[0], -torch.func.grad(energy)(inside) / 10)
    whole = torch.func.jacrev(torch.func.grad(energy))(inside) / 10
    for blocks in (found.hessian, found.safe):
        dense = torch.zeros(4, 2, 4, 2, dtype=f64)
        for i in range(4):
            dense[i, :, i] = blocks.diagonal[0, i]
        for i in range(3):
            dense[i, :, i + 1], dense[i + 1, :, i] = blocks.next[0, i], blocks.next[0, i].mT
        if blocks is found.hessian:
            torch.testing.assert_close(dense, whole)
    assert (torch.linalg.eigvalsh(dense.reshape(8, 8)) > 0).all()


def test_outside_of_the_domain_there_is_no_metric():
    """Beyond theta_2 = 0 the gradient of log Z is finite, and log Z is not."""
    found = metric(GAUSSIAN, torch.tensor([[1.0, 0.5], [1.0, -0.5]], dtype=f64))
    assert found.isnan().flatten(1).all(1).tolist() == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_distances_and_their_gradients(dtype):
    rtol = 1e-4 if dtype == torch.float32 else 1e-6
    a, b = torch.randn(2, 2, 3, 3, dtype=f64)
    arcs = 2 * (probabilities(a) * probabilities(b)).sqrt().sum(-1).acos()
    torch.testing.assert_close(
        distance(CATEGORICAL, a.to(dtype), b.to(dtype), tol=1e-7).double(), arcs, rtol=rtol, atol=0
    )
    between = (2 * (a.sigmoid().sqrt().asin() - b.sigmoid().sqrt().asin())).norm(dim=-1)
    torch.testing.assert_close(distance(BERNOULLI, a.to(dtype), b.to(dtype)).double(), between, rtol=rtol, atol=0)
    c, e = gaussians(2, 4)
    slopes = []
    for measure in (
        lambda e: reference.hyperbolic().distance(half_plane(c), half_plane(e)),
        lambda e: distance(GAUSSIAN, c.to(dtype), e.to(dtype), 65, tol=1e-7).double(),
    ):
        live = e.clone().requires_grad_()
        slopes.append(torch.autograd.grad(measure(live).sum(), live)[0])
    torch.testing.assert_close(slopes[1], slopes[0], rtol=2e-2 if dtype == torch.float32 else 2e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_codes_so_close_that_rounding_hides_what_differs(dtype):
    a = gaussians(6).to(dtype)
    b = a + 20 * torch.finfo(dtype).eps * torch.randn(6, 2, dtype=dtype)
    step = (b - a).double()
    exact = torch.einsum("ni,nij,nj->n", step, metric(GAUSSIAN, a.double()), step).sqrt()
    found = geodesic(GAUSSIAN, a, b)
    assert found.converged.all()
    torch.testing.assert_close(found.length.double(), exact, rtol=1e-3, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["adaptive", "symplectic"])
def test_exponential_and_logarithm_are_inverse(method):
    a, b = gaussians(2, 5)
    v = log_map(GAUSSIAN, a, b, 65, tol=1e-8)
    exact = reference.hyperbolic().distance(half_plane(a), half_plane(b))
    torch.testing.assert_close(torch.einsum("ni,nij,nj->n", v, metric(GAUSSIAN, a), v).sqrt(), exact, rtol=1e-5, atol=0)
    shot = exp_map(GAUSSIAN, a, v, method=method)
    assert shot.converged.all()
    torch.testing.assert_close(shot.point, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_transport_along_a_geodesic_takes_its_velocity_along_and_keeps_lengths():
    a, b = gaussians(2, 4)
    v, w = log_map(GAUSSIAN, a, b, 129, tol=1e-8), torch.randn(4, 2, dtype=f64)
    curve = geodesic(GAUSSIAN, a, b, 129, tol=1e-8).points
    carried = parallel_transport(GAUSSIAN, curve, v)[:, -1]
    torch.testing.assert_close(carried, exp_map(GAUSSIAN, a, v).velocity, rtol=1e-3, atol=1e-3)
    other, g = parallel_transport(GAUSSIAN, curve, w), metric(GAUSSIAN, curve)
    square = torch.einsum("nki,nkij,nkj->nk", other, g, other)
    torch.testing.assert_close(square, square[:, :1].expand_as(square), rtol=1e-3, atol=0)


@pytest.mark.slow
def test_statistics_take_it():
    """The Frechet mean does not depend on coordinates: natural ones here, those of the half-plane there."""
    sets = gaussians(2, 6)
    here = frechet_mean(GAUSSIAN, sets, tol=1e-6)
    there = frechet_mean(reference.hyperbolic().immersion, half_plane(sets), tol=1e-6)
    assert here.converged.all()
    torch.testing.assert_close(half_plane(here.mean), there.mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(here.variance, there.variance, rtol=1e-5, atol=0)
    spread = torch.randn(2, 12, dtype=f64)
    codes = natural(0.1 * spread[0] + torch.arange(12).fmod(2) * 8, (0.1 * spread[1]).exp())
    labels = kmeans(GAUSSIAN, codes, 2, generator=torch.Generator().manual_seed(0)).labels
    assert (labels[::2] == labels[0]).all()
    assert (labels[1::2] == 1 - labels[0]).all()
    assert brownian_motion(GAUSSIAN, codes, 1e-3, 4).finite.all()


@pytest.mark.slow
def test_large_latents_need_no_matrix():
    im = HessianMetric(categorical_log_z, 40)
    a, b = torch.randn(2, 3, 40, dtype=f64)
    found = large_geodesic(im, a, b)
    assert found.converged.all(), found.residual
    arcs = 2 * (probabilities(a) * probabilities(b)).sqrt().sum(-1).acos()
    torch.testing.assert_close(found.length, arcs, rtol=1e-5, atol=0)
    eigenvalues = torch.linalg.eigvalsh(metric(im, a)).flip(-1)
    torch.testing.assert_close(top_spectrum(im, a, 3, tol=1e-9).eigenvalues, eigenvalues[:, :3])


REFUSALS = {
    "saddle": (
        lambda z: metric(HessianMetric(lambda z: z[:, 0] ** 2 - z[:, 1] ** 2, 2), z),
        "expected a convex potential",
    ),
    "vector": (lambda z: metric(HessianMetric(torch.sin, 2), z), r"expected a potential \(\d, 2\) -> \(\d,\), got"),
    "dim": (lambda z: HessianMetric(gaussian_log_z, 0), "expected a latent dimension of at least 1, got 0"),
    "number": (lambda z: metric(HessianMetric(lambda z: 1.0, 2), z), "expected a potential that returns a tensor"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, sentence = REFUSALS[name]
    with pytest.raises((TypeError, ValueError), match=sentence):
        call(torch.ones(3, 2))
