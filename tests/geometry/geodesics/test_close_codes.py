"""Geodesics between codes that rounding nearly hides: close ones, far ones, large images, and all of them at once."""

import copy

import pytest
import torch
from torch import nn

from lsgen.geometry import (
    Immersion,
    MetricField,
    distance,
    geodesic,
    immersion,
    log_map,
    metric,
    metric_field,
    reference,
)
from lsgen.geometry.geodesics.precision import computes_in_double, double_metric
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Gaussian
from lsgen.nn import MLPDecoder

f64 = torch.float64
SPHERE, TORUS = reference.sphere(), reference.torus()


def space(likelihood="bernoulli"):
    """A decoder of the plane whose outputs keep within bounds far out."""
    heads = 2 if likelihood == "gaussian" else 1
    net = nn.Sequential(MLPDecoder(2, (20,), hidden=[16], heads=heads, activation=nn.Tanh))
    return LatentSpace(net, (Gaussian if heads == 2 else Bernoulli)((20,)), StandardNormal(2)).eval()


def size(im, z, d):
    """|d|_g at codes."""
    return torch.einsum("...i,...ij,...j->...", d, metric(im, z), d).sqrt()


def agrees(im, exact, a, b, rtol=1e-3):
    """Lengths, distances and logarithms are those of exact(a, b) in float64, and all say that they converged."""
    found, d, v = geodesic(im, a, b), distance(im, a, b), log_map(im, a, b)
    true = exact(a.double(), b.double())
    assert found.converged.all()
    assert (found.rounding <= 2e-3).all()
    assert found.length.dtype == d.dtype == v.dtype == found.points.dtype == a.dtype
    torch.testing.assert_close(found.length.double(), true, rtol=rtol, atol=0)
    torch.testing.assert_close(d.double(), true, rtol=rtol, atol=0)
    assert (found.points[:, 0] == a).all()
    assert (found.points[:, -1] == b).all()
    return v


@pytest.mark.slow
@pytest.mark.parametrize("route", ["immersion", "metric"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("offset", [0.0, 10.0, 1e3])
def test_close_codes_of_a_decoder_are_as_far_apart_as_the_metric_says(likelihood, route, offset):
    torch.manual_seed(0)
    ours = space(likelihood)
    for layer in ours.decoder.modules():
        if isinstance(layer, nn.Linear) and layer.in_features == 2:
            layer.bias.data -= layer.weight.data.sum(1) * offset
    wide = immersion(copy.deepcopy(ours).double())
    im = immersion(ours) if route == "immersion" else metric_field(ours)
    exact = lambda a, b: size(wide, (a + b) / 2, b - a)
    ulp = torch.finfo(torch.float32).eps * max(offset, 1)
    for apart in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        z = torch.randn(8, 2) + offset
        b = z + max(apart, 2 * ulp) * torch.tensor([0.8, -1.0])
        v = agrees(im, exact, z, b)
        step = b.double() - z.double()
        assert (size(wide, z.double(), v.double() - step) <= 0.01 * size(wide, z.double(), step)).all()


@pytest.mark.parametrize("apart", [1e-9, 1e-11, 1e-13])
def test_close_codes_in_float64(apart):
    wide = immersion(space().double())
    z = torch.randn(8, 2, dtype=f64)
    agrees(wide, lambda a, b: size(wide, a, b - a), z, z + apart)


@pytest.mark.parametrize(("surface", "far"), [(SPHERE, 1e6), (TORUS, 1e4)], ids=["sphere", "torus"])
@pytest.mark.slow
def test_large_images_hide_nothing(surface, far):
    """The same surface a long way from the origin, whose chords float32 rounds to nothing."""
    im = Immersion(lambda z: surface.immersion.fn(z) + far, 2)
    for apart in (1.0, 1e-2, 1e-4):
        a = 0.4 * torch.randn(8, 2)
        agrees(im, surface.distance, a, a + apart * 0.4 * torch.randn(8, 2))


@pytest.mark.slow
def test_large_images_in_float64_are_measured_by_the_metric():
    im = Immersion(lambda z: SPHERE.immersion.fn(z) + 1e13, 2)
    a = 0.4 * torch.randn(4, 2, dtype=f64)
    for apart in (1.0, 1e-3, 1e-6):
        agrees(im, SPHERE.distance, a, a + apart * torch.tensor([0.3, -0.4], dtype=f64), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_map_that_knows_float32_alone():
    fn = torch.jit.trace(lambda z: SPHERE.immersion.fn(z) + torch.full((1,), 1e4), torch.zeros(2, 2))
    im, a = Immersion(fn, 2), 0.4 * torch.randn(8, 2)
    linear = Immersion(torch.jit.trace(nn.Linear(2, 3).eval(), a).eval(), 2)
    assert not computes_in_double(linear, a)
    for apart in (1.0, 1e-2, 1e-5):
        agrees(im, SPHERE.distance, a, a + apart * torch.tensor([0.4, 0.3]))
        agrees(linear, lambda x, y: size(linear, x.float(), (y - x).float()).double(), a, a + apart)


@pytest.mark.parametrize("scale", [1e-20, 1e18])
@pytest.mark.slow
def test_neither_small_nor_large_units_matter(scale):
    a = 0.4 * torch.randn(8, 2)
    small = Immersion(lambda z: SPHERE.immersion.fn(z * scale), 2)
    large = Immersion(lambda z: SPHERE.immersion.fn(z) * scale, 2)
    for apart in (0.5, 1e-4):
        b = a + apart * torch.tensor([0.6, -0.8])
        agrees(small, lambda x, y: SPHERE.distance(x * scale, y * scale), a / scale, b / scale)
        agrees(large, lambda x, y: SPHERE.distance(x, y) * scale, a, b)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_the_half_plane_at_any_distance_from_the_origin(offset):
    half = MetricField(lambda z: torch.eye(2, dtype=z.dtype) / z[:, 1, None, None] ** 2, 2)
    exact = lambda a, b: 2 * torch.asinh((a - b).norm(dim=-1) / (2 * (a[:, 1] * b[:, 1]).sqrt()))
    a = torch.rand(8, 2) + torch.tensor([offset, 1.0])
    for apart in (1.0, 1e-2, 1e-4, 1e-6):
        agrees(half, exact, a, a + apart * torch.tensor([0.6, 0.8]))


def test_a_batch_of_all_kinds():
    """Equal codes, neighbours and ordinary pairs in one batch, each as if it were alone."""
    im = SPHERE.immersion
    a = 0.4 * torch.randn(12, 2)
    apart = torch.tensor([0.0, 1e-6, 1e-4, 1e-2, 0.5, 1.0]).repeat(2)[:, None]
    b = a + apart * torch.tensor([0.6, 0.8])
    for starts in (1, 2):
        found = geodesic(im, a, b, starts=starts)
        assert found.converged.all()
        torch.testing.assert_close(found.length.double(), SPHERE.distance(a.double(), b.double()), rtol=1e-4, atol=0)
        assert (found.length[[0, 6]] == 0).all()
        assert (found.residual[[0, 6]] == 0).all()
        assert (log_map(im, a, b, starts=starts)[[0, 6]] == 0).all()
    both = distance(im, a.view(3, 4, 2), b.view(3, 4, 2))
    torch.testing.assert_close(both.flatten(), found.length, rtol=1e-4, atol=0)


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_distances_have_gradients(far):
    """In both ends and in a weight, against the closed form in float64; equal codes have slope 0."""
    weight = torch.tensor(0.8, requires_grad=True)
    im = Immersion(lambda z: SPHERE.immersion.fn(weight * z) + far, 2)
    a = 0.4 * torch.randn(8, 2)
    b = a + torch.tensor([1e-6, 1e-4, 1e-2, 0.3]).repeat(2)[:, None] * torch.tensor([0.6, -0.8])
    for x in (a, b):
        x.requires_grad_()
    exact = [x.detach().double().requires_grad_() for x in (a, b, weight)]
    found = torch.autograd.grad(distance(im, a, b).sum(), (a, b, weight))
    true = torch.autograd.grad(SPHERE.distance(exact[2] * exact[0], exact[2] * exact[1]).sum(), exact)
    for ours, theirs in zip(found, true, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-2, atol=1e-2)
    flat = a.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(distance(im, a.detach(), flat).sum(), flat)
    assert (slope == 0).all()


def test_what_even_float64_cannot_tell_is_said():
    """Neighbouring numbers at 1e16 are 2 apart, and the metric turns between them."""
    im = MetricField(lambda z: (1 + 0.9 * z.sin() ** 2)[:, :, None], 1)
    a = torch.full((3, 1), 1e16, dtype=f64)
    b = a + torch.tensor([[0.0], [2.0], [8.0]], dtype=f64)
    found = geodesic(im, a, b)
    assert found.converged.tolist() == [True, False, False]
    assert (found.rounding[1:] > 2e-3).all()
    assert distance(im, a, b).isnan().tolist() == [False, True, True]


def test_close_codes_where_the_metric_is_deficient_have_not_converged():
    im = Immersion(lambda z: torch.cat([z.sum(1, keepdim=True), 1 + z.sum(1, keepdim=True)], 1), 2)
    a = torch.randn(4, 2)
    found = geodesic(im, a, a + 1e-6)
    assert not found.converged.any()
    assert (found.residual == torch.inf).all()


def test_maps_in_float64_keep_their_weights_and_refuse_to_lose_what_they_write():
    matrix = torch.randn(2, 3)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh()).eval()

    def fresh(z):
        out = torch.zeros(len(z), 11)
        out[:, :3] = torch.sin(z.float() @ matrix)
        out[:, 3:] = net(z).to(torch.float32)
        return out

    kept = torch.zeros(8, 2)

    def stale(z):
        kept[: len(z)] = z
        return kept[: len(z)] * 2

    im, z = Immersion(fresh, 2), torch.randn(4, 2)
    assert computes_in_double(im, z)
    wide = double_metric(im)
    assert double_metric(im) is wide
    true = lambda: torch.cat([torch.sin(z.double() @ matrix.double()), copy.deepcopy(net).double()(z.double())], 1)
    torch.testing.assert_close(wide(z.double()), true(), rtol=1e-14, atol=1e-14)
    net[0].weight.data.mul_(2)
    torch.testing.assert_close(wide(z.double()), true(), rtol=1e-14, atol=1e-14)
    assert not computes_in_double(Immersion(stale, 2), z)
