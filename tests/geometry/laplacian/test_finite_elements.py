"""Finite elements against spectra in closed form: sphere, tori, rectangle, disk and hyperbolic disk."""

from itertools import pairwise
from math import pi

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import jn_zeros

from lsgen.geometry import Immersion, MetricField, metric, reference
from lsgen.geometry.laplacian import (
    TriangleMesh,
    delaunay_mesh,
    edge_length_laplacian,
    finite_element_laplacian,
    laplace_spectrum,
    rectangle_mesh,
    surface_laplacian,
)

f64 = torch.float64


def largest_error(found, exact):
    exact = torch.as_tensor(exact, dtype=f64)
    return float(((found.eigenvalues - exact).abs() / exact.clamp(min=0.1)).max())


def in_two_charts(x, triangles):
    """Return a closed mesh of the sphere in stereographic coordinates from either pole."""
    corners = x[triangles]
    north = (corners[..., 2].mean(-1) >= 0)[:, None, None]
    from_south = corners[..., :2] / (1 + corners[..., 2:])
    from_north = corners[..., :2] * torch.tensor([1.0, -1.0], dtype=f64) / (1 - corners[..., 2:])
    return TriangleMesh(torch.where(north, from_south, from_north), triangles)


@pytest.mark.slow
def test_closed_sphere_has_the_spherical_harmonics_to_second_order(sphere_mesh, sphere_eigenvalues):
    """l (l + 1), 2 l + 1 times: 2 % for l <= 4 at 10^4 vertices, a quarter of the error on half the mesh size."""
    errors = []
    for levels in (4, 5):
        x, triangles = sphere_mesh(levels)
        found = laplace_spectrum(surface_laplacian(x, triangles), 25)
        assert found.converged.all()
        assert found.eigenvalues[0] == 0
        errors.append(largest_error(found, sphere_eigenvalues(4)))
    assert len(x) == 10242
    assert errors[-1] < 0.004
    assert all(3.7 < a / b < 4.3 for a, b in pairwise(errors))


@pytest.mark.parametrize("kind", ["immersion", "field"])
def test_sphere_in_stereographic_coordinates_has_the_same_spectrum(kind, sphere_mesh, sphere_eigenvalues):
    surface, mesh = reference.sphere(2.0), in_two_charts(*sphere_mesh(4))
    im = surface.immersion if kind == "immersion" else MetricField(surface.metric, 2)
    operator = finite_element_laplacian(im, mesh)
    found = laplace_spectrum(operator, 25)
    assert operator.volume == pytest.approx(16 * pi, rel=2e-3)
    assert largest_error(found, sphere_eigenvalues(4) / 4) < 0.02
    assert found.components == 1


def test_a_metric_at_the_vertices(disk_points):
    """The unit disk of one chart is half the sphere, where the harmonics without slope at the equator remain."""
    mesh = delaunay_mesh(disk_points(24))
    found = laplace_spectrum(finite_element_laplacian(reference.sphere(2.0).metric(mesh.points()), mesh), 10)
    kept = [j * (j + 1) / 4.0 for j in range(4) for _ in range(j + 1)]
    assert largest_error(found, kept) < 0.02


def test_edge_lengths_and_positions_give_one_operator(sphere_mesh):
    x, triangles = sphere_mesh(2)
    ends = x[triangles]
    lengths = (ends - ends.roll(-1, 1)).norm(dim=-1)
    one, other = surface_laplacian(x, triangles), edge_length_laplacian(triangles, lengths)
    assert abs(one.stiffness - other.stiffness).max() < 1e-12
    assert abs(one.mass - other.mass).max() < 1e-14


def test_stiffness_holds_cotangents():
    """-(cot a + cot b) / 2 for an edge, a and b the angles opposite to it (Pinkall & Polthier)."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.1], [0.3, 0.9], [0.7, -0.8]], dtype=f64)
    operator = surface_laplacian(x, torch.tensor([[0, 1, 2], [1, 0, 3]]))

    def cotangent(at, p, q):
        u, v = x[p] - x[at], x[q] - x[at]
        return float((u @ v) / (u[0] * v[1] - u[1] * v[0]).abs())

    assert operator.stiffness[0, 1] == pytest.approx(-(cotangent(2, 0, 1) + cotangent(3, 0, 1)) / 2, rel=1e-12)
    assert operator.stiffness[0, 2] == pytest.approx(-cotangent(1, 0, 2) / 2, rel=1e-12)


def test_flat_torus_and_rectangles():
    """(m a)^2 + (n b)^2 of sides 2 pi / a, 2 pi / b; half of these waves on a rectangle, by boundary condition."""
    flat = Immersion(lambda z: z * z.new_tensor([2.0, 1.0]), 2)
    torus = rectangle_mesh((0, 0), (2 * pi, 2 * pi), (56, 56), (True, True))
    waves = sorted((m / 2) ** 2 + n**2 for m in range(-4, 5) for n in range(-3, 4))[:9]
    assert largest_error(laplace_spectrum(finite_element_laplacian(flat, torus), 9), waves) < 0.01
    sheet = rectangle_mesh((0, 0), (pi, pi), (56, 56))
    free = sorted((m / 2) ** 2 + n**2 for m in range(8) for n in range(4))[:8]
    assert largest_error(laplace_spectrum(finite_element_laplacian(flat, sheet), 8), free) < 0.01
    held = sorted((m / 2) ** 2 + n**2 for m in range(1, 8) for n in range(1, 4))[:8]
    found = laplace_spectrum(finite_element_laplacian(flat, sheet, "dirichlet"), 8)
    assert largest_error(found, held) < 0.01
    edge = sheet.points()[:, 0] == 0
    assert (found.functions[edge] == 0).all()


def test_drum_has_the_zeros_of_bessel_functions_to_second_order(disk_points):
    zeros = sorted([*jn_zeros(0, 3) ** 2, *(x**2 for m in (1, 2, 3) for x in jn_zeros(m, 2) for _ in range(2))])[:6]
    errors = []
    for rings in (16, 32):
        operator = finite_element_laplacian(Immersion(lambda z: z, 2), delaunay_mesh(disk_points(rings)), "dirichlet")
        errors.append(largest_error(laplace_spectrum(operator, 6), zeros))
    assert errors[1] < 0.01
    assert 3.4 < errors[0] / errors[1] < 4.6


def test_hyperbolic_disk(disk_points):
    """Radial functions of a disk of radius 1.5 solve u'' + coth(r) u' + lambda u = 0, u(1.5) = 0: by shooting."""
    radius = 1.5

    def end(value):
        way = solve_ivp(lambda r, u: [u[1], -u[1] / np.tanh(r) - value * u[0]], (1e-6, radius), [1, 0], rtol=1e-9)
        return way.y[0, -1]

    lowest = brentq(end, 1.0, 6.0)
    poincare = MetricField(lambda z: 4 * torch.eye(2, dtype=z.dtype) / (1 - z.square().sum(-1))[:, None, None] ** 2, 2)
    mesh = delaunay_mesh(np.tanh(radius / 2) * disk_points(40))
    found = laplace_spectrum(finite_element_laplacian(poincare, mesh, "dirichlet"), 3)
    assert float(found.eigenvalues[0]) == pytest.approx(lowest, rel=3e-3)
    assert found.eigenvalues[1] - found.eigenvalues[0] > 1
    torch.testing.assert_close(found.eigenvalues[1], found.eigenvalues[2], rtol=1e-4, atol=0)


def test_functions_are_orthonormal_and_a_metric_that_varies_is_integrated():
    """The torus of revolution: volume 4 pi^2 a b, and eigenfunctions orthonormal in the mass matrix."""
    surface, mesh = reference.torus(2.0, 0.7), rectangle_mesh((-pi, -pi), (pi, pi), (32, 24), (True, True))
    operator = finite_element_laplacian(surface.immersion, mesh)
    assert operator.volume == pytest.approx(4 * pi**2 * 2.0 * 0.7, rel=1e-9)
    found = laplace_spectrum(operator, 12)
    u = found.functions.numpy()
    np.testing.assert_allclose(u.T @ operator.mass @ u, np.eye(12), atol=1e-9)
    np.testing.assert_allclose(u.T @ operator.stiffness @ u, np.diag(found.eigenvalues), atol=1e-8)
    by_sides = finite_element_laplacian(metric(surface.immersion, mesh.points()), mesh)
    assert by_sides.volume == pytest.approx(operator.volume, rel=0.01)


def test_two_components_have_two_constants(sphere_mesh):
    x, triangles = sphere_mesh(1)
    operator = surface_laplacian(torch.cat([x, 3 + 2 * x]), torch.cat([triangles, triangles + len(x)]))
    found = laplace_spectrum(operator, 5)
    assert found.components == 2
    assert found.eigenvalues[:2].tolist() == [0.0, 0.0]
    assert found.eigenvalues[2] > 0.4
    assert (found.functions[:, :2].abs() > 0).sum() == len(x) * 2


def test_what_does_not_converge_is_nan(sphere_mesh):
    found = laplace_spectrum(surface_laplacian(*sphere_mesh(3)), 20, tol=1e-14, max_iterations=1)
    assert not found.converged[1:].all()
    assert torch.equal(found.eigenvalues.isnan(), ~found.converged)
    assert torch.equal(found.functions.isnan().any(0), ~found.converged)


def test_refusals(sphere_mesh):
    x, triangles = sphere_mesh(1)
    flat = Immersion(lambda z: z, 2)
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    with pytest.raises(ValueError, match="expected triangles of positive area, got 1 of 1 that are degenerate"):
        surface_laplacian(line, torch.tensor([[0, 1, 2]]))
    with pytest.raises(ValueError, match="degenerate, the first of them number 0"):
        edge_length_laplacian(torch.tensor([[0, 1, 2]]), torch.tensor([[1.0, 1.0, 3.0]]))
    with pytest.raises(ValueError, match="expected a mesh with a boundary"):
        surface_laplacian(x, triangles, "dirichlet")
    with pytest.raises(ValueError, match="expected edges of one or two triangles, got one of 3"):
        surface_laplacian(torch.randn(5, 3), torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
    with pytest.raises(ValueError, match="expected a metric of 2 dimensions, got one of 3"):
        finite_element_laplacian(Immersion(lambda z: z, 3), rectangle_mesh((0, 0), (1, 1), (2, 2)))
    with pytest.raises(ValueError, match="expected a number of eigenvalues from 1 to the 9 free nodes, got 10"):
        laplace_spectrum(finite_element_laplacian(flat, rectangle_mesh((0, 0), (1, 1), (2, 2))), 10)
    with pytest.raises(ValueError, match="points that lie on a line"):
        delaunay_mesh(line)
    with pytest.raises(ValueError, match="an even number of them"):
        rectangle_mesh((0, 0), (1, 1), (5, 4), (True, False))
    with pytest.raises(ValueError, match='expected the boundary condition "neumann" or "dirichlet"'):
        surface_laplacian(x, triangles, "robin")
    two = torch.tensor([[0, 1, 2], [0, 2, 3]])
    with pytest.raises(ValueError, match="expected positive lengths, got 1 that are not"):
        edge_length_laplacian(two[:1], torch.tensor([[-1.0, 1.0, 1.0]]))
    with pytest.raises(ValueError, match="expected one length for each edge, got 1 of 5 with another on either side"):
        edge_length_laplacian(two, torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]))
    skew = torch.tensor([[1.0, 0.3], [0.0, 1.0]]).expand(9, 2, 2)
    with pytest.raises(ValueError, match="expected a symmetric metric at the vertices"):
        finite_element_laplacian(skew, rectangle_mesh((0, 0), (1, 1), (2, 2)))
