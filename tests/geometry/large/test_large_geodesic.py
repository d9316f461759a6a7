"""Geodesics without blocks against closed forms and against those with blocks."""

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, geodesic, immersion, reference
from lsgen.geometry.large import large_geodesic
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Gaussian

f64 = torch.float64


def test_great_circles_of_a_large_sphere_without_blocks(largest):
    """S^256: the exact distance, and no tensor as large as one d x d block."""
    d = 256
    sphere = reference.sphere(1.0, d)
    a, b = 0.5 * torch.nn.functional.normalize(torch.randn(2, 2, d, dtype=f64), dim=-1)
    large_geodesic(sphere.immersion, a[:1], b[:1], 5)
    with largest() as seen:
        found = large_geodesic(sphere.immersion, a, b, 17, chunk_size=16)
    assert found.converged.all(), found.residual
    assert seen.elements < d * d
    torch.testing.assert_close(found.length, sphere.distance(a, b), rtol=1e-5, atol=0)
    assert torch.equal(found.points[:, 0], a)
    assert torch.equal(found.points[:, -1], b)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_the_same_curves_as_with_blocks(kind):
    channels = 1 if kind == "bernoulli" else 2
    likelihood = Bernoulli((1, 4, 4)) if kind == "bernoulli" else Gaussian((1, 4, 4))
    net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 16 * channels), nn.Unflatten(1, (channels, 4, 4)))
    im = immersion(LatentSpace(net.double(), likelihood, StandardNormal(6)))
    a, b = torch.randn(2, 2, 2, 6, dtype=f64)
    ours, theirs = large_geodesic(im, a, b, 17, tol=1e-6), geodesic(im, a, b, 17, tol=1e-6)
    assert ours.converged.all(), ours.residual
    torch.testing.assert_close(ours.energy, theirs.energy, rtol=1e-8, atol=0)
    torch.testing.assert_close(ours.points, theirs.points, rtol=0, atol=1e-3)
    torch.testing.assert_close(ours.residual < 1e-6, theirs.residual < 1e-6)


def test_the_residual_is_that_of_the_geodesic_equation():
    """Before any iteration both measure the straight segment."""
    im = Immersion(nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 20)).double(), 5)
    a, b = torch.randn(2, 3, 5, dtype=f64)
    ours, theirs = large_geodesic(im, a, b, 9, max_iterations=0), geodesic(im, a, b, 9, max_iterations=0)
    assert not ours.converged.any()
    torch.testing.assert_close(ours.residual, theirs.residual, rtol=1e-3, atol=0)
    torch.testing.assert_close(ours.length, theirs.length)


def test_failures_are_of_single_curves():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]], dtype=f64)
    b = torch.tensor([[2.0, 1.0], [1.0, 0.3], [1.0, 1.0]], dtype=f64)
    found = large_geodesic(torn, a, b, 17)
    assert found.converged.tolist() == [True, False, True]
    assert found.length[2] == 0


@pytest.mark.parametrize("chunk_size", [None, 5])
def test_a_metric_given_directly_has_them_too(chunk_size):
    """The midpoint energy is second order in 1/n, and so is what its forces leave of the residual."""
    sphere, (a, b) = reference.sphere(1.0, 3), 0.5 * torch.randn(2, 4, 3, dtype=f64)
    found = large_geodesic(MetricField(sphere.metric, 3), a, b, 33, chunk_size=chunk_size)
    assert found.converged.all(), found.residual
    torch.testing.assert_close(found.length, sphere.distance(a, b), rtol=1e-4, atol=0)


def test_refusals():
    z = torch.zeros(3, 2)
    with pytest.raises(TypeError, match="expected a RiemannianMetric such as an Immersion, got builtin"):
        large_geodesic(torch.sin, z, z)
    with pytest.raises(
        ValueError, match=r"expected two ends of one shape and dtype, got float32 \(3, 2\) and float32 \(2,\)"
    ):
        large_geodesic(Immersion(torch.sin, 2), z, z[0])
