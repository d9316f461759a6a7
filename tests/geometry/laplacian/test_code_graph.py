"""The operator on a graph of codes against the spheres and the circle, whatever density the codes are drawn from."""

from math import log, pi

import pytest
import torch
from scipy.special import jnp_zeros

from lsgen.geometry import Immersion, MetricField, reference
from lsgen.geometry.laplacian import (
    delaunay_mesh,
    finite_element_laplacian,
    graph_laplacian,
    laplace_spectrum,
    neighbour_laplacian,
)
from lsgen.latent import Sphere
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import NeighbourGraph, neighbour_graph

f64 = torch.float64


def draws(n, slope, seed=0):
    """Return draws (n, 3) on the unit sphere from the density (1 + slope x_3) / (4 pi)."""
    u, turn = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=f64).unbind(-1)
    height = 2 * u - 1 if slope == 0 else (-1 + (1 - 2 * slope * (1 - slope / 2 - 2 * u)).sqrt()) / slope
    flat = (1 - height**2).sqrt()
    return torch.stack([flat * (2 * pi * turn).cos(), flat * (2 * pi * turn).sin(), height], -1)


def on_sphere(x, k=64, bandwidth=None):
    return neighbour_laplacian(neighbour_graph(x, k, distance_on(Sphere())), 2, k, bandwidth=bandwidth)


def averages(found):
    """Return the averages of the eigenvalues 1-3, 4-8, 9-15, 16-24 over l (l + 1)."""
    return torch.stack([found.eigenvalues[j * j : (j + 1) ** 2].mean() / (j * (j + 1)) for j in range(1, 5)])


def test_sphere_whatever_the_density():
    """l (l + 1): multiplets within 2 %, and single ones within what 4000 draws scatter; the density varies by 9."""
    operator = on_sphere(draws(4000, 0.8))
    found = laplace_spectrum(operator, 25)
    assert found.converged.all()
    assert found.eigenvalues[0] == 0
    assert operator.volume == pytest.approx(4 * pi, rel=0.03)
    torch.testing.assert_close(averages(found), torch.ones(4, dtype=f64), rtol=0.02, atol=0)
    exact = torch.cat([torch.full((2 * j + 1,), float(j * (j + 1)), dtype=f64) for j in range(1, 5)])
    assert ((found.eigenvalues[1:] - exact).abs() / exact).max() < 0.15
    height = draws(4000, 0.8)[:, 2]
    inside = found.node_volumes @ (height[:, None] * found.functions[:, 1:4])
    assert inside.square().sum() == pytest.approx(4 * pi / 3, rel=0.03)


def test_volumes_of_nodes_are_those_of_the_manifold():
    """A cap of the sphere has the volume 2 pi (1 - cos), where codes are dense and where they are sparse."""
    x, operator = draws(4000, 0.8), on_sphere(draws(4000, 0.8))
    volumes = torch.as_tensor(operator.node_volumes)
    for side in (1, -1):
        assert volumes[side * x[:, 2] > 0.5].sum().item() == pytest.approx(pi, rel=0.06)


def test_a_given_bandwidth_is_coifman_and_lafons_alpha_1():
    """-log of the eigenvalues of the Markov matrix, over h^2, where the kernel is not cut: a dense reference."""
    x = draws(200, 0.5)
    h2 = 0.1
    operator = on_sphere(x, 199, bandwidth=h2**0.5)
    found = laplace_spectrum(operator, 5)
    angle = torch.acos((x @ x.T).clamp(-1, 1)).fill_diagonal_(0)
    kernel = torch.where(angle**2 <= 12 * h2, (-(angle**2) / (4 * h2)).exp(), 0).fill_diagonal_(0)
    q = kernel.sum(1)
    w = kernel / q[:, None] / q
    ratio = (1 - 4 * torch.tensor(-3.0, dtype=f64).exp()) / (1 - torch.tensor(-3.0, dtype=f64).exp())
    root = w.sum(1).rsqrt()
    values = 1 - torch.linalg.eigvalsh(root[:, None] * w * root).flip(0)[:5]
    torch.testing.assert_close(found.eigenvalues, -torch.log1p(-values) / (ratio * h2), rtol=1e-8, atol=1e-12)


def test_pulled_back_lengths_are_those_of_the_image():
    """Codes of a half sphere in stereographic coordinates, as an immersion and as a field, against angles."""
    x = draws(800, 0.5)
    x = x[x[:, 2] > 0]
    surface, z = reference.sphere(), x[:, :2] / (1 + x[:, 2:])
    exact = laplace_spectrum(on_sphere(x, 24), 6).eigenvalues
    for im, samples in ((surface.immersion, 2), (MetricField(surface.metric, 2), 2), (surface.immersion, 0)):
        found = laplace_spectrum(graph_laplacian(im, z, 24, samples=samples), 6)
        torch.testing.assert_close(found.eigenvalues, exact, rtol=0.02, atol=0)


def test_neighbours_are_those_of_the_metric():
    """Linear coordinates of a plane, however skewed, change nothing."""
    x = torch.rand(500, 2, generator=torch.Generator().manual_seed(1), dtype=f64)
    matrix = torch.tensor([[30.0, 1.0], [0.5, 0.2]], dtype=f64)
    plain = laplace_spectrum(graph_laplacian(Immersion(lambda z: z, 2), x, 16), 6)
    skewed = laplace_spectrum(graph_laplacian(Immersion(lambda z: z @ matrix, 2), x @ matrix.inverse(), 16), 6)
    torch.testing.assert_close(skewed.eigenvalues, plain.eigenvalues, rtol=1e-6, atol=0)
    torch.testing.assert_close(skewed.functions, plain.functions, rtol=1e-4, atol=1e-5)


def test_a_circle_of_one_dimension():
    """0, 1, 1, 4, 4 with lengths around a circle, given as a graph."""
    u = torch.rand(1000, generator=torch.Generator().manual_seed(2), dtype=f64)
    t = 2 * pi * u + 0.6 * (2 * pi * u).sin()
    x = torch.stack([t.cos(), t.sin()], -1)
    found = laplace_spectrum(neighbour_laplacian(neighbour_graph(x, 32, distance_on(Sphere())), 1, 32), 5)
    torch.testing.assert_close(found.eigenvalues, torch.tensor([0.0, 1, 1, 4, 4], dtype=f64), rtol=0.05, atol=0)


def test_components_are_counted_and_told(caplog):
    x = torch.cat([torch.randn(60, 2), torch.randn(50, 2) + 100]).double()
    operator = graph_laplacian(Immersion(lambda z: z, 2), x, 12)
    found = laplace_spectrum(operator, 4)
    assert "has 2 connected components" in caplog.text
    assert (found.components, found.eigenvalues[:2].tolist()) == (2, [0.0, 0.0])
    assert found.eigenvalues[2] > 0


def test_exactly_multiple_eigenvalues_are_all_found():
    """A regular circle, whose eigenvalues are double but for rounding: Lanczos' method alone misses some."""
    t = 2 * pi * torch.arange(600, dtype=f64) / 600
    x = torch.stack([t.cos(), t.sin()], -1)
    found = laplace_spectrum(neighbour_laplacian(neighbour_graph(x, 24, distance_on(Sphere())), 1, 24), 9).eigenvalues
    torch.testing.assert_close(found[1::2], found[2::2], rtol=1e-6, atol=0)
    assert log(found[3] / found[1], 2) == pytest.approx(2, abs=0.01)


def test_what_the_kernel_does_not_resolve_is_nan():
    found = laplace_spectrum(on_sphere(draws(300, 0.0), 60), 60)
    assert found.converged[:4].all()
    assert not found.converged[-1]
    assert torch.equal(found.eigenvalues.isnan(), ~found.converged)


def test_refusals():
    flat, x = Immersion(lambda z: z, 2), torch.randn(20, 2)
    with pytest.raises(ValueError, match="expected from 1 to 19 neighbours among 20 codes, got 20"):
        graph_laplacian(flat, x, 20)
    with pytest.raises(ValueError, match="expected a finite metric, got one that is not at 20 of 20 codes"):
        graph_laplacian(MetricField(lambda z: torch.eye(2).expand(len(z), 2, 2) / 0, 2), x, 4)
    with pytest.raises(TypeError, match=r"expected a whole number of neighbours, got 2\.5"):
        graph_laplacian(flat, x, 2.5)
    with pytest.raises(ValueError, match="expected a metric of full rank 2, got rank 1 at 20 of 20 codes"):
        graph_laplacian(Immersion(lambda z: z[:, :1], 2), x, 4)
    with pytest.raises(ValueError, match=r"expected a bandwidth of at most .* take more neighbours"):
        graph_laplacian(flat, x, 4, bandwidth=10.0)
    with pytest.raises(ValueError, match="got 20 of 20 codes with all 4 of them at distance 0"):
        graph_laplacian(flat, torch.zeros(20, 2), 4)
    with pytest.raises(ValueError, match="expected a graph of 2 neighbours of each code, got one with 0 of some code"):
        neighbour_laplacian(NeighbourGraph(3, torch.tensor([[0, 1]]), torch.ones(1)), 2, 2)


def test_a_triangulation_of_draws_has_no_error_of_the_density():
    """Draws of the disk, dense inside: the drum's eigenvalues without slope at the edge, zeros of J' squared."""
    u, turn = torch.rand(2, 3000, generator=torch.Generator().manual_seed(8), dtype=f64)
    edge = 2 * pi * torch.arange(240, dtype=f64) / 240
    radius, turn = torch.cat([u**0.8, torch.ones(240, dtype=f64)]), torch.cat([2 * pi * turn, edge])
    mesh = delaunay_mesh(radius[:, None] * torch.stack([turn.cos(), turn.sin()], -1))
    found = laplace_spectrum(finite_element_laplacian(Immersion(lambda z: z, 2), mesh), 6).eigenvalues
    exact = torch.tensor([0.0, *sorted([*jnp_zeros(0, 1) ** 2, *[jnp_zeros(m, 1)[0] ** 2 for m in (1, 2, 3)] * 2])[:5]])
    torch.testing.assert_close(found, exact.double(), rtol=0.02, atol=0)


def test_the_spectrum_scales_with_the_metric():
    """Whatever the unit of length: codes that are each other's last neighbours lie on the cut of the kernel."""
    z = torch.rand(120, 2, generator=torch.Generator().manual_seed(0), dtype=f64)
    whole = laplace_spectrum(graph_laplacian(Immersion(lambda z: z, 2), z, 12), 4).eigenvalues
    for scale in (1e-8, 3e-3, 1e8):
        found = laplace_spectrum(graph_laplacian(Immersion(lambda z, s=scale: s * z, 2), z, 12), 4).eigenvalues
        torch.testing.assert_close(scale**2 * found, whole, rtol=1e-9, atol=1e-9)
