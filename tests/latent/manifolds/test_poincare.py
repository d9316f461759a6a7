"""The Poincare ball near its boundary against 60-digit arithmetic, and wrapped normals against quadrature."""

from math import log, pi

import mpmath
import numpy
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi
from torch import Tensor

from lsgen.latent import PoincareBall, WrappedNormalPosterior, WrappedNormalPrior
from lsgen.latent.families.wrapped_normal import WrappedNormal
from lsgen.latent.manifolds import poincare

f64 = torch.float64


def _disc(radius: float, angle: float) -> Tensor:
    """Return the point of the disc of curvature -1 at a hyperbolic radius and an angle."""
    norm = numpy.tanh(radius / 2)
    return torch.tensor([norm * numpy.cos(angle), norm * numpy.sin(angle)], dtype=f64)


def _exact_distance(x: Tensor, y: Tensor) -> mpmath.mpf:
    a, b = ([mpmath.mpf(value) for value in point.tolist()] for point in (x, y))
    gaps = (1 - sum(value**2 for value in a)) * (1 - sum(value**2 for value in b))
    return mpmath.acosh(1 + 2 * sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / gaps)


def _exact_end(x: Tensor, e: Tensor) -> list[mpmath.mpf]:
    """Return the Moebius sum of x and tanh(|e|/2) e/|e|."""
    a, v = ([mpmath.mpf(value) for value in point.tolist()] for point in (x, e))
    length = mpmath.sqrt(sum(value**2 for value in v))
    b = [mpmath.tanh(length / 2) * value / length for value in v]
    inner, a2, b2 = sum(p * q for p, q in zip(a, b, strict=True)), sum(p * p for p in a), sum(q * q for q in b)
    d = 1 + 2 * inner + a2 * b2
    return [((1 + 2 * inner + b2) * p + (1 - a2) * q) / d for p, q in zip(a, b, strict=True)]


PAIRS = [((0, 0), (3, 1)), ((8, 0), (8, 1e-3)), ((16, 0), (16, 3)), ((16, 1), (1e-3, 2)), ((16, 0), (16, pi - 1e-6))]


@pytest.mark.parametrize(("start", "end"), PAIRS)
def test_distances_and_geodesics_are_those_of_exact_arithmetic(start, end) -> None:
    with mpmath.workdps(60):
        x, y = _disc(*start), _disc(*end)
        nearest = 1 - max(x.norm().item(), y.norm().item())
        rounding = 1e-14 + 4e-16 / nearest
        exact = _exact_distance(x, y)
        assert abs(poincare.distance(x, y).item() - exact) < rounding * (1 + exact)
        e = poincare.displacement(x, y)
        assert abs(e.norm().item() - exact) < rounding * (1 + exact)
        half = _exact_end(x, e / 2)
        there, gap = poincare.exp(x, e / 2)
        middle = torch.tensor([float(value) for value in half], dtype=f64)
        assert poincare.distance(there, middle).item() < 10 * rounding * float(mpmath.exp(exact / 2))
        assert gap.item() == pytest.approx(float(1 - sum(value**2 for value in half)), rel=1e-6)
        other = poincare.exp(y, poincare.displacement(y, x) / 2)[0]
        assert poincare.distance(there, other).item() < 20 * rounding * float(mpmath.exp(exact / 2))


@pytest.mark.parametrize(("dtype", "radius"), [(torch.float32, 14.0), (torch.float64, 30.0)])
def test_geodesics_between_codes_near_the_boundary_join_them_at_constant_speed(dtype, radius) -> None:
    ball = PoincareBall(0.7)
    start, end = ((_disc(radius, angle) / 0.7**0.5).to(dtype).unsqueeze(0) for angle in (0.3, 2.8))
    path = ball.geodesic(start, end, 65)
    torch.testing.assert_close(path[:, 0], start, rtol=0, atol=2 * torch.finfo(dtype).eps)
    torch.testing.assert_close(path[:, -1], end, rtol=0, atol=2 * torch.finfo(dtype).eps)
    steps = ball.distance(path[:, :-1], path[:, 1:])[0, 12:-12]
    torch.testing.assert_close(steps, (ball.distance(start, end) / 64).expand_as(steps), rtol=1e-2, atol=0)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_beyond_the_reach_of_their_precision_are_said_to_be_lost(dtype, curvature) -> None:
    ball = PoincareBall(curvature)
    reach = ball.reach(dtype)
    assert reach * curvature**0.5 == pytest.approx({torch.float32: 24, torch.float64: 51}[dtype] * log(2), abs=1e-6)
    lengths = torch.tensor([0.0, 0.1, 0.5, 0.999, 1.001, 3.0], dtype=f64) * reach
    direction = torch.tensor([0.6, -0.8], dtype=f64)
    z = ball.from_origin((lengths[:, None] / 2 * direction).to(dtype))
    assert z.isnan().any(-1).tolist() == [False] * 4 + [True] * 2
    back = ball.distance(torch.zeros_like(z), z)[:4].double()
    torch.testing.assert_close(back[:3], lengths[:3], rtol=1e-3, atol=1e-7)
    assert back[3].item() == pytest.approx(lengths[3].item(), abs=1.5)


def test_maps_have_exact_gradients_also_at_rest() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, e = (torch.randn(4, 3, dtype=f64, generator=generator).requires_grad_() for _ in range(3))
    ball = [0.9 * point / (1 + point.norm(dim=-1, keepdim=True)) for point in (x, y)]
    assert torch.autograd.gradcheck(lambda a, b: poincare.displacement(a, b), ball)
    assert torch.autograd.gradcheck(lambda a, v: poincare.exp(a, v)[0], (ball[0], e))
    at, rest = ball[0][0].detach(), torch.zeros(3, dtype=f64)
    leave = torch.autograd.functional.jacobian(lambda v: poincare.exp(at, v)[0], rest)
    torch.testing.assert_close(leave, poincare.gap(at) / 2 * torch.eye(3, dtype=f64))
    reach = torch.autograd.functional.jacobian(lambda end: poincare.displacement(at, end), at)
    torch.testing.assert_close(reach, 2 / poincare.gap(at) * torch.eye(3, dtype=f64))


def _divergence(tangent: Tensor, log_variance: float) -> Tensor:
    """Return KL(q || p) in the disc for a prior of scale 1, by Gauss-Hermite sums and the law of cosines."""
    nodes, weights = numpy.polynomial.hermite_e.hermegauss(80)
    grid = torch.tensor(numpy.stack(numpy.meshgrid(nodes, nodes, indexing="ij"), -1)).reshape(-1, 2)
    weight = torch.tensor(numpy.outer(weights, weights)).flatten() / (2 * pi)
    v, a = numpy.exp(log_variance / 2) * grid, 2 * tangent
    length = v.norm(dim=-1)
    r = torch.acosh(torch.cosh(a) * torch.cosh(length) + torch.sinh(a) * torch.sinh(length) * v[:, 0] / length)
    own = -grid.square().sum(-1) / 2 - log_variance - torch.log(torch.sinh(length) / length)
    prior = -r.square() / 2 - torch.log(torch.sinh(r) / r)
    return (weight * (own - prior)).sum()


@pytest.mark.parametrize("radius", [1.0, 3.2, 4.0, 5.0, 6.5])
def test_divergences_and_their_gradients_are_right_up_to_the_reach_of_single_precision(radius: float) -> None:
    n = 4000
    tangent = torch.tensor(radius, dtype=f64, requires_grad=True)
    exact = _divergence(tangent, -2.0)
    (slope,) = torch.autograd.grad(exact, tangent)
    raw = torch.tensor([[radius, 0.0, -2.0, -2.0]]).expand(n, 4).clone().requires_grad_()
    torch.manual_seed(0)
    q, p = WrappedNormalPosterior()(raw), WrappedNormalPrior(2)()
    z = q.rsample()
    terms = q.log_prob(z) - p.log_prob(z)
    (slopes,) = torch.autograd.grad(terms.sum(), raw)
    for found, expected in ((terms, exact), (slopes[:, 0], slope)):
        assert found.mean().item() == pytest.approx(expected.item(), abs=5 * found.std().item() / n**0.5)


@pytest.mark.parametrize("dim", [10, 50, 100])
def test_cross_entropy_of_the_prior_with_itself_is_that_of_quadrature(dim: int) -> None:
    volume = quad(lambda r: chi.pdf(r, dim) * (r + numpy.log1p(-numpy.exp(-2 * r)) - log(2) - log(r)), 1e-9, 25)[0]
    exact = dim / 2 * log(2 * pi) + dim / 2 + (dim - 1) * volume
    torch.manual_seed(0)
    p = WrappedNormalPrior(dim)()
    found = -p.log_prob(p.sample((4000,)))
    assert found.mean().item() == pytest.approx(exact, abs=5 * found.std().item() / 4000**0.5)


def test_single_precision_codes_have_the_densities_that_double_precision_gives_them() -> None:
    torch.manual_seed(0)
    raw = torch.cat([6 * torch.nn.functional.normalize(torch.randn(50, 5), dim=-1), torch.randn(50, 5)], -1)
    single, double = WrappedNormalPosterior(0.7)(raw), WrappedNormalPosterior(0.7)(raw.double())
    z = single.sample((20,))
    torch.testing.assert_close(single.log_prob(z).double(), double.log_prob(z.double()), rtol=1e-5, atol=1e-4)


def test_what_cannot_be_represented_is_refused() -> None:
    raw = torch.tensor([[0.1, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"within 16\.6 of the origin, the reach of float32 .* puts one at 18"):
        WrappedNormalPosterior()(raw)
    q = WrappedNormalPosterior()(raw.double())
    assert bool(torch.isfinite(q.log_prob(q.sample((9,)))).all())
    for norm in (1.0, 1.5):
        with pytest.raises(ValueError, match=rf"expected centres in the ball \|z\| < 1, got {norm:g}"):
            WrappedNormal(torch.tensor([[0.1, 0.0], [0.0, norm]]), torch.ones(2, 2), PoincareBall())
    with pytest.raises(ValueError, match=r"got dim 300 and scale 1, of which one in a million lies beyond 20\.8"):
        WrappedNormalPrior(300)()
    p = WrappedNormalPrior(300).double()()
    assert bool(torch.isfinite(p.log_prob(p.sample((9,)))).all())
    assert bool(WrappedNormalPrior(2)().log_prob(torch.tensor([[1.0, 0.0], [2.0, 0.0]])).isnan().all())
    with pytest.raises(ValueError, match="expected a curvature c > 0"):
        PoincareBall(float("inf"))


def test_a_training_step_reads_nothing_from_the_device() -> None:
    """Tensors without values refuse to be read."""
    raw = torch.randn(4, 6, device="meta", requires_grad=True)
    q, p = WrappedNormalPosterior()(raw), WrappedNormalPrior(3).to("meta")()
    z = q.rsample((2,))
    (q.log_prob(z) - p.log_prob(z)).sum().backward()
    assert raw.grad is not None
