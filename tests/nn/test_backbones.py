import numpy as np
import pytest
import torch
from torch import nn

from lsgen.nn import Conv64Decoder, Conv64Encoder, MLPDecoder, MLPEncoder


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_conv64_has_the_size_of_disentanglement_lib() -> None:
    conv = lambda i, o, k: i * o * k * k + o
    dense = lambda i, o: i * o + o
    encoder = conv(1, 32, 4) + conv(32, 32, 4) + conv(32, 64, 2) + conv(64, 64, 2) + dense(1024, 256) + dense(256, 20)
    decoder = dense(10, 256) + dense(256, 1024) + conv(64, 64, 4) + conv(64, 32, 4) + conv(32, 32, 4) + conv(32, 1, 4)
    assert _parameters(Conv64Encoder((1, 64, 64), 10)) == encoder
    assert _parameters(Conv64Decoder(10, (1, 64, 64))) == decoder


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("heads", [1, 2])
def test_conv64_shapes(channels: int, heads: int) -> None:
    x = torch.rand(5, channels, 64, 64)
    assert Conv64Encoder((channels, 64, 64), 7)(x).shape == (5, 14)
    assert Conv64Decoder(7, (channels, 64, 64), heads=heads)(torch.zeros(5, 7)).shape == (5, heads * channels, 64, 64)


def test_memory_format_changes_no_number() -> None:
    torch.manual_seed(0)
    encoder, decoder = Conv64Encoder((3, 64, 64), 4).double(), Conv64Decoder(4, (3, 64, 64)).double()
    x, z = torch.rand(2, 3, 64, 64, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    fast = encoder(x), decoder(z)
    for net in (encoder, decoder):
        net.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(fast[0], encoder.layers(x))
    torch.testing.assert_close(fast[1], decoder.convolutions(decoder.dense(z).unflatten(1, (64, 4, 4))))


def test_conv64_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match=r"conv64 expected images of shape \(C, 64, 64\), got \(1, 28, 28\)"):
        Conv64Encoder((1, 28, 28), 10)


def test_mlp_shapes() -> None:
    assert MLPEncoder((2, 3, 3), 5, hidden=[7])(torch.rand(4, 2, 3, 3)).shape == (4, 10)
    decoder = MLPDecoder(5, (2, 3, 3), hidden=[7], heads=2)
    assert decoder(torch.rand(4, 5)).shape == (4, 4, 3, 3)
    assert [type(layer) for layer in decoder.layers] == [nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("gated", [False, True])
def test_silent_inputs_are_learned_from_and_do_not_matter_at_first(gated: bool) -> None:
    torch.manual_seed(0)
    for net in (
        MLPEncoder((5,), 2, [7], nn.Tanh, gated=gated, silent=2),
        MLPDecoder(5, (4,), [7], gated=gated, silent=2),
    ):
        first, second = torch.randn(2, 3, 5)
        mixed = torch.cat([first[:, :3], second[:, 3:]], 1)
        assert torch.equal(net(first), net(mixed))
        assert not torch.allclose(net(first), net(second))
        net(first).square().sum().backward()
        assert bool(next(net.parameters()).grad[:, 3:].any())


@pytest.mark.parametrize("activation", [nn.Identity, nn.Tanh])
def test_gates_scale_the_outputs_of_every_hidden_layer(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    encoder = MLPEncoder((2, 3), 2, [5, 4], activation, gated=True).double()
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    weights = [(p.detach().numpy(), b.detach().numpy()) for p, b in zip(*[iter(encoder.parameters())] * 2, strict=True)]
    y = x.flatten(1).numpy()
    for (w, b), width in zip(weights[:2], (5, 4), strict=True):
        value, gate = y @ w[:width].T + b[:width], y @ w[width:].T + b[width:]
        y = (np.tanh(value) if activation is nn.Tanh else value) / (1 + np.exp(-gate))
    np.testing.assert_allclose(encoder(x).detach().numpy(), y @ weights[2][0].T + weights[2][1], rtol=1e-12)
    assert MLPDecoder(2, (2, 3), [5], gated=True).double()(x.flatten(1)[:, :2]).shape == (3, 2, 3)
