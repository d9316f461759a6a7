"""Jacobi fields on spaces of constant curvature, where they are sines and hyperbolic sines."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, exp_map, metric, reference
from lsgen.geometry.geodesics.initial_value.jacobi import conjugate_points, fields_and_hessian, jacobi_fields

f64 = torch.float64


def unit(im, z, v):
    return v / torch.einsum("...i,...ij,...j->...", v, metric(im, z), v).sqrt()[..., None]


@pytest.mark.parametrize("n", [2, 3])
def test_the_sphere_focuses_at_pi_once_in_every_direction_across(n):
    """At distance pi all n - 1 directions meet, at 2 pi again; for n = 3 the sign of the determinant sees neither."""
    im = reference.sphere(1.0, n).immersion
    z = torch.zeros(3, n, dtype=f64)
    z[:, 0] = 1.0
    v = torch.zeros(3, n, dtype=f64)
    v[:, 1] = 1.0
    length = torch.tensor([3.0, 4.0, 6.8], dtype=f64)
    found = conjugate_points(im, z, length[:, None] * v, 24)
    assert found.morse_index.tolist() == [0, n - 1, 2 * (n - 1)]
    assert math.isinf(found.distance[0])
    torch.testing.assert_close(found.distance[1:], torch.full((2,), math.pi, dtype=f64), rtol=1e-3, atol=0)


@pytest.mark.parametrize("route", ["immersion", "field"])
@pytest.mark.slow
def test_the_distance_is_found_to_its_tolerance(route):
    """pi on the unit sphere of dimension 3, along geodesics that come near the chart's end, of 8 parts and of 32."""
    surface = reference.sphere(1.0, 3)
    im = surface.immersion if route == "immersion" else MetricField(surface.metric, 3)
    z = torch.randn(4, 3, dtype=f64)
    v = 4.0 * unit(im, z, torch.randn(4, 3, dtype=f64))
    for parts, tol, bound in ((8, None, 2e-6), (32, None, 1e-6), (32, 1e-5, 1e-4)):
        found = conjugate_points(im, z, v, parts, tol=tol)
        assert (found.distance - math.pi).abs().max() < bound
        assert (found.morse_index == 2).all()


def test_fields_are_given_at_equal_times_whatever_the_steps():
    """sin(t |v|) / |v| across a great circle, between steps too, and cos for its rate."""
    im, z = reference.sphere().immersion, torch.tensor([[0.6, -0.2]], dtype=f64)
    v = 2.7 * unit(im, z, torch.tensor([[0.3, 1.0]], dtype=f64))
    for parts in (3, 40):
        found, t = jacobi_fields(im, z, v, parts), 2.7 * torch.linspace(0, 1, parts + 1, dtype=f64)
        values = torch.linalg.svdvals(found.fields[0]).min(-1).values
        torch.testing.assert_close(values, t.sin().abs() / 2.7, rtol=0, atol=1e-6)
        assert (torch.linalg.det(found.rates[0]) - t.cos()).abs().max() < 1e-5


@pytest.mark.slow
def test_a_geodesic_that_leaves_its_chart_keeps_what_was_found_before():
    """Through the pole of the stereographic chart, at distance pi / 2: nothing is known beyond, and all before."""
    im = reference.sphere().immersion
    z, v = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=f64), torch.tensor([[4.0, 0.0], [0.0, 4.0]], dtype=f64)
    found = jacobi_fields(im, z, v, 32)
    known = torch.isfinite(found.fields[0]).all(-1).all(-1)
    assert known.tolist() == [k / 32 * 4 < math.pi / 2 for k in range(33)]
    points = conjugate_points(im, z, v)
    assert points.distance.isnan().tolist() == [True, False]
    assert points.morse_index.tolist() == [-1, 1]


@pytest.mark.slow
@pytest.mark.parametrize(("surface", "profile"), [("sphere", "sin"), ("hyperbolic", "sinh"), ("swiss_roll", "line")])
def test_the_volume_of_exp(surface, profile):
    """(S(r) / r)^(n - 1) with S = sin r, sinh(r / sqrt 2) sqrt 2 (curvature -1/2) and r."""
    made = {"sphere": lambda: reference.sphere(1.0, 3)}.get(surface, getattr(reference, surface))()
    im, n = made.immersion, made.immersion.dim
    z = torch.full((4, n), 0.3, dtype=f64) + (2.0 if surface == "swiss_roll" else 0)
    v = unit(im, z, torch.randn(4, n, dtype=f64)) * 1.2
    t = 1.2 * torch.linspace(0, 1, 9, dtype=f64)[1:]
    root2 = math.sqrt(2)
    spread = {"sin": t.sin(), "sinh": root2 * (t / root2).sinh(), "line": t}[profile]
    for space in (im, MetricField(made.metric, n)):
        found = jacobi_fields(space, z, v, 8)
        torch.testing.assert_close(
            found.log_volume[:, 1:], (n - 1) * (spread / t).log().expand(4, -1), rtol=0, atol=1e-4
        )
        assert (found.log_volume[:, 0] == 0).all()
        assert (conjugate_points(space, z, v, 4).morse_index == 0).all()


@pytest.mark.slow
def test_fields_are_the_derivative_of_the_exponential_map():
    """By central differences of exp_map, on a torus, where curvature changes sign."""
    im, d = reference.torus(2.0, 1.0).immersion, 2
    z, v = torch.tensor([[0.3, 0.5]], dtype=f64), torch.tensor([[0.5, 1.1]], dtype=f64)
    found, h = jacobi_fields(im, z, v, 16), 1e-5
    turn = h * torch.eye(d, dtype=f64)
    ends = [exp_map(im, z.expand(d, d), v + s * turn, tol=1e-11).point for s in (1, -1)]
    derivative = ((ends[0] - ends[1]) / (2 * h)).T
    frame = found.frame[0]
    ours = frame[-1] @ found.fields[0, -1] @ torch.linalg.inv(frame[0])
    torch.testing.assert_close(ours, derivative, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.points[0, -1], exp_map(im, z, v).point[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("surface", "curvature"), [("sphere", 1.0), ("hyperbolic", -0.5), ("swiss_roll", 0.0)])
def test_the_hessian_of_the_squared_distance(surface, curvature):
    """1 along the geodesic and r sqrt K cot(r sqrt K) across it, for dist^2 / 2 at distance r."""
    im, r = getattr(reference, surface)().immersion, 1.2
    z = torch.full((4, 2), 0.3, dtype=f64) + (2.0 if surface == "swiss_roll" else 0)
    v = r * unit(im, z, torch.randn(4, 2, dtype=f64))
    found, hessian = fields_and_hessian(im, z, v, 16)
    along = torch.linalg.solve(found.frame[:, 0], v[..., None]) / r
    x = r * math.sqrt(abs(curvature))
    across = x / math.tan(x) if curvature > 0 else x / math.tanh(x) if curvature < 0 else 1.0
    line = along @ along.mT
    exact = line + across * (torch.eye(2, dtype=f64) - line)
    torch.testing.assert_close(hessian, exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.fields, jacobi_fields(im, z, v, 16).fields, rtol=0, atol=1e-5)


def test_the_frame_stays_orthonormal_and_the_fields_lagrangian():
    im = reference.sphere(1.0, 3).immersion
    z, v = 0.3 * torch.randn(4, 3, dtype=f64), 0.4 * torch.randn(4, 3, dtype=f64)
    found = jacobi_fields(im, z, v, 16)
    gram = found.frame.mT @ metric(im, found.points) @ found.frame
    torch.testing.assert_close(gram, torch.eye(3, dtype=f64).expand_as(gram), rtol=0, atol=1e-4)
    wronskian = found.fields.mT @ found.rates
    torch.testing.assert_close(wronskian, wronskian.mT, rtol=0, atol=1e-4)


def test_failures_are_of_single_codes():
    im = Immersion(lambda z: torch.stack([z[:, 0] ** 2, z[:, 1]], -1), 2)
    z, v = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=f64), torch.tensor([[1.0, 0.0], [1.0, 0.3]], dtype=f64)
    found = conjugate_points(im, z, v, 8)
    assert found.morse_index.tolist() == [-1, 0]
    assert found.distance.isnan().tolist() == [True, False]


def test_refusals():
    im, z = reference.sphere().immersion, torch.zeros(3, 2)
    with pytest.raises(ValueError, match="expected at least 1 step, got 0"):
        jacobi_fields(im, z, z, 0)
    with pytest.raises(ValueError, match=r"expected vectors v of dtype float32 and shape \(3, 2\)"):
        conjugate_points(im, z, z[0])
