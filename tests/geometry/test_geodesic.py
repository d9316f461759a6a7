"""Geodesics against exact distances: accuracy, order, gradients, and honesty about failure."""

import math

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, distance, geodesic, immersion, log_map, metric, reference
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Gaussian

f64 = torch.float64
EXACT = {name: getattr(reference, name)() for name in ("plane", "sphere", "hyperbolic", "swiss_roll")}
EXACT["sphere-3"] = reference.sphere(2.0, 3)


def ends(name, n=8):
    d = EXACT[name].immersion.dim
    if name == "swiss_roll":
        return 2 + torch.rand(2, n, d, dtype=f64)
    return 0.4 * torch.randn(2, n, d, dtype=f64)


@pytest.mark.parametrize("name", EXACT)
def test_lengths_are_exact_distances(name):
    a, b = ends(name)
    found = geodesic(EXACT[name].immersion, a, b)
    assert found.converged.all(), found.residual
    torch.testing.assert_close(found.length, EXACT[name].distance(a, b), rtol=1e-6, atol=0)
    assert torch.equal(found.points[:, 0], a)
    assert torch.equal(found.points[:, -1], b)


@pytest.mark.parametrize("name", ["sphere", "hyperbolic"])
def test_orders_of_convergence(name):
    """Length errs by n^-4, energy by n^-2."""
    a, b = torch.tensor([[-0.5, 0.1]], dtype=f64), torch.tensor([[0.6, 0.4]], dtype=f64)
    exact = EXACT[name].distance(a, b)
    found = [geodesic(EXACT[name].immersion, a, b, n + 1, tol=1e-9) for n in (8, 16)]
    length = [(g.length - exact).abs().item() for g in found]
    energy = [(g.energy - exact**2).abs().item() for g in found]
    assert math.log2(length[0] / length[1]) == pytest.approx(4, abs=0.4)
    assert math.log2(energy[0] / energy[1]) == pytest.approx(2, abs=0.2)


def test_batch_is_loop_and_chunks_are_whole():
    im = EXACT["sphere"].immersion
    a, b = ends("sphere", 6)
    whole = geodesic(im, a, b)
    torch.testing.assert_close(geodesic(im, a.view(2, 3, 2), b.view(2, 3, 2)).length, whole.length.view(2, 3))
    torch.testing.assert_close(geodesic(im, a, b, chunk_size=4).length, whole.length)
    torch.testing.assert_close(geodesic(im, a[0], b[0]).length, whole.length[0])
    torch.testing.assert_close(distance(im, b, a), whole.length)


@pytest.mark.parametrize("name", ["sphere", "hyperbolic"])
def test_gradients_of_the_distance(name):
    a, b = ends(name, 4)
    a.requires_grad_()
    b.requires_grad_()
    ours = torch.autograd.grad(distance(EXACT[name].immersion, a, b, 65).sum(), (a, b))
    theirs = torch.autograd.grad(EXACT[name].distance(a, b).sum(), (a, b))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_the_logarithm_has_the_length_of_the_distance_and_its_gradient():
    im, (a, b) = EXACT["sphere"].immersion, ends("sphere", 4)
    v, g = log_map(im, a, b, 65), metric(im, a)
    a = a.requires_grad_()
    length = EXACT["sphere"].distance(a, b)
    torch.testing.assert_close(torch.einsum("ni,nij,nj->n", v, g, v).sqrt(), length.detach(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(length.sum(), a)
    torch.testing.assert_close(
        -torch.einsum("nij,nj->ni", g, v) / length.detach()[:, None], gradient, rtol=1e-3, atol=1e-3
    )


def test_one_gaussian_is_its_closed_form_also_in_float32():
    """Mean and sigma of one Gaussian: the distance of the likelihood itself, at sigma = 0.01."""
    for dtype, rtol in ((f64, 1e-6), (torch.float32, 2e-5)):
        latent = LatentSpace(nn.Identity(), Gaussian((1,)), StandardNormal(2))
        a, b = (
            torch.tensor([[0.0, -4.6], [0.02, -4.0]], dtype=dtype),
            torch.tensor([[0.01, -4.0], [0.0, -5.0]], dtype=dtype),
        )
        found = geodesic(immersion(latent), a, b)
        assert found.converged.all()
        torch.testing.assert_close(found.length, latent.likelihood.distance(a, b), rtol=rtol, atol=0)


def test_decoders_in_float32():
    net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 50)).requires_grad_(False)
    a, b = torch.randn(2, 8, 4)
    found = geodesic(Immersion(net, 4), a, b)
    assert found.converged.all(), found.residual
    straight = torch.lerp(a[:, None], b[:, None], torch.linspace(0, 1, 33)[:, None])
    chords = net(straight).diff(dim=1).norm(dim=-1)
    assert (found.energy < 32 * chords.square().sum(-1)).all()
    exact = geodesic(Immersion(net.double(), 4), a.double(), b.double(), tol=1e-9)
    torch.testing.assert_close(found.length.double(), exact.length, rtol=1e-4, atol=0)


def test_a_curve_across_a_pole_fails_alone():
    """z -> (z, 1 / z_1) tears space apart at z_1 = 0: no curve joins its two sides."""
    im = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]], dtype=f64)
    b = torch.tensor([[2.0, 1.0], [1.0, 0.3], [0.5, 0.0]], dtype=f64)
    found = geodesic(im, a, b)
    assert found.converged.tolist() == [True, False, True]
    assert torch.isnan(distance(im, a, b)).tolist() == [False, True, False]


def test_a_degenerate_metric_fails_and_a_point_is_its_own_geodesic():
    flat = Immersion(lambda z: torch.stack([z[:, 0], z[:, 0] ** 2], -1), 2)
    a, b = torch.tensor([[0.0, 0.0]], dtype=f64), torch.tensor([[1.0, 1.0]], dtype=f64)
    assert not geodesic(flat, a, b).converged.any()
    same = geodesic(EXACT["sphere"].immersion, b, b)
    assert same.converged.all()
    assert same.length.item() == 0


REFUSALS = {
    "field": (
        lambda z: geodesic(MetricField(lambda z: torch.eye(2), 2), z, z),
        TypeError,
        "expected an Immersion, got MetricField",
    ),
    "shapes": (
        lambda z: geodesic(Immersion(torch.sin, 2), z, z[0]),
        ValueError,
        r"expected two ends of one shape and dtype, got float32 \(3, 2\) and float32 \(2,\)",
    ),
    "points": (lambda z: geodesic(Immersion(torch.sin, 2), z, z, 2), ValueError, "expected at least 3 points, got 2"),
    "initial": (
        lambda z: geodesic(Immersion(torch.sin, 2), z, z, initial=z),
        ValueError,
        r"expected initial curves \(3, 33, 2\), got \(3, 2\)",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call(torch.zeros(3, 2))
