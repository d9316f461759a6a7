"""The exponential map where coordinates and metric differ in size, against closed forms."""

import pytest
import torch
from torch import Tensor

from lsgen.geometry import MetricField, exp_map
from lsgen.latent import PoincareBall

f64 = torch.float64


def _conformal(sign: float):
    """The metric of curvature +1 or -1 in stereographic coordinates."""

    def g(z: Tensor) -> Tensor:
        factor = 2 / (1 + sign * z.square().sum(-1))
        return factor[:, None, None] ** 2 * torch.eye(2, dtype=z.dtype)

    return MetricField(g, 2)


def _shots(sign: float, radius: Tensor, length: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Codes at coordinate radii (N,) and velocities of lengths (N,) in directions of all angles."""
    n = len(radius)
    z = torch.stack([radius, torch.zeros(n, dtype=f64)], -1).to(dtype)
    angle = torch.linspace(0.1, 6.1, n, dtype=f64)
    factor = 2 / (1 + sign * z.double().square().sum(-1))
    return z, (torch.stack([angle.cos(), angle.sin()], -1) * (length / factor)[:, None]).to(dtype)


@pytest.mark.parametrize(("dtype", "far"), [(f64, 16.0), (torch.float32, 12.0)])
@pytest.mark.slow
def test_far_out_in_the_poincare_ball_ends_are_right_or_not_converged(dtype, far):
    ball, length = PoincareBall(), torch.linspace(0.5, far, 6, dtype=f64)
    z, v = _shots(-1.0, (torch.linspace(0, 11, 6, dtype=f64) / 2).tanh(), length, dtype)
    found = exp_map(_conformal(-1.0), z, v, max_steps=256)
    exact = ball.exp(z.double(), v.double())
    error = ball.distance(exact, found.point.double()) / length
    assert found.converged[:3].all()
    assert (error[found.converged] < 0.02).all()


@pytest.mark.slow
def test_symplectic_steps_that_are_too_long_have_not_converged():
    ball, length = PoincareBall(), torch.linspace(0.5, 12, 6, dtype=f64)
    z, v = _shots(-1.0, (torch.linspace(0, 11, 6, dtype=f64) / 2).tanh(), length, f64)
    found = exp_map(_conformal(-1.0), z, v, method="symplectic", steps=32)
    error = ball.distance(ball.exp(z, v), found.point) / length
    assert found.converged[:2].all()
    assert (error[found.converged] < 0.01).all()
    assert not found.converged[error > 0.1].any()
    assert (error > 0.1).any()


@pytest.mark.parametrize(("dtype", "slack"), [(f64, 1e-6), (torch.float32, 1e-2)])
@pytest.mark.slow
def test_far_from_the_pole_of_a_stereographic_sphere_errors_are_bounded_on_the_sphere(dtype, slack):
    def sphere(z: Tensor) -> Tensor:
        square = z.square().sum(-1, keepdim=True)
        return torch.cat([2 * z, square - 1], -1) / (1 + square)

    length = torch.linspace(0.5, 3, 2, dtype=f64)
    z, v = _shots(1.0, torch.full((2,), 100.0, dtype=f64), length, dtype)
    found = exp_map(_conformal(1.0), z, v)
    x, velocity = torch.func.jvp(sphere, (z.double(),), (v.double(),))
    angle = velocity.norm(dim=-1, keepdim=True)
    exact = x * angle.cos() + velocity / angle * angle.sin()
    error = (sphere(found.point.double()) - exact).norm(dim=-1)
    assert found.converged.any()
    assert (error[found.converged] < slack * length[found.converged]).all()
