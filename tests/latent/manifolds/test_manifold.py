"""Geodesics of the latent manifolds, and the wrapped normal distribution."""

import pytest
import torch
from torch import Tensor

from lsgen.latent import (
    Euclidean,
    HypersphericalUniform,
    Manifold,
    PoincareBall,
    Sphere,
    StandardNormal,
    WrappedNormalPosterior,
    WrappedNormalPrior,
    paths,
)
from lsgen.latent.families.wrapped_normal import WrappedNormal

MANIFOLDS = [Euclidean(), Sphere(), PoincareBall(1.3)]


def _points(manifold: Manifold, n: int, d: int = 3, seed: int = 0) -> Tensor:
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    if isinstance(manifold, Sphere):
        return torch.nn.functional.normalize(x, dim=-1)
    if isinstance(manifold, PoincareBall):
        return 0.6 * x / (1 + x.norm(dim=-1, keepdim=True))
    return x


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=lambda m: type(m).__name__)
def test_logarithm_undoes_the_exponential(manifold: Manifold) -> None:
    z, other = _points(manifold, 5), _points(manifold, 5, seed=1)
    torch.testing.assert_close(manifold.exp(z, manifold.log(z, other)), other)
    torch.testing.assert_close(manifold.distance(z, other), manifold.distance(other, z))


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=lambda m: type(m).__name__)
def test_geodesics_join_their_ends_at_constant_speed(manifold: Manifold) -> None:
    z, other = _points(manifold, 5), _points(manifold, 5, seed=1)
    path = manifold.geodesic(z, other, 9)
    assert path.shape == (5, 9, 3)
    torch.testing.assert_close(path[:, 0], z)
    torch.testing.assert_close(path[:, -1], other)
    steps = manifold.distance(path[:, :-1], path[:, 1:])
    torch.testing.assert_close(steps, (manifold.distance(z, other) / 8).unsqueeze(1).expand(5, 8))


@pytest.mark.parametrize("manifold", [Sphere(), PoincareBall(1.3)], ids=lambda m: type(m).__name__)
def test_traversals_leave_the_anchor_by_the_stated_distance(manifold: Manifold) -> None:
    anchor, values = _points(manifold, 4), torch.tensor([-0.7, 0.0, 0.4])
    codes = manifold.traversal(anchor, torch.tensor([2, 0]), values)
    assert codes.shape == (4, 2, 3, 3)
    moved = manifold.distance(anchor[:, None, None].expand_as(codes), codes)
    torch.testing.assert_close(moved, values.double().abs().expand(4, 2, 3), rtol=1e-6, atol=1e-7)
    assert bool((codes[:, 0, 2, 2] > anchor[:, 2]).all())
    assert bool((codes[:, 1, 0, 0] < anchor[:, 0]).all())


def test_flat_space_keeps_the_usual_paths() -> None:
    a, b = _points(Euclidean(), 2), _points(Euclidean(), 2, seed=1)
    torch.testing.assert_close(Euclidean().geodesic(a, b, 4), paths.linear(a, b, 4))
    axes, values = torch.tensor([1]), torch.tensor([-1.0, 2.0])
    torch.testing.assert_close(Euclidean().traversal(a, axes, values), paths.axis_traversal(a, axes, values))


def test_great_circles_agree_with_spherical_interpolation() -> None:
    a, b = _points(Sphere(), 5), _points(Sphere(), 5, seed=1)
    torch.testing.assert_close(Sphere().geodesic(a, b, 7), paths.slerp(a, b, 7))
    torch.testing.assert_close(Sphere().exp(a, torch.zeros_like(a)), a)


def test_hyperbolic_distance_from_the_origin_is_elementary() -> None:
    c = 1.3
    z = _points(PoincareBall(c), 5)
    expected = 2 / c**0.5 * torch.atanh(c**0.5 * z.norm(dim=-1))
    torch.testing.assert_close(PoincareBall(c).distance(torch.zeros_like(z), z), expected)


def test_priors_know_their_manifold() -> None:
    assert isinstance(StandardNormal(2).manifold, Euclidean)
    assert isinstance(HypersphericalUniform(3).manifold, Sphere)
    assert isinstance(WrappedNormalPrior(2).manifold, PoincareBall)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])
def test_wrapped_normal_integrates_to_one_over_the_ball(curvature: float) -> None:
    ball = PoincareBall(curvature)
    mean = torch.tensor([0.3, -0.2], dtype=torch.float64) / curvature**0.5
    q = WrappedNormal(mean, torch.tensor([0.5, 0.8], dtype=torch.float64), ball)
    r = torch.linspace(0, 9, 1201, dtype=torch.float64)[1:]
    angle = torch.arange(240, dtype=torch.float64) * (2 * torch.pi / 240)
    unit = torch.stack([angle.cos(), angle.sin()], -1)
    z = ball.exp(mean.expand(len(r), 240, 2), r[:, None, None] * unit / ball.conformal_factor(mean))
    root = curvature**0.5
    area = torch.sinh(root * r) / root
    density = q.log_prob(z).exp().mean(1) * 2 * torch.pi * area
    assert torch.trapezoid(density, r).item() == pytest.approx(1, abs=2e-3)


def test_wrapped_normal_integrates_to_one_over_a_plain_grid() -> None:
    """The volume element in the coordinates of the ball is lambda^d, whatever the centre."""
    ball = PoincareBall(1.0)
    q = WrappedNormal(torch.tensor([0.4, 0.1]).double(), torch.tensor([0.4, 0.4]).double(), ball)
    side = torch.linspace(-0.999, 0.999, 801, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).flatten(0, 1)
    z = z[z.norm(dim=-1) < 0.998]
    total = (q.log_prob(z).exp() * ball.conformal_factor(z)[:, 0] ** 2).sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=5e-3)


def test_samples_have_the_tangent_normal_behind_them() -> None:
    ball = PoincareBall(1.3)
    mean, scale = torch.tensor([0.3, -0.2]).double(), torch.tensor([0.5, 0.2]).double()
    torch.manual_seed(0)
    z = WrappedNormal(mean, scale, ball).sample((20_000,))
    v = ball.conformal_factor(mean) * ball.log(mean.expand_as(z), z)
    assert bool((v.mean(0).abs() < 5 * scale / 20_000**0.5).all())
    assert bool((v.std(0) / scale - 1).abs().max() < 5 / 40_000**0.5)


def test_flat_limit_is_the_normal_distribution_of_doubled_coordinates() -> None:
    """lambda(0) = 2: near the origin hyperbolic length is twice the Euclidean one."""
    q = WrappedNormal(torch.zeros(2).double(), torch.tensor([0.5, 0.8]).double(), PoincareBall(1e-6))
    z = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    expected = torch.distributions.Normal(0.0, torch.tensor([0.5, 0.8]).double()).log_prob(2 * z).sum(-1)
    torch.testing.assert_close(q.log_prob(z), expected, rtol=1e-5, atol=1e-5)


def test_reparameterised_gradients_reach_centre_and_scale() -> None:
    raw = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    q = WrappedNormalPosterior(1.3)(raw)
    p = WrappedNormalPrior(2, curvature=1.3).double()()
    z = q.rsample()
    (gradient,) = torch.autograd.grad((q.log_prob(z) - p.log_prob(z)).sum(), raw)
    assert bool((torch.isfinite(gradient) & (gradient != 0)).all())
    centre = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    (at_own,) = torch.autograd.grad(p.log_prob(centre).sum(), centre)
    torch.testing.assert_close(at_own, torch.zeros_like(at_own))


def test_impossible_curvatures_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a curvature c > 0"):
        PoincareBall(0.0)
    with pytest.raises(ValueError, match="expected a scale > 0, got -1"):
        WrappedNormalPrior(2, scale=-1)
