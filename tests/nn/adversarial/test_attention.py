"""Self-attention and the networks of SAGAN and BigGAN against PyTorch's own attention and their formulas."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, scaled_dot_product_attention
from torch.nn.utils.parametrize import is_parametrized

from lsgen.nn.adversarial.attention import SelfAttention
from lsgen.nn.adversarial.biggan import BigGANGenerator
from lsgen.nn.adversarial.resnet_gan import ResNetCritic, ResNetGenerator


def test_attention_is_that_of_pytorch_without_scale() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(16).double(), torch.randn(3, 16, 6, 4, dtype=torch.float64)
    assert torch.equal(layer(x), x)  # gamma = 0 at the start
    nn.init.constant_(layer.gamma, 0.7)
    query, key, value = (
        torch.einsum("oc,nchw->nohw", m.weight[:, :, 0, 0], x) for m in (layer.query, layer.key, layer.value)
    )
    key, value = max_pool2d(key, 2), max_pool2d(value, 2)
    assert [t.shape[1] for t in (query, key, value)] == [2, 2, 8]
    seen = scaled_dot_product_attention(*(t.flatten(2).mT for t in (query, key, value)), scale=1.0)
    expected = x + 0.7 * torch.einsum("oc,npc->nop", layer.out.weight[:, :, 0, 0], seen).view_as(x)
    torch.testing.assert_close(layer(x), expected)


def _normalised(net: nn.Module) -> dict[str, bool]:
    kinds = nn.Linear | nn.Conv2d
    return {name: is_parametrized(layer) for name, layer in net.named_modules() if isinstance(layer, kinds)}


def test_both_networks_of_sagan_are_normalised_and_attend_at_the_side_asked_for() -> None:
    generator = ResNetGenerator(4 + 3, (1, 16, 16), [8, 8, 8], classes=3, attention=8, spectral=True)
    critic = ResNetCritic((1, 16, 16), [8, 8, 8], 2, attention=8)
    found = _normalised(generator)
    assert {name for name, normalised in found.items() if not normalised} == {
        f"blocks.{i}.norm{j}.affine" for i in range(2) for j in (1, 2)
    }
    assert all(_normalised(critic).values())
    sides: list[tuple[int, ...]] = []
    for net in (generator, critic):
        (layer,) = [part for part in net.modules() if isinstance(part, SelfAttention)]
        layer.register_forward_hook(lambda module, inputs, output: sides.append(tuple(output.shape[2:])))
    x = generator(torch.cat([torch.randn(2, 4), torch.eye(3)[:2]], 1))
    assert critic(x).shape == (2,)
    assert sides == [(8, 8), (8, 8)]


def test_attention_couples_places_of_an_image_alone() -> None:
    critic = ResNetCritic((1, 16, 16), [8, 8], 1, attention=8).eval()
    nn.init.ones_(next(part.gamma for part in critic.modules() if isinstance(part, SelfAttention)))
    x = torch.randn(2, 1, 16, 16, requires_grad=True)
    local, _ = critic.local_features(x)
    (gradient,) = torch.autograd.grad(local[0, 0, 0, 0], x)
    assert gradient[0, 0, -1, -1].abs() > 0  # far outside the window of the block's convolutions
    assert gradient[1].abs().max() == 0


@pytest.mark.parametrize(("shape", "channels"), [((1, 28, 28), [8, 6, 4]), ((3, 32, 32), [8, 6, 4, 4])])
def test_every_part_of_a_biggan_code_enters_where_it_should(shape: tuple[int, ...], channels: list[int]) -> None:
    """Skip-z: part l of the code reaches block l and those behind it, but no block in front of it."""
    torch.manual_seed(0)
    parts = len(channels)
    generator = BigGANGenerator(2 * parts + 3, shape, channels, classes=3, embedding=5).eval()
    outputs: list[Tensor] = []
    for block in generator.blocks:
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach()))
    noise, label = torch.randn(1, 2 * parts), torch.eye(3)[:1]
    assert generator(torch.cat([noise, label], 1)).shape == (1, *shape)
    base = list(outputs)
    for part in range(parts):
        outputs.clear()
        moved = noise.clone()
        moved[:, 2 * part : 2 * part + 2] += 1
        generator(torch.cat([moved, label], 1))
        changed = [not torch.equal(a, b) for a, b in zip(base, outputs, strict=True)]
        assert changed == [part == 0 or i >= part - 1 for i in range(parts - 1)]
    outputs.clear()
    generator(torch.cat([noise, torch.eye(3)[1:2]], 1))
    assert all(not torch.equal(a, b) for a, b in zip(base, outputs, strict=True))


def test_conditional_normalisation_of_biggan_scales_by_one_plus_gain() -> None:
    torch.manual_seed(0)
    generator = BigGANGenerator(4 + 3, (1, 8, 8), [6, 4], classes=3, embedding=5, spectral=False).double()
    norm = generator.blocks[0].norm1
    x, condition = torch.randn(9, 6, 4, 4, dtype=torch.float64), torch.randn(9, 2 + 5, dtype=torch.float64)
    standard = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    gain, shift = (condition @ layer.weight.T for layer in (norm.gain, norm.shift))
    expected = (1 + gain)[:, :, None, None] * standard + shift[:, :, None, None]
    torch.testing.assert_close(norm(x, condition), expected)
    weights = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
    assert generator.embed is not None
    torch.testing.assert_close(generator.embed(weights), weights @ generator.embed(torch.eye(3, dtype=torch.float64)))


def test_biggan_starts_orthogonal_and_all_but_the_embedding_is_normalised() -> None:
    generator = BigGANGenerator(4 + 3, (1, 8, 8), [6, 4], classes=3, embedding=5)
    critic = ResNetCritic((1, 8, 8), [4, 6], 1, shortcut_relu=False, wide=True, orthogonal=True, classes=3)
    for net in (generator, critic):
        assert all(_normalised(net).values())
        for layer in (part for part in net.modules() if isinstance(part, nn.Linear | nn.Conv2d)):
            w = layer.parametrizations.weight.original.detach().flatten(1)
            small = w @ w.T if len(w) <= w.shape[1] else w.T @ w
            torch.testing.assert_close(small, torch.eye(len(small)), atol=1e-5, rtol=0)
    assert [critic.blocks[1].conv1.out_channels, critic.blocks[1].conv2.in_channels] == [6, 6]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected attention at a side of 8, 16, got 4"):
        ResNetGenerator(4, (1, 16, 16), [4, 4, 4], attention=4)
    with pytest.raises(ValueError, match="expected attention at a side of 8, 4, 4, got 16"):
        ResNetCritic((1, 16, 16), [4, 4, 4], 2, attention=16)
    with pytest.raises(ValueError, match=r"expected a multiple of 3 coordinates besides the classes, .* got 4"):
        BigGANGenerator(4, (1, 16, 16), [4, 4, 4])
    with pytest.raises(ValueError, match=r"expected images \(C, S, S\) with S a multiple of 4, got \(1, 30, 30\)"):
        BigGANGenerator(6, (1, 30, 30), [4, 4, 4])
