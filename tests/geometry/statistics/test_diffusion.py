"""Brownian motion against the eigenfunctions of the Laplacian: coordinates of the sphere decay as exp(-n t / 2)."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, metric, reference
from lsgen.geometry.metric_tensor import orthonormal_frames
from lsgen.geometry.statistics import brownian_motion, diffusion

f64 = torch.float64


def bent_segments(n):
    """The sphere of dimension n in coordinates that are neither conformal nor harmonic, so that the drift matters."""
    unit = reference.sphere(1.0, n)

    def fn(z):
        return unit.immersion.fn(torch.cat([z[:, :1] + 0.4 * z[:, 1:2].square(), z[:, 1:]], -1))

    return Immersion(fn, n)


@pytest.mark.parametrize("method", ["euler", "geodesic"])
def test_the_angle_on_the_sphere_decays_exponentially(method):
    """E cos(theta) = e^{-t} on S^2, from any start and in any coordinates."""
    paths, steps = (4000, 20) if method == "euler" else (300, 3)
    im, t = bent_segments(2), 0.4
    start = torch.tensor([0.1, 0.2], dtype=f64).expand(paths, 2)
    found = brownian_motion(im, start, t, steps, method=method)
    assert found.finite.all()
    cosine = im(found.points[:, -1]) @ im(start[0])
    assert abs(cosine.mean() - math.exp(-t)) < 4 * cosine.std() / paths**0.5 + 0.5 * t / steps
    assert found.times[-1] == t


def averaged(im, z, t):
    """E f(z(t)) over one Euler step, exactly: the mean over nodes of Gauss' quadrature in every direction of noise."""
    nodes = torch.tensor([-math.sqrt(3), 0.0, math.sqrt(3)], dtype=f64)
    weights = torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=f64)
    grid = torch.cartesian_prod(nodes, nodes, nodes)
    share = torch.cartesian_prod(weights, weights, weights).prod(-1)
    after = diffusion.euler_step(im, z.expand(27, 3), t, grid, None)
    return (share[:, None] * im(after)).sum(0)


def test_one_step_has_the_generator_of_the_laplacian():
    """E f(z_dt) = (1 - n dt / 2) f(z) + O(dt^2) for the coordinates f of S^3: the error falls by 4 when dt halves."""
    im, z = bent_segments(3), torch.tensor([0.2, -0.3, 0.1], dtype=f64)
    errors = [(averaged(im, z, t) - (1 - 1.5 * t) * im(z)).norm().item() for t in (0.004, 0.002)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_frames_are_orthonormal_and_the_metric_alone_suffices():
    im, z = bent_segments(3), 0.3 * torch.randn(5, 3, dtype=f64)
    frame = orthonormal_frames(im, z)
    torch.testing.assert_close(frame.mT @ metric(im, z) @ frame, torch.eye(3, dtype=f64).expand(5, 3, 3))
    flat = MetricField(lambda z: 4 * torch.eye(2).to(z).expand(len(z), 2, 2), 2)
    ends = brownian_motion(flat, torch.zeros(4000, 2, dtype=f64), 2.0, 1).points[:, -1]
    torch.testing.assert_close(ends.T.cov(), 0.5 * torch.eye(2, dtype=f64), rtol=0, atol=0.06)


def test_paths_that_leave_the_space_end_alone():
    """The rank is lost where z_1 <= 0: the first coordinate of the image is constant there."""
    im = Immersion(lambda z: torch.stack([torch.where(z[:, 0] > 0, z[:, 0], 0), z[:, 1]], -1), 2)
    start = torch.tensor([[0.01, 0.0], [50.0, 0.0]], dtype=f64).repeat(20, 1)
    found = brownian_motion(im, start, 1.0, 8)
    assert found.finite[1::2].all()
    assert not found.finite[::2].all()
    assert torch.equal(torch.isfinite(found.points[:, -1]).all(-1), found.finite)
    torch.testing.assert_close(found.points[:, 0], start)


REFUSALS = {
    "method": (
        lambda im, z: brownian_motion(im, z, 1.0, 4, method="milstein"),
        'expected method "euler" or "geodesic"',
    ),
    "time": (
        lambda im, z: brownian_motion(im, z, -1.0, 4),
        "expected a positive time and at least 1 step, got -1.0 and 4",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, sentence = REFUSALS[name]
    with pytest.raises(ValueError, match=sentence):
        call(Immersion(torch.sin, 2), torch.zeros(3, 2))
