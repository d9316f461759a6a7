"""A last linear layer made square: inner products stay, whatever follows the layer and becomes of its weights."""

import pytest
import torch
from torch import nn
from torch.func import hessian, jacfwd, vmap

from lsgen.geometry import Immersion, immersion, jet, metric, riemann, scalar_curvature, sectional_curvature, spectrum
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, SharedGaussian
from lsgen.nn import MLPDecoder

f64 = torch.float64
SHAPE = (2, 5, 4)


def mlp(outputs=40, hidden=8, dim=3):
    net = nn.Sequential(nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, outputs))
    return net.double().eval().requires_grad_(False)


def codes(dim=3):
    return torch.randn(6, dim, dtype=f64)


def pulled_back(fn, z):
    j = vmap(jacfwd(lambda u: fn(u[None]).flatten()))(z)
    return j.mT @ j


def width(im, z):
    with torch.no_grad():
        return im.expansion(z, 2, isometric=True).shape[1]


@pytest.mark.parametrize("likelihood", [FixedGaussian(SHAPE, 0.3), SharedGaussian(SHAPE, 0.7)])
@pytest.mark.parametrize("kind", ["fisher", "euclidean"])
def test_a_linear_decoder_keeps_its_geometry_in_fewer_coordinates(likelihood, kind):
    net = MLPDecoder(3, SHAPE, hidden=(9, 8), activation=nn.Tanh)
    im = immersion(LatentSpace(net, likelihood, StandardNormal(3)).double().eval().requires_grad_(False), kind)
    z = codes()
    assert width(im, z) == 8
    j, h = jet(im, z)[1:]
    assert j.shape[-1] == 40
    g = j @ j.mT
    torch.testing.assert_close(metric(im, z), g, rtol=1e-10, atol=1e-12)
    normal = h - torch.einsum("nkl,nlm,nijm,nkp->nijp", torch.linalg.inv(g), j, h, j)
    r = torch.einsum("nikm,njlm->nijkl", normal, normal)
    r = r - torch.einsum("nilm,njkm->nijkl", normal, normal)
    torch.testing.assert_close(riemann(im, z), r, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "tail",
    [
        lambda x: x,
        lambda x: 3 * x.view(-1, 2, 5, 4).permute(0, 3, 1, 2) / 7,
        lambda x: x.unflatten(1, (40, 1)).squeeze(-1),
        lambda x: torch.cat([x.reshape(len(x), 5, 8)], 1),
    ],
)
def test_what_only_rearranges_and_scales_is_seen_through(tail):
    net, z = mlp(), codes()
    im = Immersion(lambda z: tail(net(z)), 3)
    assert width(im, z) == 8
    torch.testing.assert_close(metric(im, z), pulled_back(im.fn, z), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "tail",
    [
        torch.sigmoid,
        lambda x: x * torch.arange(40.0, dtype=f64),
        lambda x: x + x.sin(),
        lambda x: x[:, ::2],
        lambda x: x.cumsum(1),
        lambda x: torch.cat([x, x], 1),
        lambda x: x.expand(3, *x.shape).movedim(0, 1),
    ],
)
def test_what_does_more_is_left_alone(tail):
    net, z = mlp(), codes()
    im = Immersion(lambda z: tail(net(z)), 3)
    assert width(im, z) == tail(net(z)).flatten(1).shape[1]
    torch.testing.assert_close(metric(im, z), pulled_back(im.fn, z), rtol=1e-10, atol=1e-12)


def test_layers_that_do_not_widen_and_signatures_are_left_alone():
    z = codes()
    assert width(Immersion(mlp(outputs=9), 3), z) == 9
    assert width(Immersion(mlp(outputs=40), 3, signature=[1.0] * 40), z) == 40
    bernoulli = LatentSpace(MLPDecoder(3, SHAPE, hidden=(8,)), Bernoulli(SHAPE), StandardNormal(3)).double().eval()
    assert width(immersion(bernoulli), z) == 40


def test_weights_that_change_in_any_way_are_followed():
    net, z = mlp(), codes()
    im, last = Immersion(net, 3), net[-1]

    def agrees():
        assert width(im, z) == 8
        torch.testing.assert_close(metric(im, z), pulled_back(net, z), rtol=1e-10, atol=1e-12)

    agrees()
    last.weight.data[3, 5] += 1e-3
    agrees()
    with torch.no_grad():
        last.weight.mul_(2)
    agrees()
    last.weight = nn.Parameter(torch.randn_like(last.weight), requires_grad=False)
    agrees()
    last.weight.data.zero_()[:, 0] = 1
    agrees()
    assert (spectrum(im, z).rank == 1).all()


def test_gradients_by_weights_are_those_of_the_whole_layer():
    net, z = mlp().requires_grad_(), codes().requires_grad_()
    im, last = Immersion(net, 3), net[-1]
    with torch.no_grad():
        metric(im, z)
    metric(im, z).log().sum().backward()
    found = last.weight.grad.clone(), z.grad.clone()
    last.weight.grad, z.grad = None, None
    pulled_back(net, z).log().sum().backward()
    torch.testing.assert_close(found[0], last.weight.grad, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(found[1], z.grad, rtol=1e-8, atol=1e-10)


def test_gradients_by_codes_go_through_the_square_layer():
    net, z = mlp(), codes().requires_grad_()
    im = Immersion(net, 3)
    assert width(im, z) == 8
    assert torch.autograd.gradcheck(lambda z: metric(im, z), (z,))
    assert torch.autograd.gradcheck(lambda z: scalar_curvature(im, z), (z,))


def test_sectional_curvature_takes_both_of_its_expansions_in_the_same_coordinates():
    net, z = mlp(), codes()
    u, v = torch.randn(2, 6, 3, dtype=f64)
    r = riemann(Immersion(lambda z: net(z) + 0 * net(z).sin(), 3), z)
    g = pulled_back(net, z)
    uu, uv, vv = (torch.einsum("ni,nij,nj->n", a, g, b) for a, b in ((u, u), (u, v), (v, v)))
    expected = torch.einsum("nijkl,ni,nj,nk,nl->n", r, u, v, u, v) / (uu * vv - uv**2)
    torch.testing.assert_close(sectional_curvature(Immersion(net, 3), z, u, v), expected, rtol=1e-8, atol=1e-10)


def test_singular_values_keep_the_precision_of_the_derivatives():
    net = mlp().float()
    with torch.no_grad():
        net[0].weight[:, 2] *= 1e-4
    z = codes()
    found = spectrum(Immersion(net, 3), z.float()).eigenvalues
    assert (spectrum(Immersion(net, 3), z.float()).rank == 3).all()
    net = net.double()
    exact = torch.linalg.svdvals(vmap(jacfwd(lambda u: net(u[None])[0]))(z)) ** 2
    torch.testing.assert_close(found.double().sqrt(), exact.sqrt(), rtol=1e-3, atol=1e-6)


def test_hessians_agree_with_automatic_differentiation():
    net, z = mlp(), codes()
    x = Immersion(net, 3).expansion(z, 2, isometric=True)
    j = vmap(jacfwd(lambda u: net(u[None])[0]))(z)
    h = vmap(hessian(lambda u: net(u[None])[0]))(z)
    i, k = torch.triu_indices(3, 3)
    whole = torch.cat([j.movedim(-1, 1), h[..., i, k].movedim(-1, 1)], 1)
    found = x.t.movedim(0, 1)
    torch.testing.assert_close(found @ found.mT, whole @ whole.mT, rtol=1e-10, atol=1e-12)
