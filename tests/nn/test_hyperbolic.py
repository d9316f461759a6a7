"""Layers of codes in the Poincare ball: brute force over hyperplanes, Moebius sums in 60 digits, flat limits."""

import mpmath
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from lsgen.latent import LatentSpace, PoincareBall, RiemannianNormalPrior, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.nn import GeodesicDecoder, Gyroplanes, MLPDecoder, MobiusDecoder, MobiusLinear

f64 = torch.float64


def _foot(layer: Gyroplanes, ball: PoincareBall) -> tuple[Tensor, Tensor]:
    """Return the points p and the normals of the hyperplanes."""
    unit = torch.nn.functional.normalize(layer.weight.detach(), dim=-1)
    return ball.from_origin(layer.bias.detach()[:, None] / 2 * unit), unit


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("d", [2, 3])
def test_distance_is_the_shortest_to_any_point_of_the_hyperplane(curvature: float, d: int) -> None:
    torch.manual_seed(d)
    ball, layer = PoincareBall(curvature), Gyroplanes(d, 3, curvature).double()
    z = ball.from_origin(torch.randn(2, d, dtype=f64))
    found = layer(z).detach()
    p, normal = _foot(layer, ball)
    for k in range(3):
        frame = torch.linalg.qr(torch.cat([normal[k, :, None], torch.randn(d, d - 1, dtype=f64)], 1))[0][:, 1:]
        for n in range(2):

            def distance(t, k=k, n=n, frame=frame) -> tuple[float, list[float]]:
                along = torch.from_numpy(t).requires_grad_()
                value = ball.distance(ball.exp(p[k], frame @ along), z[n])
                return value.item(), torch.autograd.grad(value, along)[0].numpy()

            best = minimize(distance, [0.1] * (d - 1), jac=True, options={"gtol": 1e-10}).fun
            sign = (ball.log(p[k], z[n]) @ normal[k]).sign().item()
            scale = 2 * layer.weight[k].detach().norm().item()
            assert found[n, k].item() == pytest.approx(sign * scale * best, rel=1e-7, abs=1e-9)


def test_distance_is_the_formula_of_the_paper_up_to_the_boundary() -> None:
    curvature = 1.7
    torch.manual_seed(0)
    ball, layer = PoincareBall(curvature), Gyroplanes(3, 4, curvature).double()
    z = ball.from_origin(torch.tensor([[0.1, 0.2, 0.0], [3.0, -1.0, 2.0], [-8.0, 3.0, 0.5]], dtype=f64))
    p, normal = _foot(layer, ball)
    found = layer(z) / (2 * layer.weight.norm(dim=-1))
    with mpmath.workdps(60):
        for n in range(3):
            for k in range(4):
                difference = _mobius(_vector(-p[k]), _vector(z[n]), curvature)
                inner = sum(a * b for a, b in zip(difference, _vector(normal[k]), strict=True))
                gap = 1 - curvature * sum(a * a for a in difference)
                exact = mpmath.asinh(2 * mpmath.sqrt(curvature) * inner / gap) / mpmath.sqrt(curvature)
                assert found[n, k].item() == pytest.approx(float(exact), rel=1e-6)


def _vector(x: Tensor) -> list[mpmath.mpf]:
    return [mpmath.mpf(value) for value in x.tolist()]


def _mobius(x: list[mpmath.mpf], y: list[mpmath.mpf], c: float) -> list[mpmath.mpf]:
    xy, xx, yy = (sum(a * b for a, b in zip(u, v, strict=True)) for u, v in ((x, y), (x, x), (y, y)))
    below = 1 + 2 * c * xy + c * c * xx * yy
    return [((1 + 2 * c * xy + c * yy) * a + (1 - c * xx) * b) / below for a, b in zip(x, y, strict=True)]


def test_mobius_layer_is_the_map_of_ganea() -> None:
    curvature = 0.8
    torch.manual_seed(0)
    layer = MobiusLinear(2, 3, curvature).double()
    z = PoincareBall(curvature).from_origin(torch.tensor([[0.2, -0.1], [2.0, 1.0], [0.0, 0.0], [9.0, -4.0]], dtype=f64))
    found = layer(z).detach()
    with mpmath.workdps(60):
        root = mpmath.sqrt(curvature)

        def exp(v: list[mpmath.mpf]) -> list[mpmath.mpf]:
            norm = mpmath.sqrt(sum(a * a for a in v))
            return [mpmath.tanh(root * norm) * a / (root * norm) if norm else a for a in v]

        def log(v: list[mpmath.mpf]) -> list[mpmath.mpf]:
            norm = mpmath.sqrt(sum(a * a for a in v))
            return [mpmath.atanh(root * norm) * a / (root * norm) if norm else a for a in v]

        for n in range(4):
            tangent = log(_vector(z[n]))
            image = [sum(m * t for m, t in zip(_vector(row), tangent, strict=True)) for row in layer.weight]
            exact = log(_mobius(exp(image), exp(_vector(layer.bias)), curvature))
            torch.testing.assert_close(found[n], torch.tensor([float(a) for a in exact]).double(), rtol=1e-6, atol=1e-9)


def test_small_curvature_is_flat() -> None:
    torch.manual_seed(0)
    planes, mobius = Gyroplanes(3, 5, 1e-9).double(), MobiusLinear(3, 5, 1e-9).double()
    z = torch.randn(7, 3, dtype=f64)
    flat = 4 * z @ planes.weight.T - 2 * planes.weight.norm(dim=-1) * planes.bias
    torch.testing.assert_close(planes(z), flat, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(mobius(z), z @ mobius.weight.T + mobius.bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("layer", [Gyroplanes, MobiusLinear])
def test_gradients_are_exact_at_the_origin_and_near_the_boundary(layer) -> None:
    torch.manual_seed(0)
    made = layer(2, 3, 1.3).double()
    z = PoincareBall(1.3).from_origin(torch.tensor([[0.0, 0.0], [0.3, -0.2], [2.0, 1.0]], dtype=f64)).requires_grad_()
    assert torch.autograd.gradcheck(made, z[1:])
    (gradient,) = torch.autograd.grad(made(z).sum(), z)
    assert bool(gradient.isfinite().all())
    assert bool(made(torch.ones(1, 2, dtype=f64)).isnan().all())
    single = made.float()(z.detach().float())
    torch.testing.assert_close(single.double(), made.double()(z.detach()).detach(), rtol=1e-3, atol=1e-3)


def test_parts_of_another_curvature_are_refused() -> None:
    prior, likelihood = RiemannianNormalPrior(2, 0.5), FixedGaussian((4,))
    LatentSpace(GeodesicDecoder(2, (4,), 0.5), likelihood, prior)
    LatentSpace(MLPDecoder(2, (4,)), likelihood, prior)
    with pytest.raises(ValueError, match=r"expected decoder.curvature = prior.manifold.curvature = 0.5, got .* = 1.0"):
        LatentSpace(MobiusDecoder(2, (4,)), likelihood, prior)
    with pytest.raises(ValueError, match=r"prior.manifold.curvature = None, got decoder.curvature = 1.0"):
        LatentSpace(GeodesicDecoder(2, (4,)), likelihood, StandardNormal(2))
    with pytest.raises(ValueError, match="expected at least one hidden layer, the first of them hyperbolic, got none"):
        GeodesicDecoder(2, (4,), hidden=())
    with pytest.raises(ValueError, match="expected a curvature c > 0"):
        Gyroplanes(2, 4, 0)
