"""Geodesics for codes on spheres, tori and the Poincare ball, against closed forms and charts of the same surface."""

import itertools
from math import pi

import pytest
import torch
from torch import Tensor, nn

from lsgen.geometry import (
    Immersion,
    distance,
    exp_map,
    frechet_mean,
    geodesic,
    immersion,
    log_map,
    log_volume,
    metric,
    metric_field,
    parallel_transport,
    ricci,
    scalar_curvature,
    sectional_curvature,
    spectrum,
)
from lsgen.geometry.geodesics import conjugate_radius
from lsgen.geometry.information import alpha_curvature, alpha_exp_map, statistical_manifold
from lsgen.geometry.statistics import hmc, land
from lsgen.latent import Euclidean, LatentSpace, Lorentz, Manifold, PoincareBall, Sphere, StandardNormal
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Simplex
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian
from lsgen.nn import MLPDecoder

f64 = torch.float64
SPHERE, BALL = Sphere(), PoincareBall()
TORUS = side_by_side([SPHERE, SPHERE], [2, 2])


class _PriorOn(StandardNormal):
    """A prior whose codes are said to lie on a manifold, of which geometry reads that alone."""

    def __init__(self, dim: int, manifold: Manifold) -> None:
        super().__init__(dim)
        self._manifold = manifold

    @property
    def manifold(self) -> Manifold:
        return self._manifold


class _Map(nn.Module):
    def __init__(self, fn) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, z: Tensor) -> Tensor:
        return self.fn(z)


def _space(manifold, dim, fn=lambda z: z, likelihood=None) -> LatentSpace:
    decoder = fn if isinstance(fn, nn.Module) else _Map(fn)
    likelihood = FixedGaussian((dim,)) if likelihood is None else likelihood
    return LatentSpace(decoder, likelihood, _PriorOn(dim, manifold)).to(f64).eval()


def _units(*shape: int) -> Tensor:
    return nn.functional.normalize(torch.randn(*shape, dtype=f64), dim=-1)


def _circles(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "dtype", "scale"), [(2, f64, 1.0), (4, f64, 1e-3), (4, torch.float32, 1e4), (2, torch.float32, 1e-3)]
)
def test_the_sphere_itself_has_great_circles(dim, dtype, scale):
    im = immersion(_space(SPHERE, dim, lambda z: scale * z))
    a, b = _units(5, 4, dim).to(dtype), _units(5, 4, dim).to(dtype)
    angle, slack = SPHERE.distance(a, b), 1e-5 if dtype == f64 else 1e-4
    found = geodesic(im, a, b)
    assert found.converged.all()
    torch.testing.assert_close(found.length, scale * angle, rtol=slack, atol=0)
    torch.testing.assert_close(found.points, SPHERE.geodesic(a, b, 33), rtol=0, atol=10 * slack)
    assert (found.points.norm(dim=-1) - 1).abs().max() < 4 * torch.finfo(dtype).eps
    v = SPHERE.log(a, b)
    torch.testing.assert_close(log_map(im, a, b), v, rtol=0, atol=10 * slack)
    shot = exp_map(im, a, v)
    assert shot.converged.all()
    torch.testing.assert_close(shot.point, b, rtol=0, atol=slack)
    torch.testing.assert_close(shot.velocity, -SPHERE.log(b, a), rtol=0, atol=10 * slack)


def test_the_sphere_itself_has_its_curvature_and_volume():
    for scale in (0.1, 30.0):
        im, z = immersion(_space(SPHERE, 4, lambda z, scale=scale: scale * z)), _units(6, 4)
        torch.testing.assert_close(scalar_curvature(im, z), torch.full((6,), 6 / scale**2, dtype=f64))
        u, v = (SPHERE.tangent(z, torch.randn(6, 4, dtype=f64)) for _ in range(2))
        torch.testing.assert_close(sectional_curvature(im, z, u, v), torch.full((6,), scale**-2, dtype=f64))
        torch.testing.assert_close(torch.einsum("ni,nij,nj->n", u, ricci(im, z), u), 2 * u.square().sum(-1))
        torch.testing.assert_close(torch.einsum("ni,nij,nj->n", u, metric(im, z), v), scale**2 * (u * v).sum(-1))
        torch.testing.assert_close(log_volume(im, z), torch.full((6,), 3.0, dtype=f64) * torch.tensor(scale).log())
        found = spectrum(im, z)
        torch.testing.assert_close(found.eigenvalues, torch.full((6, 3), scale**2, dtype=f64))
        torch.testing.assert_close(found.condition_number, torch.ones(6, dtype=f64))
        assert (found.rank == 3).all()


def _chart(z: Tensor) -> Tensor:
    """Return the stereographic coordinates (N, 2) of points (N, 3) of the sphere, seen from its south pole."""
    return z[..., :2] / (1 + z[..., 2:])


def _point(x: Tensor) -> Tensor:
    square = x.square().sum(-1, keepdim=True)
    return torch.cat([2 * x, 1 - square], -1) / (1 + square)


@pytest.mark.parametrize("likelihood", [Gaussian((5,)), FixedGaussian((5,))], ids=lambda x: type(x).__name__)
@pytest.mark.slow
def test_a_decoder_of_the_sphere_is_its_decoder_in_a_chart(likelihood):
    decoder = MLPDecoder(3, likelihood.shape, hidden=[12], activation=nn.Tanh, heads=likelihood.heads)
    on = immersion(_space(SPHERE, 3, decoder, likelihood))
    flat = immersion(_space(Euclidean(), 2, nn.Sequential(_Map(_point), decoder), likelihood))
    a, b = (_units(5, 3) * torch.tensor([1, 1, 0.3]) + torch.tensor([0, 0, 1.0]) for _ in range(2))
    a, b = (nn.functional.normalize(z, dim=-1) for z in (a, b))
    found, expected = geodesic(on, a, b, tol=1e-6), geodesic(flat, _chart(a), _chart(b), tol=1e-6)
    assert found.converged.all()
    torch.testing.assert_close(found.length, expected.length, rtol=1e-3, atol=0)
    torch.testing.assert_close(_chart(found.points), expected.points, rtol=0, atol=2e-2)
    assert bool((found.lower_bound <= found.length * (1 + 1e-6)).all())
    torch.testing.assert_close(scalar_curvature(on, a), scalar_curvature(flat, _chart(a)))
    v = SPHERE.tangent(a, torch.randn(5, 3, dtype=f64)) / 2
    into = torch.func.jvp(_chart, (a,), (v,))[1]
    torch.testing.assert_close(
        _chart(exp_map(on, a, v).point), exp_map(flat, _chart(a), into).point, rtol=1e-5, atol=1e-6
    )
    curve = SPHERE.geodesic(a, b, 65)
    moved, other = parallel_transport(on, curve, v)[:, -1], parallel_transport(flat, _chart(curve), into)[:, -1]
    torch.testing.assert_close(torch.func.jvp(_chart, (b,), (moved,))[1], other, rtol=1e-2, atol=1e-3)
    if not isinstance(likelihood, FixedGaussian):
        return
    field = metric_field(_space(SPHERE, 3, decoder, likelihood))
    torch.testing.assert_close(geodesic(field, a, b, tol=1e-6).length, found.length, rtol=1e-3, atol=0)
    torch.testing.assert_close(scalar_curvature(field, a), scalar_curvature(on, a), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["euclidean", "expected"])
def test_other_kinds_and_features_follow_the_sphere(kind):
    decoder = MLPDecoder(3, (5,), hidden=[8], activation=nn.Tanh, heads=2)
    im = immersion(_space(SPHERE, 3, decoder, Gaussian((5,))), kind=kind)
    h = decoder(z := _units(4, 3)).unflatten(1, (2, 5))
    flat = Immersion(lambda x: torch.cat([decoder(_point(x))[:, :5], decoder(_point(x))[:, 5:].exp()], 1), 2)
    if kind == "euclidean":
        flat = Immersion(lambda x: decoder(_point(x))[:, :5], 2)
        wide = immersion(_space(SPHERE, 3, decoder, Gaussian((5,))), kind=kind, features=_Map(lambda x: 3 * x))
        torch.testing.assert_close(wide(z)[:, :5], 3 * h[:, 0])
    torch.testing.assert_close(scalar_curvature(im, z), scalar_curvature(flat, _chart(z)))


def test_the_flat_torus_is_flat_and_wraps_around():
    im = immersion(_space(TORUS, 4, lambda z: z * torch.tensor([1, 1, 0.3, 0.3], dtype=z.dtype)))
    a, b = 2 * pi * torch.rand(2, 20, 2, dtype=f64)
    turn = torch.remainder(b - a + pi, 2 * pi) - pi
    expected = (turn * torch.tensor([1, 0.3], dtype=f64)).norm(dim=-1)
    found = geodesic(im, _circles(a), _circles(b))
    assert found.converged.all()
    torch.testing.assert_close(found.length, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(scalar_curvature(im, _circles(a)), torch.zeros(20, dtype=f64), rtol=0, atol=1e-10)
    torch.testing.assert_close(distance(im, _circles(a), _circles(a)), torch.zeros(20, dtype=f64))


@pytest.mark.slow
def test_the_shortest_of_both_ways_round_each_circle_is_found():
    """A bump stands in the shorter way round the first circle; the truth is the minimum over windings in the plane."""

    def torus(z: Tensor) -> Tensor:
        return torch.cat([z, 3 * torch.exp(-4 * (1 - z[:, :1])), torch.sin(z[:, 3:])], 1)

    im = immersion(_space(TORUS, 4, torus, FixedGaussian((6,))))
    plane = Immersion(lambda t: torus(_circles(t)), 2)
    a = torch.stack([torch.linspace(-1.4, -1.2, 6, dtype=f64), torch.linspace(-3, 3, 6, dtype=f64)], -1)
    b = torch.stack([torch.linspace(1.3, 1.5, 6, dtype=f64), torch.linspace(2.5, -2, 6, dtype=f64)], -1)
    shifts = 2 * pi * torch.tensor(list(itertools.product((-1, 0, 1), repeat=2)), dtype=f64)
    flat = geodesic(plane, a[:, None].expand(-1, 9, -1), b[:, None] + shifts)
    best = torch.where(flat.converged, flat.length, torch.inf).amin(-1)
    found = geodesic(im, _circles(a), _circles(b))
    assert found.converged.all()
    torch.testing.assert_close(found.length, best, rtol=1e-3, atol=0)
    assert bool((found.points[:, 16, 0] < 0).all())


@pytest.mark.slow
def test_codes_of_the_poincare_ball_that_parametrise_gaussians_are_hyperbolic():
    """The Cayley transform onto (mu / sqrt 2, sigma), whose Fisher-Rao metric is twice the hyperbolic one."""

    def gaussians(z: Tensor) -> Tensor:
        x, y = z.unbind(-1)
        scale = x.square() + (1 - y).square()
        return torch.stack([2**0.5 * 2 * x / scale, ((1 - x.square() - y.square()) / scale).log()], -1)

    im = immersion(_space(BALL, 2, gaussians, Gaussian((1,))))
    a, b = BALL.from_origin(1.5 * _units(2, 20, 2) * torch.rand(2, 20, 1, dtype=f64))
    found = geodesic(im, a, b)
    assert found.converged.all()
    torch.testing.assert_close(found.length, 2**0.5 * BALL.distance(a, b), rtol=1e-4, atol=0)
    torch.testing.assert_close(found.points, BALL.geodesic(a, b, 33), rtol=0, atol=1e-2)
    torch.testing.assert_close(log_map(im, a, b), BALL.log(a, b), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(exp_map(im, a, BALL.log(a, b)).point, b, rtol=0, atol=1e-6)
    torch.testing.assert_close(scalar_curvature(im, a), -torch.ones(20, dtype=f64))
    middle = frechet_mean(im, torch.stack([a, b], 1)[:4], tol=1e-4)
    assert middle.converged.all()
    torch.testing.assert_close(middle.mean, BALL.geodesic(a, b, 3)[:4, 1], rtol=0, atol=1e-3)


def test_a_curve_that_leaves_the_ball_does_not_converge():
    im = immersion(_space(BALL, 2))  # a decoder that knows nothing of the boundary: straight lines end on it
    z = torch.tensor([[0.5, 0.0], [0.0, 0.0]], dtype=f64)
    found = exp_map(im, z, torch.tensor([[0.6, 0.0], [0.6, 0.0]], dtype=f64))
    assert found.converged.tolist() == [False, True]


def test_products_mean_their_parts():
    manifold = side_by_side([Euclidean(), SPHERE, BALL], [1, 3, 2])
    im = immersion(_space(manifold, 6))
    line, ball = torch.randn(2, 10, 1, dtype=f64), BALL.from_origin(torch.randn(2, 10, 2, dtype=f64))
    a, b = torch.cat([line, _units(2, 10, 3), ball], -1)
    steps = [(line[1] - line[0]).abs()[:, 0], SPHERE.distance(a[:, 1:4], b[:, 1:4]), (ball[1] - ball[0]).norm(dim=-1)]
    expected = torch.stack(steps).norm(dim=0)
    torch.testing.assert_close(distance(im, a, b), expected, rtol=1e-5, atol=0)
    assert spectrum(im, a).eigenvalues.shape == (10, 5)
    torch.testing.assert_close(scalar_curvature(im, a), torch.full((10,), 2.0, dtype=f64))


def test_means_and_gradients_on_the_sphere():
    im = immersion(_space(SPHERE, 3))
    north = torch.tensor([0, 0, 1.0], dtype=f64)
    ring = torch.tensor([[1, 0, 0.5], [-0.5, 3**0.5 / 2, 0.5], [-0.5, -(3**0.5) / 2, 0.5]], dtype=f64)
    found = frechet_mean(im, nn.functional.normalize(ring, dim=-1)[None], tol=1e-6)
    assert found.converged.all()
    torch.testing.assert_close(found.mean[0], north, rtol=0, atol=1e-5)
    opposite = frechet_mean(im, torch.stack([north, -north])[None], tol=1e-4)  # the average of coordinates is no code
    assert SPHERE.contains(opposite.mean).all()
    a, b = _units(6, 3).requires_grad_(), _units(6, 3).requires_grad_()
    at_a, at_b = torch.autograd.grad(distance(im, a, b, tol=1e-6).sum(), (a, b))
    for z, other, found_there in ((a, b, at_a), (b, a, at_b)):
        log = SPHERE.log(z, other).detach()
        torch.testing.assert_close(found_there, -log / log.norm(dim=-1, keepdim=True), rtol=0, atol=3e-3)


def test_antipodes_have_a_geodesic_of_the_right_length():
    im = immersion(_space(SPHERE, 3))
    a = torch.cat([_units(5, 3), torch.eye(3, dtype=f64)])
    found = geodesic(im, a, -a)
    assert found.converged.all()
    torch.testing.assert_close(found.length, torch.full((8,), pi, dtype=f64), rtol=1e-5, atol=0)


@pytest.mark.slow
def test_alpha_curvature_of_a_sphere_is_that_of_its_chart():
    likelihood = Bernoulli((5,))
    decoder = MLPDecoder(3, likelihood.shape, hidden=[8], activation=nn.Tanh)
    on, z = statistical_manifold(_space(SPHERE, 3, decoder, likelihood)), _units(4, 3)
    flat = statistical_manifold(_space(Euclidean(), 2, nn.Sequential(_Map(_point), decoder), likelihood))
    j = torch.func.vmap(torch.func.jacfwd(_point))(_chart(z))
    pulled = torch.einsum("nijkl,nia,njb,nkc,nld->nabcd", alpha_curvature(on, z, 0.5), j, j, j, j)
    torch.testing.assert_close(pulled, alpha_curvature(flat, _chart(z), 0.5), rtol=1e-6, atol=1e-9)
    v = SPHERE.tangent(z, torch.randn(4, 3, dtype=f64)) / 3
    into = torch.func.jvp(_chart, (z,), (v,))[1]
    ends = alpha_exp_map(on, z, v, 1.0), alpha_exp_map(flat, _chart(z), into, 1.0)
    both = ends[0].converged & ends[1].converged
    torch.testing.assert_close(_chart(ends[0].point)[both], ends[1].point[both], rtol=1e-5, atol=1e-6)
    assert both.any()


def test_shapes_and_transforms():
    on, torus = immersion(_space(SPHERE, 3)), immersion(_space(TORUS, 4))
    a, b = _units(2, 3)
    assert geodesic(on, a[None][:0], b[None][:0]).points.shape == (0, 33, 3)
    assert geodesic(on, a.expand(2, 1, 3), b.expand(2, 1, 3)).points.shape == (2, 1, 33, 3)
    log = SPHERE.log(a, b)
    slope = torch.func.grad(lambda z: distance(on, z, b))(a)
    torch.testing.assert_close(slope, -log / log.norm(), rtol=0, atol=3e-3)
    one, two = _circles(torch.tensor([0.2, 3.0], dtype=f64)), _circles(torch.tensor([1.2, 4.0], dtype=f64))
    slope = torch.func.grad(lambda z: distance(torus, z, two))(one)
    direction = torch.func.jvp(_circles, (torch.tensor([0.2, 3.0], dtype=f64),), (torch.ones(2, dtype=f64),))[1]
    torch.testing.assert_close(slope, -direction / 2**0.5, rtol=0, atol=3e-3)
    torch.testing.assert_close(
        torch.vmap(lambda z: scalar_curvature(on, z))(_units(3, 3)), torch.full((3,), 2.0, dtype=f64)
    )


def test_what_does_not_lie_on_the_manifold_is_refused():
    im, z = immersion(_space(SPHERE, 3)), _units(2, 3)
    with pytest.raises(ValueError, match=r"expected codes on Sphere\(\), got 1 of 2 that are not"):
        geodesic(im, z * torch.tensor([[1.0], [2.0]]), z)
    with pytest.raises(ValueError, match=r"expected codes on PoincareBall\(1\.0\), got 2 of 2"):
        geodesic(immersion(_space(BALL, 3)), z, z)
    with pytest.raises(ValueError, match=r"expected tangent vectors of Sphere\(\), got 2 of 2 that leave it"):
        exp_map(im, z, z)
    with pytest.raises(TypeError, match=r"expected codes that fill flat space, got those of Simplex\(3\)"):
        geodesic(immersion(_space(Simplex(3), 3)), torch.eye(3, dtype=f64)[:2], torch.eye(3, dtype=f64)[1:])
    with pytest.raises(TypeError, match=r"got those of Sphere\(\), which a plane leaves"):
        im.restrict(torch.zeros(3), torch.eye(3)[:2])
    for call in (lambda: hmc(im, None, z, 1), lambda: land(im, _units(9, 3), 1), lambda: conjugate_radius(im, z, 4.0)):
        with pytest.raises(TypeError, match=r"fill flat space, got those of Sphere\(\)"):
            call()


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_the_hyperboloid_has_the_geometry_of_the_ball(c):
    """A decoder of the ball, read through the isometry, has the same geodesics, curvature and volume."""
    lorentz = Lorentz(c)
    torch.manual_seed(0)
    decoder = MLPDecoder(2, (4,), (8,), nn.Tanh).to(f64)
    flat = immersion(_space(lorentz.ball, 2, decoder, Bernoulli((4,))))
    im = immersion(_space(lorentz, 3, lambda z: decoder(lorentz.to_ball(z)), Bernoulli((4,))))
    x = lorentz.ball.from_origin(torch.tensor([[0.3, -0.2], [-0.8, 0.5], [0.1, 1.2]], dtype=f64))
    z = lorentz.from_ball(x)
    torch.testing.assert_close(scalar_curvature(im, z), scalar_curvature(flat, x), rtol=1e-6, atol=0)
    torch.testing.assert_close(distance(im, z, z.roll(1, 0)), distance(flat, x, x.roll(1, 0)), rtol=1e-4, atol=0)
    hyperbolic = log_volume(flat, x) - 2 * lorentz.ball.conformal_factor(x)[:, 0].log()
    torch.testing.assert_close(log_volume(im, z), hyperbolic - (c**0.5 * z[:, 0]).log())
    u = lorentz.tangent(z, torch.randn(3, 3, dtype=f64))
    along = torch.einsum("ni,nij,nj->n", u, metric(im, z), u)
    moved = lorentz.to_ball(lorentz.exp(z, 1e-6 * u)) - x
    near = torch.einsum("ni,nij,nj->n", moved, metric(flat, x), moved) * 1e12
    torch.testing.assert_close(along, near, rtol=1e-4, atol=0)
    assert (spectrum(im, z).rank == 2).all()
