"""Exponential map, transport and holonomy against what they have to be."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, exp_map, geodesic, log_map, metric, parallel_transport, reference
from lsgen.geometry.geodesics import holonomy

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


@pytest.mark.parametrize("method", ["adaptive", "symplectic"])
def test_every_curve_has_its_own_steps(method):
    """Slow, fast and torn curves in one batch: each arrives where it does alone."""
    im = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=f64)
    v = torch.tensor([[0.1, 1.0], [-400.0, 0.0], [3.0, -5.0]], dtype=f64)
    found = exp_map(im, z, v, method=method, max_steps=64)
    assert found.converged.tolist() == [True, False, True]
    for row in (0, 2):
        alone = exp_map(im, z[row], v[row], method=method, max_steps=64)
        torch.testing.assert_close(found.point[row], alone.point, rtol=1e-9, atol=1e-9)


def test_a_segment_without_a_midpoint_step_is_unknown_alone():
    """Of g = z^2, Gamma = 1 / z: on the segment from 2 to 0 the midpoint rule reads 0 w = 2 v."""
    line = MetricField(lambda z: z[:, :, None] ** 2, 1)
    curves = torch.tensor([[[2.0], [0.0]], [[2.0], [1.0]]], dtype=f64)
    carried = parallel_transport(line, curves, torch.ones(2, 1, dtype=f64))[:, 1, 0]
    assert carried.isnan().tolist() == [True, False]
    torch.testing.assert_close(carried[1], torch.tensor(2.0, dtype=f64))


@pytest.mark.parametrize("method", ["adaptive", "symplectic"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-6])
def test_short_and_far_curves_arrive_but_for_the_rounding_of_their_codes(method, offset, size):
    """The sphere a long way from the origin of its codes, in float32, against float64 at the origin."""
    im = Immersion(lambda z: SPHERE.immersion.fn(z - offset), 2)
    z = (0.3 * torch.randn(6, 2) * 2**12).round() / 2**12 + offset
    v = size * 0.4 * torch.randn(6, 2).clamp(-1.5, 1.5)
    found, true = exp_map(im, z, v, method=method), exp_map(SPHERE.immersion, z.double() - offset, v.double())
    assert found.converged.all()
    torch.testing.assert_close(found.velocity.double(), true.velocity, rtol=0, atol=5e-3 * size)
    moved, exact = found.point.double() - z.double(), true.point + offset - z.double()
    ulp = torch.finfo(torch.float32).eps * (1 + offset)
    torch.testing.assert_close(moved, exact, rtol=0, atol=ulp + (1e-3 if size == 1 else 5e-3) * size)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_coordinates_do_not_matter(scale):
    im = Immersion(lambda z: SPHERE.immersion.fn(z / scale), 2)
    z, v = 0.3 * torch.randn(2, 6, 2).clamp(-1.5, 1.5)
    found, true = exp_map(im, z * scale, v * scale), exp_map(SPHERE.immersion, z.double(), v.double())
    assert found.converged.all()
    torch.testing.assert_close(found.point.double() / scale, true.point, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_errors_follow_the_tolerance():
    torus, a, v = reference.torus(), torch.zeros(1, 2, dtype=f64), torch.tensor([[1.0, 0.7]], dtype=f64)
    exact = exp_map(torus.immersion, a, v, tol=1e-11).point
    errors = [(exp_map(torus.immersion, a, v, tol=tol).point - exact).norm().item() for tol in (1e-5, 1e-8)]
    assert errors[0] < 1e-3
    assert errors[1] < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("route", ["immersion", "metric"])
def test_symplectic_steps_keep_the_momentum_and_are_of_order_four(route):
    """On a torus w^2 u' is constant (Clairaut); the rotation that it belongs to is a symmetry of every step."""
    torus = reference.torus()
    im = torus.immersion if route == "immersion" else MetricField(torus.metric, 2)
    a, v = torch.tensor([[0.0, 0.5], [0.3, -1.0]], dtype=f64), torch.tensor([[1.5, 1.0], [0.5, 2.0]], dtype=f64)
    exact, errors = exp_map(torus.immersion, a, v, tol=1e-10), []
    for steps in (8, 16):
        found = exp_map(im, a, v, method="symplectic", steps=steps)
        assert found.converged.all()
        errors.append((found.point - exact.point).norm().item())
        ours = torch.einsum("nij,nj->ni", torus.metric(found.point), found.velocity)[:, 0]
        theirs = torch.einsum("nij,nj->ni", torus.metric(a), v)[:, 0]
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.4)


@pytest.mark.slow
def test_symplectic_steps_keep_the_speed_over_long_times():
    """Some way around the torus: the error of the speed stays what it was at first."""
    torus, a = reference.torus(), torch.tensor([[0.0, 0.5]], dtype=f64)
    v = torch.tensor([[0.25, 0.2]], dtype=f64)
    speed = torch.einsum("nij,ni,nj->n", torus.metric(a), v, v)
    errors = []
    for _ in range(40):
        found = exp_map(torus.immersion, a, v, method="symplectic", steps=1)
        a, v = found.point, found.velocity
        errors.append((torch.einsum("nij,ni,nj->n", torus.metric(a), v, v) / speed - 1).abs().item())
    assert max(errors[20:]) < 2 * max(errors[:20])
    assert max(errors) < 0.01


def ladder(im, z, w, curve):
    """Carry w along a geodesic by geodesic parallelograms through the middle of every second segment."""
    for i in range(0, curve.shape[1] - 2, 2):
        tip = exp_map(im, z, w).point
        across = log_map(im, curve[:, i + 1], tip, 17)
        opposite = exp_map(im, curve[:, i + 1], -across).point
        z = curve[:, i + 2]
        w = -log_map(im, z, opposite, 17)
    return w


@pytest.mark.parametrize("surface", [SPHERE, reference.torus()], ids=["sphere", "torus"])
def test_transport_is_that_of_the_pole_ladder(surface):
    im = surface.immersion
    a, b = torch.tensor([[0.1, 0.2]], dtype=f64), torch.tensor([[0.5, -0.3]], dtype=f64)
    w, curve = 0.1 * torch.tensor([[0.3, 1.0]], dtype=f64), geodesic(im, a, b, 65).points
    ours = parallel_transport(im, curve, w)[:, -1]
    torch.testing.assert_close(ladder(im, a, w, curve[:, ::16]), ours, rtol=0, atol=2e-4 * w.norm().item())


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
    with pytest.raises(ValueError, match='expected method "adaptive" or "symplectic", got \'euler\''):
        exp_map(im, z, z, method="euler")
    with pytest.raises(ValueError, match="expected positive tol, max_steps and steps, got None, 1024 and 0"):
        exp_map(im, z, z, steps=0)
