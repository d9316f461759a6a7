"""Conjugate radii in closed form: spheres, torus, ellipsoid, and spaces that have none."""

import math

import pytest
import torch
from scipy.special import ellipe

from lsgen.geometry import Immersion, MetricField, metric, reference
from lsgen.geometry.geodesics import conjugate_radius

f64 = torch.float64


def unit(im, z, e):
    return torch.einsum("ni,nij,nj->n", e, metric(im, z), e)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.slow
def test_on_a_sphere_both_bounds_are_half_a_great_circle(n):
    """Great circles through the equator that stay away from infinity of the stereographic coordinates."""
    surface, radius = reference.sphere(2.0, n), 2.0
    z = torch.zeros(2, n, dtype=f64)
    z[:, 0] = 1.0
    across = torch.randn(2, 5, n, dtype=f64) * torch.tensor([0.0, *[1.0] * (n - 1)], dtype=f64)
    across = across / across.norm(dim=-1, keepdim=True)
    across[..., 0] = torch.linspace(-0.5, 0.5, 5, dtype=f64)
    for im in (surface.immersion, MetricField(surface.metric, n)):
        found = conjugate_radius(im, z, 3.5 * radius, across)
        exact = torch.full((2,), math.pi * radius, dtype=f64)
        torch.testing.assert_close(found.upper, exact, rtol=1e-3, atol=0)
        torch.testing.assert_close(found.lower, exact, rtol=1e-3, atol=0)
        torch.testing.assert_close(unit(im, z, found.direction), torch.ones(2, dtype=f64))


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.slow
def test_on_a_sphere_whatever_the_code_and_the_direction(n):
    """Half a great circle in all directions, of which some come near infinity of the coordinates."""
    im, z = reference.sphere(1.0, n).immersion, torch.randn(3, n, dtype=f64)
    found = conjugate_radius(im, z, 3.5, 12, chunk_size=36)
    exact = torch.full((3,), math.pi, dtype=f64)
    torch.testing.assert_close(found.upper, exact, rtol=2e-6, atol=0)
    torch.testing.assert_close(found.lower, exact, rtol=2e-6, atol=0)


@pytest.mark.slow
def test_what_cannot_be_followed_bounds_from_below_alone():
    """From the centre of stereographic coordinates all geodesics leave them at the antipode, at distance pi."""
    found = conjugate_radius(reference.sphere().immersion, torch.zeros(1, 2, dtype=f64), 4.0, 8, steps=64)
    assert found.upper.isnan().all()
    assert math.pi - 4.0 / 64 < found.lower.item() <= math.pi


@pytest.mark.slow
def test_on_products_the_more_curved_factor_decides():
    """The unit sphere times the hyperbolic plane: pi along the sphere, none along the other factor."""
    sphere, plane = reference.sphere().metric, reference.hyperbolic().metric

    def product(z):
        g = z.new_zeros(len(z), 4, 4)
        g[:, :2, :2], g[:, 2:, 2:] = sphere(z[:, :2]), plane(z[:, 2:])
        return g

    im, z = MetricField(product, 4), torch.tensor([[0.4, -0.3, 0.2, 0.1]], dtype=f64)
    along = torch.tensor([[[0.3, 1.0, 0.0, 0.0]]], dtype=f64)
    flat = torch.tensor([[[0.0, 0.0, 1.0, 0.5]]], dtype=f64)
    assert math.isinf(conjugate_radius(im, z, 4.0, flat).upper.item())
    found = conjugate_radius(im, z, 4.0, torch.cat([along, flat, along + flat], 1))
    assert found.upper.item() == pytest.approx(math.pi, abs=1e-6)
    assert found.lower.item() == pytest.approx(math.pi, abs=1e-6)


def test_on_a_torus_the_outer_equator_focuses_first():
    """Its curvature 1 / b(a + b) is the greatest, so no other direction has a conjugate point before."""
    a, b = 2.0, 1.0
    z = torch.tensor([[0.3, 0.0]], dtype=f64)
    found = conjugate_radius(reference.torus(a, b).immersion, z, 7.0, 8, steps=40)
    exact = torch.tensor([math.pi * math.sqrt(b * (a + b))], dtype=f64)
    torch.testing.assert_close(found.upper, exact, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.lower, exact, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.direction.abs(), torch.tensor([[1 / (a + b), 0.0]], dtype=f64), atol=1e-9, rtol=0)


@pytest.mark.slow
def test_where_curvature_is_not_positive_there_is_none():
    along = torch.tensor([[[1.0, 0.0]]], dtype=f64)
    inner = conjugate_radius(reference.torus().immersion, torch.tensor([[0.3, math.pi]], dtype=f64), 4.0, along)
    plane = conjugate_radius(reference.hyperbolic().immersion, torch.tensor([[0.3, 0.5]], dtype=f64), 4.0, 8)
    for found in (inner, plane):
        assert math.isinf(found.upper.item())
        assert found.lower.item() == pytest.approx(4.0)
        assert found.direction.isnan().all()


def test_geodesics_from_an_umbilic_of_an_ellipsoid_meet_at_the_opposite_one():
    """All at half the perimeter of the ellipse of the longest and the shortest axis (Jacobi)."""
    p, q, r = 1.4, 1.2, 1.0
    im = reference.ellipsoid(r, p, q).immersion
    x, y = ((s * s - q * q) / (p * p - r * r) for s in (r, p))
    z = torch.tensor([[math.atan2(math.sqrt(y), math.sqrt(-x)), 0.0]], dtype=f64).expand(5, 2)
    angle = torch.tensor([0.2, 1.0, 2.6, 3.3, 5.7], dtype=f64)
    found = conjugate_radius(im, z, 4.5, torch.stack([angle.cos(), angle.sin()], -1)[:, None], steps=64)
    half = 2 * p * ellipe(1 - (r / p) ** 2)
    torch.testing.assert_close(found.upper, torch.full((5,), half, dtype=f64), rtol=1e-5, atol=0)


def test_on_an_ellipsoid_the_extreme_curvatures_bound_it():
    """r^2 / (p q)^2 <= K <= p^2 / (q r)^2: by Rauch and Bonnet pi q r / p <= conj <= pi p q / r."""
    p, q, r = 1.4, 1.2, 1.0
    im = reference.ellipsoid(r, p, q).immersion
    z = torch.tensor([[0.3, 0.2], [1.2, -0.4]], dtype=f64)
    around = torch.tensor([[1.0, 0.3], [1.0, -0.4], [-1.0, 0.2]], dtype=f64).expand(2, 3, 2)
    found = conjugate_radius(im, z, 5.5, around, steps=48)
    assert (found.lower >= math.pi * q * r / p - 1e-3).all()
    assert (found.lower <= found.upper).all()
    assert (found.upper <= math.pi * p * q / r + 1e-3).all()


@pytest.mark.slow
def test_batches_pieces_and_sampled_directions():
    surface = reference.sphere(1.0, 4)
    z = 0.1 * torch.randn(2, 3, 4, dtype=f64)
    generator = torch.Generator().manual_seed(1)
    whole = conjugate_radius(surface.immersion, z, 1.0, 6, steps=4, generator=generator)
    assert whole.upper.shape == whole.lower.shape == (2, 3)
    assert whole.direction.shape == (2, 3, 4)
    e = torch.randn(2, 3, 5, 4, dtype=f64)
    ours = conjugate_radius(surface.immersion, z, 2.0, e, steps=8)
    parts = conjugate_radius(surface.immersion, z, 2.0, e, steps=8, chunk_size=7)
    torch.testing.assert_close(ours.lower, parts.lower)
    one = conjugate_radius(surface.immersion, z[0, 1], 2.0, e[0, 1], steps=8)
    torch.testing.assert_close(one.lower, ours.lower[0, 1])


def test_a_geodesic_that_is_lost_leaves_both_unknown_for_its_code_alone():
    im = Immersion(lambda z: torch.stack([z[:, 0] ** 2, z[:, 1]], -1), 2)
    z = torch.tensor([[0.0, 0.0], [3.0, 0.0]], dtype=f64)
    found = conjugate_radius(im, z, 0.5, 4, steps=8)
    assert found.upper.isnan().tolist() == [True, False]
    assert found.lower.isnan().tolist() == [True, False]
    assert math.isinf(found.upper[1])


REFUSALS = {
    "horizon": (lambda im, z: conjugate_radius(im, z, 0.0), "expected a positive finite horizon, got 0.0"),
    "number": (lambda im, z: conjugate_radius(im, z, 1.0, 0), "expected at least 1 direction, got 0"),
    "shape": (
        lambda im, z: conjugate_radius(im, z, 1.0, z),
        r"expected directions of dtype float32 and shape \(3, k, 2\), got float32 \(3, 2\)",
    ),
    "length": (
        lambda im, z: conjugate_radius(im, z, 1.0, torch.zeros(3, 1, 2)),
        "expected directions of positive length, got some of length 0",
    ),
    "chunks": (lambda im, z: conjugate_radius(im, z, 1.0, chunk_size=0), "expected a chunk_size of at least 1, got 0"),
    "steps": (lambda im, z: conjugate_radius(im, z, 1.0, steps=0), "expected at least 1 step, got 0"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, sentence = REFUSALS[name]
    with pytest.raises(ValueError, match=sentence):
        call(reference.sphere().immersion, torch.zeros(3, 2))
