"""Curvature in an orthonormal frame: closed forms, contractions of the Riemann tensor, and every transform."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from lsgen.geometry import (
    HessianMetric,
    Immersion,
    chunks,
    embedded,
    immersion,
    mean_curvature,
    metric,
    ricci,
    riemann,
    scalar_curvature,
)
from lsgen.geometry.curvature import extrinsic, second_fundamental_form, volume_and_curvature
from lsgen.geometry.jets import propagate
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian
from lsgen.nn import MLPDecoder

f64 = torch.float64


def sphere(r):
    def fn(z):
        s = (z * z).sum(-1, keepdim=True)
        return r * torch.cat([2 * z, 1 - s], -1) / (1 + s)

    return fn


def network(d, m, hidden=50):
    return nn.Sequential(nn.Linear(d, hidden), nn.Tanh(), nn.Linear(hidden, m)).double().requires_grad_(False)


def fisher(likelihood, d):
    return immersion(LatentSpace(network(d, 40 * likelihood.heads, 50), likelihood, StandardNormal(d)).eval())


def lorentz(d):
    net = network(d, 40, 50)
    net[2].weight[0] *= 0.01
    return Immersion(net, d, signature=[-1.0] + [1.0] * 39)


def bregman(d):
    a = torch.randn(d + 3, d, dtype=f64)
    return HessianMetric(lambda z: nn.functional.softplus(z @ a.T).sum(-1), d)


METRICS = {
    "bernoulli": lambda d: fisher(Bernoulli((40,)), d),
    "gaussian": lambda d: fisher(Gaussian((40,)), d),
    "fixed gaussian": lambda d: fisher(FixedGaussian((40,), 0.3), d),
    "signature": lorentz,
    "potential": bregman,
}


@pytest.fixture(params=[1, 2, 9])
def tiles(request, monkeypatch):
    """Orthonormal frames for every dimension, in tiles of so many directions."""
    _in_tiles(monkeypatch, request.param)


def _in_tiles(monkeypatch, size):
    monkeypatch.setattr(extrinsic, "SEVERAL", 0)
    monkeypatch.setattr(embedded, "MANY_PAIRS", 0)
    monkeypatch.setattr(chunks, "LEAST", size)
    monkeypatch.setitem(chunks.BUDGET, "cpu", 1)


@pytest.mark.parametrize("n", [32, 40])
def test_spheres_of_many_dimensions(n):
    z, im = torch.randn(2, n, dtype=f64) / n, Immersion(sphere(3.0), n)
    torch.testing.assert_close(scalar_curvature(im, z), torch.full((2,), n * (n - 1) / 9.0, dtype=f64))
    torch.testing.assert_close(ricci(im, z), (n - 1) / 9 * metric(im, z))
    torch.testing.assert_close(mean_curvature(im, z).vector, -im(z) / 9)
    volume = volume_and_curvature(im, z)[0]
    torch.testing.assert_close(volume, torch.linalg.slogdet(metric(im, z))[1] / 2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_spheres_in_tiles(tiles, n):
    z, im = torch.randn(3, n, dtype=f64), Immersion(sphere(3.0), n)
    torch.testing.assert_close(scalar_curvature(im, z), torch.full((3,), n * (n - 1) / 9.0, dtype=f64))
    torch.testing.assert_close(ricci(im, z), (n - 1) / 9 * metric(im, z))
    torch.testing.assert_close(mean_curvature(im, z).vector, -im(z) / 9)


@pytest.mark.parametrize("name", METRICS)
def test_they_are_contractions_of_the_riemann_tensor(tiles, name):
    compare(METRICS[name](5), torch.randn(3, 5, dtype=f64))


@pytest.mark.parametrize("name", METRICS)
def test_they_are_contractions_of_the_riemann_tensor_for_many_dimensions(name):
    compare(METRICS[name](33), torch.randn(1, 33, dtype=f64) / 3)


def compare(im, z):
    """Compare with contractions of the whole Riemann tensor, relative to the sizes of its largest terms."""
    inverse, r = torch.linalg.inv(metric(im, z)), riemann(im, z)
    tensor = torch.einsum("nik,nijkl->njl", inverse, r)
    scalar = torch.einsum("njl,njl->n", inverse, tensor)
    torch.testing.assert_close(ricci(im, z), tensor, rtol=1e-10, atol=1e-10 * tensor.abs().max().item())
    torch.testing.assert_close(scalar_curvature(im, z), scalar, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("d", [1, 3, 4, 6])
@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "signature"])
@pytest.mark.slow
def test_the_mean_curvature_is_the_trace_of_the_second_fundamental_form(name, d):
    im, z = METRICS[name](d), torch.randn(3, d, dtype=f64)
    second, inverse = second_fundamental_form(im, z), torch.linalg.inv(metric(im, z))
    found = mean_curvature(im, z).vector
    torch.testing.assert_close(found, torch.einsum("nij,nijm->nm", inverse, second) / d, rtol=1e-9, atol=1e-11)


def test_a_linear_decoder_is_flat_and_a_deficient_metric_has_no_curvature():
    linear, z = nn.Linear(32, 40).double(), torch.randn(3, 32, dtype=f64)
    assert torch.equal(scalar_curvature(Immersion(linear, 32), z), torch.zeros(3, dtype=f64))
    assert torch.equal(ricci(Immersion(linear, 32), z), torch.zeros(3, 32, 32, dtype=f64))
    assert torch.equal(mean_curvature(Immersion(linear, 32), z).vector, torch.zeros(3, 40, dtype=f64))
    bent = Immersion(lambda z: torch.cat([z[:, :1] ** 2, z[:, 1:], z[:, 1:] ** 2, z[:, :1] ** 3], -1), 32)
    z[1, 0] = 0
    lost = torch.tensor([False, True, False])
    assert torch.equal(scalar_curvature(bent, z).isnan(), lost)
    assert torch.equal(ricci(bent, z).isnan(), lost[:, None, None].expand(3, 32, 32))
    assert torch.equal(mean_curvature(bent, z).vector.isnan().all(-1), lost)
    flat = Immersion(nn.Sequential(nn.Linear(32, 20), nn.Linear(20, 40)).double(), 32)
    assert scalar_curvature(flat, z).isnan().all()
    assert ricci(flat, z).isnan().all()
    assert mean_curvature(flat, z).vector.isnan().all()


@pytest.mark.slow
def test_gradients_and_every_transform(monkeypatch):
    _in_tiles(monkeypatch, 2)
    net, z = network(3, 7, 6), torch.randn(2, 3, dtype=f64)
    im, weights = Immersion(net, 3), {name: w.detach() for name, w in net.named_parameters()}
    quantities = (scalar_curvature, ricci, lambda im, z: mean_curvature(im, z).vector)
    for quantity in quantities:
        assert torch.autograd.gradcheck(lambda z, q=quantity: q(im, z), z.clone().requires_grad_())
        one = lambda u, q=quantity: q(im, u[None])[0]
        expected = torch.stack([torch.autograd.functional.jacobian(one, u) for u in z])
        for transform in (jacrev, jacfwd):
            torch.testing.assert_close(vmap(transform(one))(z), expected, rtol=1e-8, atol=1e-8)
        v = torch.randn(2, 3, dtype=f64)
        pushed = jvp(lambda z, q=quantity: q(im, z), (z,), (v,))[1]
        torch.testing.assert_close(pushed, torch.einsum("n...i,ni->n...", expected, v), rtol=1e-8, atol=1e-8)

        def of(w, q=quantity):
            return q(Immersion(lambda z: functional_call(net, w, (z,)), 3), z).square().sum()

        found = grad(of)(weights)
        name, step = "0.weight", 1e-6
        nudge = torch.randn_like(weights[name])
        up, down = ({**weights, name: weights[name] + s * step * nudge} for s in (1, -1))
        difference = (of(up) - of(down)) / (2 * step)
        torch.testing.assert_close((found[name] * nudge).sum(), difference, rtol=1e-5, atol=1e-5)


def test_single_precision_is_that_of_the_decoder():
    for likelihood in (Bernoulli((60,)), Gaussian((60,))):
        net = network(32, 60 * likelihood.heads)
        net[2].bias[60:] = -4.0
        z = torch.randn(2, 32)
        wide = immersion(LatentSpace(net, likelihood, StandardNormal(32)).eval())
        exact = scalar_curvature(wide, z.double()), ricci(wide, z.double())
        single = immersion(LatentSpace(net.float(), likelihood, StandardNormal(32)).eval())
        found = scalar_curvature(single, z), ricci(single, z)
        net.double()
        assert ((found[0] - exact[0]) / exact[0]).abs().max() < 1e-4
        assert ((found[1] - exact[1]).norm() / exact[1].norm()) < 1e-4


class _Largest(TorchDispatchMode):
    """Records the number of elements of the largest result of an operation."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, list | tuple) else [result]:
            self.elements = max(self.elements, x.numel() if isinstance(x, torch.Tensor) else 0)
        return result


def test_no_result_grows_with_the_number_of_pairs(monkeypatch):
    monkeypatch.setitem(chunks.BUDGET, "cpu", 1)
    d = 80
    im, z = immersion(_decoder(d)), torch.randn(1, d)
    with torch.no_grad(), _Largest() as largest:
        scalar_curvature(im, z)
    assert 300 * 32 < largest.elements < 300 * (32**2 + 2 * 32) * 1.01 < 300 * d * (d + 1) / 2


def _decoder(d):
    return LatentSpace(MLPDecoder(d, (1, 10, 30), (40,), nn.SiLU), Bernoulli((1, 10, 30)), StandardNormal(d)).eval()


LAYERS = {
    "elementwise": lambda: nn.SiLU(),
    "softmax": lambda: nn.Softmax(-1),
    "layer norm": lambda: nn.LayerNorm(8),
    "rms norm": lambda: nn.RMSNorm(8),
    "product": lambda: _Apply(lambda h: h[:, :4] * h[:, 4:]),
    "matrix product": lambda: _Apply(lambda h: (h.view(-1, 2, 4) @ h.view(-1, 4, 2)).flatten(1)),
    "nested autodiff": lambda: _Apply(lambda h: torch.special.i0e(h)),
}


class _Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        return self.function(h)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("split", [1, 2, 4])
def test_a_split_frame_has_the_second_derivatives_between_its_sets(name, split):
    net = nn.Sequential(nn.Linear(3, 8), LAYERS[name](), nn.LazyLinear(5), nn.Tanh()).double()
    z, v = torch.randn(2, 3, dtype=f64), torch.randn(5, 3, dtype=f64)
    net(z)
    whole, part = propagate(net, z, v, 2), propagate(net, z, v, 2, split=split)
    torch.testing.assert_close(part.j, whole.j)
    i, j = part.frame.indices(z.device)
    pairs = [(a, b) for a in range(split) for b in range(split, 5)]
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == pairs
    torch.testing.assert_close(part.t[5:], whole.t[5:][whole.frame.places(z.device)[i, j]])
