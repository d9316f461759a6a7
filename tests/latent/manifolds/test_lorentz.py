"""The Lorentz model against the ball, geoopt and exact arithmetic, near and far from the origin."""

from collections.abc import Callable
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from lsgen.latent import Codes, Lorentz, Sphere
from lsgen.latent.distances import HyperboloidDistance, distance_on
from lsgen.latent.manifolds import hyperboloid
from lsgen.latent.manifolds.product_manifolds import side_by_side

f64 = torch.float64
CURVATURES = [0.1, 1.0, 10.0]


def _points(c: float, n: int, reach: float = 3.0, seed: int = 0, d: int = 3) -> Tensor:
    """Return points at up to a distance, in units of the radius of curvature, from the origin."""
    source = torch.Generator().manual_seed(seed)
    u = torch.nn.functional.normalize(torch.randn(n, d, dtype=f64, generator=source), dim=-1)
    rho = reach * torch.rand(n, 1, dtype=f64, generator=source)
    return torch.cat([rho.cosh(), rho.sinh() * u], -1) / c**0.5


def _minkowski(a: Tensor, b: Tensor) -> Tensor:
    return (a[..., 1:] * b[..., 1:]).sum(-1) - a[..., 0] * b[..., 0]


def _derivative(fn: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Return the derivative of a map at points along vectors, by two reverse passes."""
    x = x.clone().requires_grad_()
    made = fn(x)
    weights = torch.zeros_like(made).requires_grad_()
    (pulled,) = torch.autograd.grad(made, x, weights, create_graph=True)
    return torch.autograd.grad(pulled, weights, v)[0]


def _exactly(x: Tensor, y: Tensor) -> float:
    """Return arcosh(-<X, Y>_L) of points with space coordinates (d,), by a hundred decimals."""
    with localcontext() as context:
        context.prec = 100
        a, b = ([Decimal(float(one)) for one in part] for part in (x, y))
        time, other = ((1 + sum(one * one for one in part)).sqrt() for part in (a, b))
        cosine = time * other - sum(one * two for one, two in zip(a, b, strict=True))
        return float((cosine + (cosine * cosine - 1).sqrt()).ln())


@pytest.mark.parametrize("c", CURVATURES)
def test_the_isometry_takes_every_map_to_that_of_the_ball(c: float) -> None:
    space, a, b = Lorentz(c), _points(c, 6), _points(c, 6, seed=1)
    x, y = space.to_ball(a), space.to_ball(b)
    torch.testing.assert_close(space.from_ball(x), a)
    torch.testing.assert_close(_minkowski(a, a), torch.full((6,), -1 / c, dtype=f64))
    torch.testing.assert_close(space.distance(a, b), space.ball.distance(x, y))
    torch.testing.assert_close(space.to_ball(space.geodesic(a, b, 7)), space.ball.geodesic(x, y, 7))
    v = space.ball.log(x, y)
    pushed = _derivative(space.from_ball, x, v)
    torch.testing.assert_close(space.log(a, b), pushed)
    torch.testing.assert_close(space.to_ball(space.exp(a, pushed)), y)
    torch.testing.assert_close(_minkowski(pushed, pushed).sqrt(), space.distance(a, b))
    torch.testing.assert_close(space.displacement(a, b)[:, 1:], space.ball.displacement(x, y))
    shifted = space.shift(a, space.displacement(a, b))
    torch.testing.assert_close(shifted, b)
    factors = torch.linspace(0.5, 1.5, 3, dtype=f64)
    grown = space.scaled(a, torch.cat([torch.ones(1, dtype=f64), factors]))
    torch.testing.assert_close(space.to_ball(grown), space.ball.scaled(x, factors))


@pytest.mark.parametrize("c", CURVATURES)
def test_geoopt_has_the_same_maps(c: float) -> None:
    other = pytest.importorskip("geoopt").manifolds.Lorentz(k=1 / c)
    space, a, b = Lorentz(c), _points(c, 6), _points(c, 6, seed=1)
    torch.testing.assert_close(space.distance(a, b), other.dist(a, b))
    torch.testing.assert_close(space.log(a, b), other.logmap(a, b))
    half = other.expmap(a, other.logmap(a, b) / 2)  # its exponential map loses digits
    torch.testing.assert_close(space.exp(a, space.log(a, b) / 2), half, rtol=1e-5, atol=1e-5)
    g = torch.randn(6, 4, dtype=f64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(space.gradient(a, g), other.egrad2rgrad(a, g))
    torch.testing.assert_close(space.onto(2 * a + 1)[..., 1:], (2 * a + 1)[..., 1:])
    e = torch.cat([torch.zeros(6, 1, dtype=f64), g[:, 1:]], -1)
    torch.testing.assert_close(space.shift(a, e), other.expmap(a, other.transp0(a, e)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("apart", [1e-12, 1e-7, 1e-2, 1.0])
@pytest.mark.parametrize("far", [0.0, 1e-8, 1.0, 8.0, 16.0])
def test_distances_keep_the_digits_of_coordinates(far: float, apart: float) -> None:
    """Rounding S across the direction of a point, and D along it, moves it by eps S and eps D/S."""
    along, across = torch.tensor([0.6, 0.8], dtype=f64), torch.tensor([-0.8, 0.6], dtype=f64)
    x = torch.sinh(torch.tensor(far, dtype=f64)) * along
    scale = torch.cosh(torch.tensor(far, dtype=f64))
    for y in (x + apart * scale * along, x + apart * across, x + apart * (across - scale * along), -x - apart * along):
        found = 2 * torch.asinh(hyperboloid.chord(x, y) / 2).item()
        assert found == pytest.approx(_exactly(x, y), rel=8 * 2.3e-16 * float(scale), abs=1e-300)
        torch.testing.assert_close(hyperboloid.chord(y, x), hyperboloid.chord(x, y), rtol=1e-9, atol=0)


def test_the_distance_from_the_origin_is_exact_up_to_the_last_code() -> None:
    rho = torch.tensor([1e-100, 1e-9, 1.0, 30.0, 35.0], dtype=f64)
    z = torch.stack([rho.cosh(), rho.sinh(), torch.zeros(5, dtype=f64)], -1)
    origin = torch.tensor([1.0, 0.0, 0.0], dtype=f64)
    torch.testing.assert_close(Lorentz().distance(origin, z), rho, rtol=1e-14, atol=0)
    back = Lorentz().exp(origin, Lorentz().log(origin.expand(5, 3), z))
    torch.testing.assert_close(back, z, rtol=1e-12, atol=0)
    for dtype, reach in ((f64, 35.3), (torch.float32, 16.6)):
        v = torch.tensor([[0.0, reach, 0.0], [0.0, reach + 0.1, 0.0]], dtype=dtype)
        assert Lorentz().exp(origin.to(dtype).expand(2, 3), v).isnan().all(-1).tolist() == [False, True]


def test_gradients_are_exact_and_finite_where_points_coincide() -> None:
    x, y = (_points(1.0, 4, 4.0, seed)[:, 1:].requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(hyperboloid.chord, (x, y))
    assert torch.autograd.gradcheck(hyperboloid.log, (x, y))
    z = _points(2.0, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(Lorentz(2.0).distance(z, z.detach()).sum(), z)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=0)


@pytest.mark.parametrize("c", CURVATURES)
def test_the_gradient_is_the_direction_in_which_a_function_grows(c: float) -> None:
    space, a, b = Lorentz(c), _points(c, 5).requires_grad_(), _points(c, 5, seed=1)
    (g,) = torch.autograd.grad(space.distance(a, b).sum(), a)
    rise = space.gradient(a.detach(), g)
    torch.testing.assert_close(rise, -space.log(a.detach(), b) / space.distance(a.detach(), b)[:, None])
    axis = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=f64)
    unit = space.direction(a.detach(), axis)
    torch.testing.assert_close(_minkowski(unit, unit), torch.ones(5, dtype=f64))
    torch.testing.assert_close(_minkowski(unit, a.detach()), torch.zeros(5, dtype=f64), rtol=0, atol=1e-10)
    steps = space.traversal(a.detach(), torch.tensor([2]), torch.tensor([-0.5, 0.0, 0.5]))[:, 0]
    moved = space.distance(a.detach()[:, None].expand_as(steps), steps)
    torch.testing.assert_close(moved, torch.tensor([0.5, 0.0, 0.5], dtype=f64).expand(5, 3), rtol=1e-9, atol=1e-9)
    assert all(bool((low[..., 2] < high[..., 2]).all()) for low, high in pairwise(steps.unbind(1)))
    origin = space.onto(torch.zeros(1, 4, dtype=f64))
    time = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=f64)
    assert torch.equal(space.direction(origin, time), torch.zeros(1, 4, dtype=f64))


def test_what_lies_near_is_taken_onto_it_smoothly() -> None:
    space, z = Lorentz(2.0), _points(2.0, 5)
    later = z + torch.tensor([0.3, 0.0, 0.0, 0.0], dtype=f64)
    torch.testing.assert_close(space.retraction(later), z)
    torch.testing.assert_close(space.normal_coordinates(later), torch.full((5, 1), 0.3, dtype=f64))
    v = torch.randn(5, 4, dtype=f64, generator=torch.Generator().manual_seed(0))
    tangent = space.tangent(z, v)
    torch.testing.assert_close(_derivative(space.retraction, z, v), tangent)
    torch.testing.assert_close(_minkowski(z, tangent), torch.zeros(5, dtype=f64), rtol=0, atol=1e-12)
    torch.testing.assert_close(space.tangent(z, tangent), tangent)


def test_points_are_on_it_up_to_rounding() -> None:
    space, z = Lorentz(0.5), _points(0.5, 4, 12.0)
    for dtype in (f64, torch.float32):
        assert bool(space.contains(z.to(dtype)).all())
        assert not bool(space.contains(-z.to(dtype)).any())
        assert not bool(space.contains(1.01 * _points(0.5, 4).to(dtype)).any())
    assert not bool(space.contains(torch.full((1, 3), torch.nan, dtype=f64)))
    raw = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    made = space.parametrised(raw)
    assert bool(space.contains(made).all())
    origin = space.onto(torch.zeros(6, 4))
    torch.testing.assert_close(space.distance(origin, made), raw[:, 1:].norm(dim=-1))
    (gradient,) = torch.autograd.grad(made.sum(), raw)
    assert torch.equal(gradient[:, 0], torch.zeros(6))


@pytest.mark.parametrize("c", CURVATURES)
def test_neighbours_are_searched_by_the_same_distance(c: float) -> None:
    a, b = _points(c, 5, 6.0), _points(c, 5, 6.0, seed=1)
    measure = distance_on(Lorentz(c))
    assert measure == HyperboloidDistance(c)
    torch.testing.assert_close(measure.between(measure.features(a), measure.features(b)), Lorentz(c).distance(a, b))


def test_products_with_it_have_the_maps_of_the_parts() -> None:
    both = side_by_side([Lorentz(2.0), Sphere()], [4, 3])
    angles = torch.nn.functional.normalize(torch.randn(2, 5, 3, dtype=f64), dim=-1)
    a, b = (torch.cat([_points(2.0, 5, seed=i), angles[i]], -1) for i in (0, 1))
    torch.testing.assert_close(both.shift(a, both.displacement(a, b)), b)
    torch.testing.assert_close(both.displacement(a, b).norm(dim=-1), both.distance(a, b))
    z = a.clone().requires_grad_()
    (g,) = torch.autograd.grad(both.distance(z, b).sum(), z)
    rise = both.gradient(a, g)
    torch.testing.assert_close(rise, -both.log(a, b) / both.distance(a, b)[:, None])


def test_other_points_and_curvatures_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a curvature c > 0"):
        Lorentz(0.0)
    with pytest.raises(ValueError, match=r"expected codes on Lorentz\(1.0\), got one that is not in row 0"):
        Codes(torch.ones(1, 3), manifold=Lorentz())
