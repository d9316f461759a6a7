"""Propagation through whole decoders: derivatives are exact, weights live, traces forgotten, bad input refused."""

import copy
import gc
import logging
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lsgen.geometry import Immersion, jet, log_volume, metric, scalar_curvature
from lsgen.geometry.jets import tracing
from lsgen.nn import Conv64Decoder

f64 = torch.float64


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 5 * 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, nn.GELU(), batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.outer = nn.Linear(8, 3)

    def forward(self, z):
        return self.outer(self.layers(self.inner(z).view(-1, 5, 8))).flatten(1)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 8 * 4)
        self.norm, self.conv = nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3, padding=1)
        self.batch, self.outer = nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)
        self.batch.running_var.uniform_(0.5, 2)
        self.batch.running_mean.normal_()

    def forward(self, z):
        x = self.inner(z).view(-1, 8, 2, 2)
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = x + self.conv(F.silu(self.norm(x)))
        return torch.tanh(self.outer(F.avg_pool2d(self.batch(x), 2)))


DECODERS = {
    "mlp": lambda: nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 9)),
    "conv": lambda: nn.Sequential(
        nn.Linear(3, 16),
        nn.ELU(inplace=True),
        nn.Unflatten(1, (4, 2, 2)),
        nn.ConvTranspose2d(4, 3, 4, 2, 1),
        nn.GELU(),
        nn.Conv2d(3, 2, 3, groups=1),
    ),
    "residual": Residual,
    "attention": Attention,
    "weight-norm": lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 8)), nn.Mish(), nn.Linear(8, 5)
    ),
}


def made(name):
    return DECODERS[name]().to(f64).eval().requires_grad_(False)


def second_derivatives(f, z, w):
    z = z.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        (gradient,) = torch.autograd.grad((f(z).flatten(1) * w).sum(), z, create_graph=True)
        rows = [torch.autograd.grad(gradient[:, k].sum(), z, retain_graph=True)[0] for k in range(z.shape[1])]
    return gradient.detach(), torch.stack(rows, 1)


def check(f, z):
    value, jacobian, hessian = jet(f, z)
    torch.testing.assert_close(value, f(z).flatten(1))
    w = torch.randn_like(value)
    gradient, rows = second_derivatives(f, z, w)
    torch.testing.assert_close((jacobian * w[:, None]).sum(-1), gradient, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close((hessian * w[:, None, None]).sum(-1), rows, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_decoders(name, mode):
    net, z = made(name), torch.randn(4, 3, dtype=f64)
    with mode():
        ours = jet(net, z)
    check(net, z)
    torch.testing.assert_close([x.clone() for x in ours], list(jet(net, z)))


def test_conv64_keeps_its_layout():
    net = Conv64Decoder(3, (1, 64, 64), activation=nn.SiLU).double().eval().requires_grad_(False)
    check(net, torch.randn(2, 3, dtype=f64))


def test_weights_stay_live():
    net, z = made("mlp").requires_grad_(True), torch.randn(4, 3, dtype=f64)
    im = Immersion(net, 3)

    def fresh():
        return metric(Immersion(copy.deepcopy(net), 3), z)

    metric(im, z)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    net(z).square().mean().backward()
    optimiser.step()
    torch.testing.assert_close(metric(im, z), fresh())
    for parameter in net.parameters():
        parameter.data = parameter.data * 0.9
    torch.testing.assert_close(metric(im, z), fresh())
    net[0].weight = nn.Parameter(torch.randn_like(net[0].weight))
    torch.testing.assert_close(metric(im, z), fresh())
    net.load_state_dict(made("mlp").state_dict(), assign=True)
    torch.testing.assert_close(metric(im, z), fresh())
    net[1] = nn.Tanh()
    torch.testing.assert_close(metric(im, z), fresh())
    net[3].beta = 3.0
    torch.testing.assert_close(metric(im, z), fresh())


def test_tensors_of_a_closure_stay_live():
    matrix = torch.randn(3, 5, dtype=f64)
    im = Immersion(lambda z: z @ matrix, 3)
    z = torch.randn(2, 3, dtype=f64)
    metric(im, z)
    matrix.mul_(2)
    torch.testing.assert_close(metric(im, z), (matrix @ matrix.T).expand(2, 3, 3))
    matrix = torch.randn(3, 5, dtype=f64)
    torch.testing.assert_close(metric(im, z), (matrix @ matrix.T).expand(2, 3, 3))


def test_a_decoder_is_traced_once_and_forgotten_with_it(monkeypatch):
    count = []
    build = tracing.build_trace
    monkeypatch.setattr(tracing, "build_trace", lambda *a: count.append(1) or build(*a))
    net, z = made("residual"), torch.randn(4, 3, dtype=f64)
    for _ in range(3):
        metric(Immersion(net, 3), z, chunk_size=4)
        scalar_curvature(Immersion(net, 3), z, chunk_size=4)
    assert len(count) == 1
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None


def test_nothing_is_changed():
    net, z = made("conv").requires_grad_(True), torch.randn(4, 3, dtype=f64)
    before, state = z.clone(), copy.deepcopy(net.state_dict())
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        assert not metric(Immersion(net, 3), z).requires_grad
        assert not scalar_curvature(Immersion(net, 3), z).requires_grad
    assert torch.equal(z, before)
    assert not z.requires_grad
    assert z.grad is None
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_gradients_reach_the_weights():
    net, z = made("mlp").requires_grad_(True), torch.randn(4, 3, dtype=f64)
    for quantity in (log_volume, scalar_curvature):
        weights = [p for p in net.parameters() if p.ndim > 1]
        gradients = torch.autograd.grad(quantity(Immersion(net, 3), z).sum(), weights)
        step = [torch.randn_like(p) for p in weights]
        slope = sum((g * s).sum() for g, s in zip(gradients, step, strict=True))
        ends = []
        for sign in (1, -1):
            moved = copy.deepcopy(net)
            for parameter, s in zip([p for p in moved.parameters() if p.ndim > 1], step, strict=True):
                parameter.data += sign * 1e-5 * s
            ends.append(quantity(Immersion(moved, 3), z).sum().detach())
        torch.testing.assert_close(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_decoder_that_branches_on_values_is_differentiated_as_a_whole(mode, caplog):
    def branching(z):
        return torch.sin(z) * z.flip(-1) if z.sum() > -1e9 else z

    z = torch.randn(4, 3, dtype=f64)
    caplog.set_level(logging.WARNING, logger="lsgen.geometry.jets.propagation")
    with mode():
        ours = metric(Immersion(branching, 3), z), scalar_curvature(Immersion(branching, 3), z)
        again = metric(Immersion(branching, 3), z)
    plain = Immersion(lambda z: torch.sin(z) * z.flip(-1), 3)
    torch.testing.assert_close([x.clone() for x in ours], [metric(plain, z), scalar_curvature(plain, z)])
    assert torch.equal(again, ours[0])
    assert len(caplog.records) == 1
    assert "differentiated as a whole, which is several times slower: " in caplog.text


def test_layers_are_made_of_values_not_of_the_first_call():
    """A map that detaches is taken at its word."""
    z = torch.randn(4, 3, dtype=f64)
    half = jet(lambda z: z * z.detach(), z)
    torch.testing.assert_close(half.jacobian, torch.diag_embed(z))
    assert not half.hessian.any()
    torch.testing.assert_close(jet(lambda z: z * z.data, z).jacobian, half.jacobian)
    fixed = jet(lambda z: torch.ones(len(z), 2, dtype=f64), z)
    assert not fixed.jacobian.any()


def test_derivatives_inside_the_map_are_differentiated():
    """PyTorch's own formulas detach results; that is not the map's doing."""
    z = torch.randn(4, 3, dtype=f64)
    slope = jet(lambda z: torch.func.jvp(torch.tanh, (z,), (torch.ones_like(z),))[1], z)
    y = torch.tanh(z)
    torch.testing.assert_close(slope.jacobian, torch.diag_embed(-2 * y * (1 - y * y)))


def written(z):
    """Fill a fresh tensor by slices, rows and single columns, one from another."""
    x = torch.zeros(len(z), 2, 4, dtype=z.dtype)
    x[:, 0, :3] = z.sin()
    x[:, 1] = x[:, 0].flip(-1) * 2
    x[:, 1, 0] = x[:, 0, 1] * x[:, 0, 2]
    x[:, 0, 3] += z[:, 0].exp()
    return x * x


def unwritten(z):
    s = z.sin()
    first = torch.cat([s, torch.zeros_like(s[:, :1])], 1)
    second = torch.cat([s[:, 1:2] * s[:, 2:], 2 * first.flip(-1)[:, 1:]], 1)
    first = torch.cat([s, z[:, :1].exp()], 1)
    return torch.stack([first, second], 1) ** 2


def test_writing_into_slices_is_differentiated():
    z = torch.randn(4, 3, dtype=f64)
    torch.testing.assert_close(list(jet(written, z)), list(jet(unwritten, z)))


def test_complex_numbers_on_the_way_are_differentiated_as_a_whole():
    z = torch.randn(4, 3, dtype=f64)
    power = jet(lambda z: torch.fft.rfft(z).abs() ** 2, z)
    angle = 2 * torch.pi * torch.arange(3, dtype=f64)[:, None] * torch.arange(2, dtype=f64) / 3
    plain = jet(lambda z: (z @ angle.cos()) ** 2 + (z @ angle.sin()) ** 2, z)
    torch.testing.assert_close(list(power), list(plain))


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, z):
        return self.dropout(self.outer(torch.tanh(self.inner(z))))


class OwnMode(nn.Module):
    def forward(self, z):
        return z * 2 if self.training else z


REFUSALS = {
    "no tensor": (
        lambda: metric(Immersion(torch.sin, 2), [0.0, 1.0]),
        TypeError,
        "expected codes as a tensor, got list",
    ),
    "integers": (
        lambda: metric(Immersion(torch.sin, 2), torch.zeros(3, 2, dtype=torch.long)),
        TypeError,
        "expected codes of dtype float32 or float64, got int64",
    ),
    "half": (
        lambda: metric(Immersion(torch.sin, 2), torch.zeros(3, 2, dtype=torch.half)),
        TypeError,
        "expected codes of dtype float32 or float64, got float16",
    ),
    "mixed": (
        lambda: metric(Immersion(nn.Linear(2, 3), 2), torch.zeros(3, 2, dtype=f64)),
        TypeError,
        "expected codes of dtype float32 like the weights, got float64",
    ),
    "shape": (
        lambda: jet(Immersion(torch.sin, 2), torch.zeros(3, 4)),
        ValueError,
        r"expected codes of shape \(B, 2\), got \(3, 4\)",
    ),
    "scalar": (
        lambda: jet(Immersion(torch.sin, 2), torch.tensor(0.0)),
        ValueError,
        r"expected codes of shape \(B, 2\), got \(\)",
    ),
    "nan": (
        lambda: scalar_curvature(Immersion(torch.sin, 2), torch.tensor([[0.0, 1.0], [torch.nan, 0.0]])),
        ValueError,
        "expected finite codes, got 1 of 2 that are not",
    ),
    "train mode": (
        lambda: metric(Immersion(Doubled(), 3), torch.zeros(2, 3)),
        ValueError,
        r"expected a map in eval mode, got Dropout in train mode: call .eval\(\) first",
    ),
    "own train mode": (
        lambda: metric(Immersion(OwnMode(), 3), torch.zeros(2, 3)),
        ValueError,
        "expected a map in eval mode, got OwnMode in train mode",
    ),
    "batch statistics": (
        lambda: metric(
            Immersion(nn.Sequential(nn.Unflatten(1, (3, 1)), nn.BatchNorm1d(3, track_running_stats=False)).eval(), 3),
            torch.randn(4, 3),
            chunk_size=4,
        ),
        ValueError,
        "expected a map that treats every point by itself",
    ),
    "random": (
        lambda: metric(Immersion(lambda z: z + torch.randn_like(z), 2), torch.zeros(3, 2)),
        ValueError,
        "expected a deterministic map, got one that draws random numbers",
    ),
    "two results": (
        lambda: metric(Immersion(lambda z: (z, z), 2), torch.zeros(3, 2)),
        TypeError,
        "expected a map that returns one tensor, got tuple",
    ),
    "half values": (
        lambda: jet(lambda z: z.half(), torch.zeros(3, 2)),
        TypeError,
        "expected a map with values of dtype float32 or float64, got float16",
    ),
    "integer values": (
        lambda: metric(Immersion(lambda z: z.long(), 2), torch.zeros(3, 2)),
        TypeError,
        "expected a map with values of dtype float32 or float64, got int64",
    ),
    "complex values": (
        lambda: jet(torch.fft.fft, torch.zeros(3, 2)),
        TypeError,
        "float32 or float64, got complex64: give real and imaginary parts as torch.view_as_real does",
    ),
    "rows": (
        lambda: metric(Immersion(lambda z: z.sum(0), 2), torch.zeros(3, 2)),
        ValueError,
        r"expected a map \(3, 2\) -> \(3, m\), got \(2,\)",
    ),
    "signature length": (
        lambda: metric(Immersion(torch.sin, 2, signature=[1.0, 1.0, -1.0]), torch.zeros(3, 2)),
        ValueError,
        "expected a signature of length m = 2, got one of length 3",
    ),
    "signature values": (
        lambda: Immersion(torch.sin, 2, signature=[1.0, 2.0]),
        ValueError,
        r"expected a signature \(m,\) of values \+1 and -1",
    ),
    "indefinite": (
        lambda: scalar_curvature(Immersion(torch.sin, 2, signature=[1.0, -1.0]), torch.zeros(3, 2)),
        ValueError,
        "expected a signature that makes the metric positive definite, got a smallest eigenvalue of -1",
    ),
    "no map": (lambda: Immersion(3, 2), TypeError, r"expected a map z -> f\(z\), got int"),
    "no dimension": (lambda: Immersion(torch.sin, 0), ValueError, "expected a latent dimension of at least 1, got 0"),
    "chunk": (
        lambda: metric(Immersion(torch.sin, 2), torch.zeros(3, 2), chunk_size=0),
        ValueError,
        "expected a chunk_size of at least 1, got 0",
    ),
    "restriction": (
        lambda: Immersion(torch.sin, 2).restrict(torch.zeros(3), torch.eye(2)),
        ValueError,
        r"expected an origin \(2,\) and a basis \(k, 2\), got \(3,\) and \(2, 2\)",
    ),
    "restriction nan": (
        lambda: Immersion(torch.sin, 2).restrict(torch.zeros(2), torch.eye(2) / 0),
        ValueError,
        "expected a finite origin and basis",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call()


def test_a_plain_network_may_be_in_train_mode():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4)).double().train()
    z = torch.randn(2, 3, dtype=f64)
    torch.testing.assert_close(metric(Immersion(net, 3), z), metric(Immersion(copy.deepcopy(net).eval(), 3), z))
    assert net.training
