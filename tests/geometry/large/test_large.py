"""Matrix-free quantities against the dense ones, and error bars against what they promise."""

import math

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, immersion, log_volume, metric, reference, spectrum
from lsgen.geometry.large import MetricOperator, log_volume_estimate, top_spectrum
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Gaussian

f64 = torch.float64


def decoder(dim, channels):
    return nn.Sequential(
        nn.Linear(dim, 4 * 16),
        nn.Unflatten(1, (4, 4, 4)),
        nn.SiLU(),
        nn.ConvTranspose2d(4, 4, 4, 2, 1),
        nn.SiLU(),
        nn.ConvTranspose2d(4, channels, 4, 2, 1),
    ).double()


def space(kind, dim=12):
    shape = (1, 16, 16)
    likelihood, channels = (Bernoulli(shape), 1) if kind == "bernoulli" else (Gaussian(shape), 2)
    return immersion(LatentSpace(decoder(dim, channels), likelihood, StandardNormal(dim)))


def linear(singular):
    """A linear map whose metric has the squares of these singular values for eigenvalues."""
    d = len(singular)
    u, v = (torch.linalg.qr(torch.randn(d, d, dtype=f64))[0] for _ in range(2))
    matrix = u * singular @ v.T
    return Immersion(lambda z: z @ matrix.T, d)


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("chunk_size", [None, 1, 5])
def test_the_operator_is_the_metric(kind, chunk_size):
    """Also in the signature of Gaussians with a decoded deviation."""
    im, z = space(kind), torch.randn(2, 3, 12, dtype=f64)
    g, v = metric(im, z), torch.randn(2, 3, 4, 12, dtype=f64)
    operator = MetricOperator(im, z, chunk_size)
    torch.testing.assert_close(operator(v), v @ g)
    torch.testing.assert_close(operator(v[..., 0, :]), (v @ g)[..., 0, :])
    torch.testing.assert_close(operator.dense(), g)
    torch.testing.assert_close(operator.pull(operator.push(v)), v @ g)


def test_the_operator_in_a_plane_at_one_code_and_at_none():
    im, basis = space("bernoulli"), torch.randn(3, 12, dtype=f64)
    plane, a = im.restrict(torch.randn(12, dtype=f64), basis), torch.randn(3, dtype=f64)
    torch.testing.assert_close(MetricOperator(plane, a).dense(), metric(plane, a))
    assert MetricOperator(im, torch.zeros(0, 12, dtype=f64))(torch.zeros(0, 12, dtype=f64)).shape == (0, 12)


def test_the_operator_of_a_map_that_decides_by_values():
    im = Immersion(lambda z: torch.stack([x**2 if x.sum() > 0 else x**3 for x in z]), 2)
    z = torch.randn(5, 2, dtype=f64)
    torch.testing.assert_close(MetricOperator(im, z).dense(), metric(im, z))


def test_the_chunk_bounds_what_exists_at_once(largest):
    """A derivative has 4096 elements, and as many exist at once as one may ask for."""
    im = Immersion(lambda z: z.repeat(1, 256).sin(), 16)
    z = torch.randn(3, 16, dtype=f64)
    exact, sizes = metric(im, z), []
    for chunk_size in (2, 4, 8):
        operator = MetricOperator(im, z, chunk_size)
        with largest() as seen:
            torch.testing.assert_close(operator.dense(), exact)
        sizes.append(seen.elements)
    assert sizes == [2 * 4096, 4 * 4096, 8 * 4096]


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_top_eigenvalues_are_those_of_the_dense_metric(kind):
    im, z = space(kind, 40), torch.randn(3, 40, dtype=f64)
    found, exact = top_spectrum(im, z, 4, oversampling=2, tol=1e-6), spectrum(im, z).eigenvalues[:, :4]
    assert found.converged.all()
    torch.testing.assert_close(found.eigenvalues, exact, rtol=1e-6, atol=0)
    image = torch.einsum("nij,nkj->nki", metric(im, z), found.eigenvectors)
    torch.testing.assert_close(image, found.eigenvalues[..., None] * found.eigenvectors, rtol=0, atol=1e-5)


def test_the_residual_bounds_the_error_of_every_eigenvalue():
    singular = torch.logspace(0, -2, 60, dtype=f64)
    im, z = linear(singular), torch.zeros(1, 60, dtype=f64)
    found = top_spectrum(im, z, 5, oversampling=0, tol=0, max_products=15)
    assert not found.converged.any()
    gap = (singular.square() - found.eigenvalues[0, :, None]).abs().amin(-1)
    assert (gap <= found.residual[0] * found.eigenvalues[0] * (1 + 1e-9)).all()
    assert (found.eigenvalues[0] <= singular[:5].square() + 1e-12).all()


def test_multiple_eigenvalues_and_deficient_metrics():
    """The sphere's metric is one number times the identity; a map onto a plane has rank 2."""
    sphere, z = reference.sphere(1.0, 6), 0.3 * torch.randn(2, 6, dtype=f64)
    found = top_spectrum(sphere.immersion, z, 4, oversampling=0)
    assert found.converged.all()
    torch.testing.assert_close(found.eigenvalues, sphere.metric(z).diagonal(dim1=-2, dim2=-1)[:, :4])
    flat = Immersion(lambda z: torch.stack([z[:, 0], 3 * z[:, 1]], -1), 6)
    exact = torch.tensor([9.0, 1.0, 0.0], dtype=f64).expand(2, 3)
    torch.testing.assert_close(top_spectrum(flat, z, 3).eigenvalues, exact)


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_the_volume_in_as_many_steps_as_dimensions(kind):
    im, z = space(kind), torch.randn(4, 12, dtype=f64)
    found = log_volume_estimate(im, z, probes=64)
    assert found.converged.all()
    miss = (found.value - log_volume(im, z)).abs()
    assert (miss < 3 * found.error).all()
    assert (found.error < 3).all()


def test_error_bars_cover_in_nine_of_ten_runs():
    """One hundred runs are one batch of codes, each with its own probes."""
    d = 64
    im, z = linear(torch.logspace(0, -1, d, dtype=f64)), torch.zeros(100, d, dtype=f64)
    exact = -math.log(10) * d / 2
    found = log_volume_estimate(im, z)
    assert found.converged.all()
    assert found.steps < d
    covered = (found.value - exact).abs() <= found.error
    assert covered.sum() >= 90
    assert (found.error < 0.1 * abs(exact)).all()


def test_the_error_bar_shrinks_with_the_root_of_the_probes():
    im, z = linear(torch.logspace(0, -1, 32, dtype=f64)), torch.zeros(40, 32, dtype=f64)
    few, many = (log_volume_estimate(im, z, probes=n).error.mean() for n in (30, 120))
    assert few / many == pytest.approx(2, rel=0.1)


def test_volumes_that_need_no_chance():
    """Rademacher probes see a multiple of the identity exactly; a rank-deficient metric has no estimate."""
    sphere, z = reference.sphere(1.0, 6), 0.3 * torch.randn(3, 6, dtype=f64)
    found = log_volume_estimate(sphere.immersion, z)
    torch.testing.assert_close(found.value, log_volume(sphere.immersion, z))
    assert (found.error < 1e-9).all()
    flat = Immersion(lambda z: z[:, :4], 6)
    none = log_volume_estimate(flat, z)
    assert none.value.isnan().all()
    assert not none.converged.any()


def test_a_metric_given_directly_is_an_operator_too():
    sphere, z, v = reference.sphere(1.0, 6), 0.3 * torch.randn(3, 6, dtype=f64), torch.randn(3, 2, 6, dtype=f64)
    field = MetricField(sphere.metric, 6)
    torch.testing.assert_close(MetricOperator(field, z)(v), v @ sphere.metric(z))
    torch.testing.assert_close(MetricOperator(field, z).dense(), sphere.metric(z))
    torch.testing.assert_close(log_volume_estimate(field, z).value, log_volume(sphere.immersion, z))
    torch.testing.assert_close(top_spectrum(field, z, 2).eigenvalues, spectrum(field, z).eigenvalues[:, :2])


REFUSALS = {
    "map": (
        lambda im, z: MetricOperator(torch.sin, z),
        TypeError,
        "expected a RiemannianMetric such as an Immersion, got builtin",
    ),
    "chunk": (lambda im, z: MetricOperator(im, z, 0), ValueError, "expected a chunk_size of at least 1, got 0"),
    "vectors": (
        lambda im, z: MetricOperator(im, z)(z[:2]),
        ValueError,
        r"expected vectors \(3, 2\) or \(3, 'k', 2\) at codes \(3, 2\), got \(2, 2\)",
    ),
    "k": (lambda im, z: top_spectrum(im, z, 3), ValueError, "expected a number of eigenvalues from 1 to 2, got 3"),
    "products": (
        lambda im, z: top_spectrum(im, z, 2, max_products=1),
        ValueError,
        "expected at least 2 products for 2 eigenvalues, got max_products = 1",
    ),
    "probes": (
        lambda im, z: log_volume_estimate(im, z, probes=1),
        ValueError,
        "expected at least 2 probes for an error bar, got 1",
    ),
    "confidence": (
        lambda im, z: log_volume_estimate(im, z, confidence=1.0),
        ValueError,
        "expected a confidence between 0 and 1, got 1.0",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call(Immersion(torch.sin, 2), torch.zeros(3, 2))
