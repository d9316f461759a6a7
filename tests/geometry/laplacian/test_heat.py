"""Heat kernel, diffusion distance and heat flow against closed forms on the circle's torus and the sphere."""

from itertools import pairwise
from math import pi

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre

from lsgen.geometry import Immersion
from lsgen.geometry.laplacian import (
    diffusion_distance,
    diffusion_map,
    finite_element_laplacian,
    heat_flow,
    heat_kernel,
    heat_kernel_signature,
    laplace_spectrum,
    rectangle_mesh,
    surface_laplacian,
)

f64 = torch.float64


def on_circle(x, t, length):
    """Return the heat kernel of a circle by images, (4 pi t)^-1/2 sum_m exp(-(x + m L)^2 / 4 t)."""
    turns = torch.arange(-20, 21, dtype=f64)
    return (-((x[..., None] + length * turns) ** 2) / (4 * t)).exp().sum(-1) / (4 * pi * t) ** 0.5


@pytest.fixture(scope="module")
def torus():
    mesh = rectangle_mesh((0, 0), (2 * pi, pi), (36, 18), (True, True))
    operator = finite_element_laplacian(Immersion(lambda z: z, 2), mesh)
    return mesh.points(), operator, laplace_spectrum(operator, 60)


def test_heat_kernel_of_the_flat_torus(torus):
    points, _, spectrum = torus
    t, rows = 0.3, torch.tensor([0, 123, 500])
    found = heat_kernel(spectrum, t, rows)
    step = points[rows][:, None] - points
    exact = on_circle(step[..., 0], t, 2 * pi) * on_circle(step[..., 1], t, pi)
    torch.testing.assert_close(found.value, exact, rtol=0, atol=0.02 * float(exact.max()))
    torch.testing.assert_close(found.value @ spectrum.node_volumes, torch.ones(3, dtype=f64))
    assert found.error.max() < 0.01 * exact.max()


@pytest.mark.slow
def test_truncation_error_holds_what_is_left_out(torus):
    _, operator, _ = torus
    every = laplace_spectrum(operator, len(operator.held))
    t = 0.02
    whole = heat_kernel(every, t)
    assert whole.error.max() == 0
    some = heat_kernel(laplace_spectrum(operator, 20), t)
    left_out = (some.value - whole.value).abs()
    assert (left_out <= some.error + 1e-10).all()
    assert left_out.max() > 0.1
    assert heat_kernel(laplace_spectrum(operator, 20), 2.0).error.max() < 1e-5
    near, far = diffusion_distance(laplace_spectrum(operator, 20), t), diffusion_distance(every, t)
    assert (far.value <= near.value + near.error + 1e-9).all()
    assert (near.value <= far.value + 1e-9).all()


@pytest.mark.slow
def test_sphere_by_legendre_polynomials(sphere_mesh):
    """p_t = sum_l (2 l + 1) / (4 pi) exp(-l (l + 1) t) P_l(cos)."""
    x, triangles = sphere_mesh(4)
    spectrum = laplace_spectrum(surface_laplacian(x, triangles), 36)
    t, cosine = 0.25, (x @ x[0]).numpy()
    exact = sum((2 * j + 1) / (4 * pi) * np.exp(-j * (j + 1) * t) * eval_legendre(j, cosine) for j in range(30))
    found = heat_kernel(spectrum, t, torch.tensor([0]))
    assert np.abs(found.value[0].numpy() - exact).max() < 0.01 * exact.max()
    signature = heat_kernel_signature(spectrum, torch.tensor([t, 1.0]))
    assert signature.value.shape == (2, len(x))
    assert float(signature.value[0].std() / signature.value[0].mean()) < 1e-3
    torch.testing.assert_close(signature.value[0, 0], found.value[0, 0])
    short = heat_kernel_signature(laplace_spectrum(surface_laplacian(*sphere_mesh(3)), 80), torch.tensor([0.1])).value
    assert float(short.mean()) * 4 * pi * 0.1 == pytest.approx(1 + 0.1 / 3, rel=5e-3)  # R t / 6 with R = 2


def test_diffusion_distance_is_that_of_the_kernels(torus):
    """D_t(x, y) is the L2 distance of p_t(x, .) and p_t(y, .), and the Euclidean one of the diffusion map."""
    _, operator, spectrum = torus
    t, rows = 0.2, torch.tensor([3, 77, 401])
    p = heat_kernel(spectrum, t, rows).value.numpy()
    step = p[:, None] - p
    exact = np.sqrt(np.einsum("abi,abi->ab", step, (operator.mass @ step.reshape(9, -1).T).T.reshape(step.shape)))
    found = diffusion_distance(spectrum, t, rows, rows).value
    np.testing.assert_allclose(found, exact, atol=1e-10)
    torch.testing.assert_close(torch.cdist(*[diffusion_map(spectrum, t)[rows]] * 2), found, rtol=1e-6, atol=1e-7)


def test_heat_flow_is_of_second_order_and_keeps_heat(torus):
    """cos x decays by exp(-t) on the flat torus; the time steps against the matrices' own exponential."""
    _, operator, spectrum = torus
    start, t = spectrum.functions[:, :8].sum(1), 0.7
    exact = spectrum.functions[:, :8] @ (-t * spectrum.eigenvalues[:8]).exp()
    errors = [(heat_flow(operator, start, t, steps) - exact).abs().max() for steps in (8, 16, 32)]
    assert all(3.5 < a / b < 4.5 for a, b in pairwise(errors))
    heat = spectrum.node_volumes @ heat_flow(operator, start, t, 4)
    torch.testing.assert_close(heat, spectrum.node_volumes @ start)


def test_heat_that_a_boundary_takes():
    """sin x sin y on a square of side pi, whose edge is held at 0, decays by exp(-2 t)."""
    mesh = rectangle_mesh((0, 0), (pi, pi), (40, 40))
    operator = finite_element_laplacian(Immersion(lambda z: z, 2), mesh, "dirichlet")
    u = mesh.points().sin().prod(-1)
    torch.testing.assert_close(heat_flow(operator, u, 0.5), u * np.exp(-1.0), rtol=0, atol=2e-3)


def test_heat_settles_at_its_mean_however_long_it_flows():
    operator = finite_element_laplacian(Immersion(lambda z: z, 2), rectangle_mesh((0, 0), (1, 1), (3, 3)))
    u = torch.arange(16, dtype=torch.float64)
    mean = float(operator.node_volumes @ u.numpy()) / operator.volume
    for time in (1e2, 1e12):
        torch.testing.assert_close(heat_flow(operator, u, time), torch.full_like(u, mean), rtol=1e-9, atol=0)


def test_refusals(torus):
    _, operator, spectrum = torus
    with pytest.raises(ValueError, match="expected a positive time, got 0"):
        heat_kernel(spectrum, 0)
    with pytest.raises(ValueError, match="expected numbers of nodes from 0 to 647, got 5 to 648"):
        heat_kernel(spectrum, 1.0, torch.tensor([5, 648]))
    with pytest.raises(ValueError, match=r"expected functions \(648,\) or \(648, k\), got \(3,\)"):
        heat_flow(operator, torch.ones(3), 1.0)
    with pytest.raises(ValueError, match="expected a time of at least 0, got -1"):
        diffusion_map(spectrum, -1.0)
    nothing = spectrum._replace(converged=torch.zeros(60, dtype=torch.bool))
    with pytest.raises(ValueError, match="expected a spectrum with converged eigenvalues, got one with none"):
        heat_kernel(nothing, 1.0)
