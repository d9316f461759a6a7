"""Denoising networks: silent at the start, told noise and class, and differentiable twice in every way."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lsgen.geometry.jets import propagate
from lsgen.nn import DiffusionTransformer, MLPDenoiser, UNet
from lsgen.nn.denoisers.attention import MultiHeadAttention
from lsgen.nn.denoisers.conditioning import NoiseFeatures

SHAPE = (2, 4, 8)
f64 = torch.float64
NETWORKS = {
    "mlp": partial(MLPDenoiser, SHAPE, hidden=(16, 12), embedding=8),
    "unet": partial(UNet, SHAPE, channels=(4, 8), blocks=2, heads=2, embedding=8),
    "unet_attending": partial(UNet, SHAPE, channels=(4, 8, 8), attention=3, heads=2, embedding=8, features="fourier"),
    "transformer": partial(DiffusionTransformer, SHAPE, width=8, depth=2, heads=2),
}


def awake(net: nn.Module) -> nn.Module:
    """Return the network in double precision with weights of which none is zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in net.double().parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, dtype=f64, generator=generator)
    return net.eval()


@pytest.fixture(params=NETWORKS)
def member(request: pytest.FixtureRequest) -> partial[nn.Module]:
    """Return the constructor of a network."""
    return NETWORKS[request.param]


def inputs(batch: int = 3) -> tuple[Tensor, Tensor]:
    """Return noisy observations and conditioning numbers."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, *SHAPE, dtype=f64, generator=generator)
    return x, torch.linspace(-1.5, 1.5, batch, dtype=f64)


def test_networks_are_silent_before_training_and_every_weight_learns_afterwards(member: partial[nn.Module]) -> None:
    net, (x, noise), label = member(classes=3), inputs(4), torch.tensor([0, 1, 2, 3])
    x, noise = x.float(), noise.float()
    assert net.shape == SHAPE
    assert net.classes == 3
    assert net(x, noise, label).abs().max() == 0
    awake(net)(x.double(), noise.double(), label).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def test_outputs_depend_on_noise_and_label_and_each_on_its_own_observation(member: partial[nn.Module]) -> None:
    net, (x, noise), label = awake(member(classes=3)), inputs(), torch.tensor([0, 1, 2])
    with torch.no_grad():
        out = net(x, noise, label)
        assert out.shape == x.shape
        alone = [net(x[i : i + 1], noise[i : i + 1], label[i : i + 1]) for i in range(3)]
        torch.testing.assert_close(torch.cat(alone), out)
        for changed in (net(x, noise + 0.01, label), net(x, noise, label.roll(1)), net(x, noise)):
            assert ((changed - out).flatten(1).abs().amax(1) > 1e-6).all()
        torch.testing.assert_close(net(x, noise), net(x, noise, torch.full((3,), 3)), rtol=0, atol=0)
    plain = awake(member())
    with pytest.raises(ValueError, match="expected no labels, as the network has no classes"):
        plain(x, noise, label)


def test_shapes_are_refused_in_one_sentence(member: partial[nn.Module]) -> None:
    net, (x, noise) = member(classes=2).double(), inputs()
    with pytest.raises(ValueError, match=r"expected x \(B, 2, 4, 8\) and noise \(B,\), got \(3, 2, 4, 7\) and \(3,\)"):
        net(x[..., 1:], noise)
    with pytest.raises(ValueError, match=r"got \(3, 2, 4, 8\) and \(1,\)"):
        net(x, noise[:1])
    with pytest.raises(ValueError, match=r"expected labels \(3,\) of int64, got \(3, 2\) of torch.float64"):
        net(x, noise, torch.ones(3, 2, dtype=f64))


def test_numbers_that_do_not_fit_are_refused_and_odd_sides_work_where_nothing_halves() -> None:
    with pytest.raises(ValueError, match=r"U-Net of 3 levels expected .* multiples of 4, got \(1, 14, 14\)"):
        UNet((1, 14, 14))
    with pytest.raises(ValueError, match=r"sides that are multiples of 2, got \(1, 7, 8\)"):
        DiffusionTransformer((1, 7, 8))
    with pytest.raises(ValueError, match="patches of 1 or more pixels, got 0"):
        DiffusionTransformer((1, 8, 8), patch=0)
    with pytest.raises(ValueError, match="attention at 0 to 2 levels, got 1 and 3"):
        UNet((1, 8, 8), channels=(4, 8), attention=3)
    with pytest.raises(ValueError, match="divides the width 6, got 4"):
        MultiHeadAttention(6, 4)
    with pytest.raises(ValueError, match="even number of noise features, 4 or more, got 5"):
        NoiseFeatures(5)
    with pytest.raises(ValueError, match="'sinusoidal' or 'fourier', got 'wave'"):
        NoiseFeatures(4, "wave")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one hidden layer"):
        MLPDenoiser((2,), hidden=())
    x, noise = torch.randn(2, 1, 7, 5), torch.zeros(2)
    for net in (UNet((1, 7, 5), channels=(4,)), DiffusionTransformer((1, 7, 5), patch=1, width=8, heads=2)):
        assert net(x, noise).shape == x.shape
    flat = UNet((1, 8, 12), channels=(4, 8, 12), blocks=1, attention=0, embedding=8)
    assert flat.bottleneck(torch.randn(2, 1, 8, 12), noise).shape == (2, 12 * 2 * 3)


def test_forward_reverse_and_taylor_mode_agree(member: partial[nn.Module]) -> None:
    """Exact divergences need forward over a batch, scores need reverse, geometry the second order."""
    net, (x, noise) = awake(member()), inputs(1)
    v, w = torch.randn(2, *x.shape, dtype=f64)
    fn = lambda z: net(z.unflatten(1, SHAPE), noise.expand(len(z))).flatten(1)
    _, pull = torch.func.vjp(fn, x.flatten(1))
    _, forward = torch.func.jvp(fn, (x.flatten(1),), (v.flatten(1),))
    back = pull(w.flatten(1))[0]
    torch.testing.assert_close((back * v.flatten(1)).sum(), (w.flatten(1) * forward).sum())
    both = torch.func.vmap(lambda a: torch.func.jvp(fn, (x.flatten(1),), (a,))[1])(torch.stack([v, w]).flatten(2))
    torch.testing.assert_close(both[0], forward)
    step = 1e-5
    slopes = (fn((x + step * v).flatten(1)) - fn((x - step * v).flatten(1))) / (2 * step)
    torch.testing.assert_close(slopes, forward, rtol=1e-6, atol=1e-7)
    pair = torch.stack([v, w]).reshape(2, -1)
    expansion = propagate(fn, x.flatten(1), pair, 2)
    torch.testing.assert_close(expansion.t[0], forward)
    along = lambda z, a: torch.func.jvp(fn, (z,), (a,))[1]
    bent = lambda a, b: (along(x.flatten(1) + step * b, a) - along(x.flatten(1) - step * b, a)) / (2 * step)
    expected = [bent(pair[None, i], pair[None, j]) for i in range(2) for j in range(i, 2)]
    torch.testing.assert_close(expansion.t[2:], torch.stack(expected), rtol=1e-5, atol=1e-6)


def test_every_step_of_the_perceptron_has_a_rule_of_expansion(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a step was differentiated automatically")

    monkeypatch.setattr("lsgen.geometry.jets.operations.expand_by_autograd", refused)
    net, (x, noise), label = awake(NETWORKS["mlp"](classes=3)), inputs(), torch.tensor([0, 1, 2])
    fn = lambda z: net(z.unflatten(1, SHAPE), noise, label).flatten(1)
    assert propagate(fn, x.flatten(1), torch.eye(64, dtype=f64)[:2], 2).t.isfinite().all()


def test_attention_moves_with_the_places_and_is_that_of_pytorch() -> None:
    attention, x = MultiHeadAttention(8, 2).double(), torch.randn(3, 5, 8, dtype=f64)
    order = torch.randperm(5)
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])
    other = nn.MultiheadAttention(8, 2, batch_first=True, dtype=f64)
    other.in_proj_weight.data, other.in_proj_bias.data = attention.project.weight.data, attention.project.bias.data
    other.out_proj.load_state_dict(attention.out.state_dict())
    torch.testing.assert_close(attention(x), other(x, x, x, need_weights=False)[0])


def test_a_u_net_of_one_level_moves_with_the_image_apart_from_its_border() -> None:
    net = awake(UNet((1, 24, 24), channels=(4,), attention=0, embedding=8))
    x, noise = torch.zeros(1, 1, 24, 24, dtype=f64), torch.zeros(1, dtype=f64)
    x[:, :, 11:13, 11:13] = torch.randn(2, 2, dtype=f64)
    inside = slice(9, 15)  # 8 convolutions of reach 1 in all
    moved = net(x.roll(1, 3), noise)
    torch.testing.assert_close(moved[..., inside, 10:16], net(x, noise)[..., inside, 9:15], rtol=0.05, atol=0.05)


def test_places_tell_tokens_of_the_transformer_apart() -> None:
    net = awake(DiffusionTransformer((1, 8, 8), width=8, depth=1, heads=2))
    out = net(torch.ones(1, 1, 8, 8, dtype=f64), torch.zeros(1, dtype=f64))
    tokens = out[0, 0].unflatten(0, (4, 2)).unflatten(2, (4, 2)).transpose(1, 2).reshape(16, 4)
    assert torch.pdist(tokens).min() > 1e-6


def test_noise_features_are_sines_of_geometric_frequencies_or_drawn_once() -> None:
    c = torch.linspace(-3, 3, 61, dtype=f64)
    features = NoiseFeatures(16).double()(c)
    torch.testing.assert_close(features[:, :8].square() + features[:, 8:].square(), torch.ones(61, 8, dtype=f64))
    assert (features[:, 8].diff() > 0).all()
    assert NoiseFeatures(16).state_dict() == {}
    drawn = NoiseFeatures(16, "fourier")
    twin = NoiseFeatures(16, "fourier")
    twin.load_state_dict(drawn.state_dict())
    torch.testing.assert_close(twin(c.float()), drawn(c.float()), rtol=0, atol=0)


def test_everything_stays_on_the_device_of_the_network(member: partial[nn.Module]) -> None:
    net, mode = member(classes=3), FakeTensorMode()
    for module in net.modules():
        for name, p in [*module._parameters.items(), *module._buffers.items()]:
            if p is not None:
                with mode:
                    fake = torch.empty(p.shape, dtype=p.dtype, device="cuda")
                table = module._parameters if name in module._parameters else module._buffers
                table[name] = nn.Parameter(fake) if table is module._parameters else fake
    with mode, torch.device("cuda"):
        out = net(torch.randn(5, *SHAPE), torch.randn(5))
        labelled = net(torch.randn(5, *SHAPE), torch.randn(5), torch.zeros(5, dtype=torch.int64))
    assert out.device.type == labelled.device.type == "cuda"
    assert out.shape == (5, *SHAPE)
