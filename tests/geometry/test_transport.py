"""Exponential map, transport and holonomy against what they have to be."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, exp_map, holonomy, log_map, metric, parallel_transport, reference

f64 = torch.float64
SPHERE, HYPERBOLIC = reference.sphere(), reference.hyperbolic()


@pytest.mark.parametrize("surface", [SPHERE, HYPERBOLIC], ids=["sphere", "hyperbolic"])
def test_exponential_inverts_the_logarithm(surface):
    a, b = 0.4 * torch.randn(2, 4, 2, dtype=f64)
    v = log_map(surface.immersion, a, b, 65)
    for im in (surface.immersion, MetricField(surface.metric, 2)):
        shot = exp_map(im, a, v)
        assert shot.converged.all()
        torch.testing.assert_close(shot.point, b, rtol=0, atol=1e-3)
        speed = torch.einsum("ni,nij,nj->n", shot.velocity, metric(im, shot.point), shot.velocity)
        torch.testing.assert_close(speed, torch.einsum("ni,nij,nj->n", v, metric(im, a), v), rtol=1e-7, atol=0)
        torch.testing.assert_close(surface.distance(a, shot.point), speed.sqrt(), rtol=1e-7, atol=0)


def test_exponential_on_a_torn_space_says_so():
    im = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    z, v = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=f64), torch.tensor([[0.1, 1.0], [-400.0, 0.0]], dtype=f64)
    assert exp_map(im, z, v, max_steps=64).converged.tolist() == [True, False]


def circle(n, radius=0.5):
    t = 2 * math.pi * torch.arange(n + 1, dtype=f64) / n
    loop = radius * torch.stack([t.cos(), t.sin()], -1)
    loop[-1] = loop[0]
    return loop


def test_holonomy_is_the_integrated_curvature_to_second_order():
    """A circle of radius r in stereographic coordinates holds the area 4 pi r^2 / (1 + r^2) of the unit sphere."""
    area = 4 * math.pi * 0.25 / 1.25
    errors = []
    for n in (100, 200):
        turn = holonomy(SPHERE.immersion, circle(n))
        errors.append(abs(math.atan2(turn[1, 0].item(), turn[0, 0].item()) - area))
    assert errors[1] < 1e-3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_transport_is_an_isometry_and_carries_the_velocity_of_a_geodesic():
    im = SPHERE.immersion
    t = torch.linspace(0, 1, 201, dtype=f64)
    great = torch.stack([torch.tan(t / 2), torch.zeros_like(t)], -1)
    v = torch.tensor([0.5, 0.0], dtype=f64)
    carried = parallel_transport(im, great, v)
    torch.testing.assert_close(carried[:, 0], 0.5 / torch.cos(t / 2) ** 2, rtol=1e-5, atol=0)
    loop, u, w = circle(400), *torch.randn(2, 2, dtype=f64)
    u, w, g = parallel_transport(im, loop, u), parallel_transport(im, loop, w), metric(im, loop)
    product = torch.einsum("ni,nij,nj->n", u, g, w)
    torch.testing.assert_close(product, product[:1].expand_as(product), rtol=1e-3, atol=1e-3)


def test_refusals():
    im, z = SPHERE.immersion, torch.zeros(3, 2, dtype=f64)
    with pytest.raises(ValueError, match="expected closed curves, got some whose last point is not the first"):
        holonomy(im, torch.rand(4, 2, dtype=f64))
    with pytest.raises(ValueError, match=r"expected curves \(B, N, 2\) of at least 2 points, got \(1, 2\)"):
        parallel_transport(im, z[:1], z[0])
    with pytest.raises(ValueError, match=r"expected vectors v of dtype float64 and shape \(3, 2\) like the codes"):
        exp_map(im, z, z.float())
