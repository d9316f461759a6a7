"""GAN networks: sizes that are published, what must not couple observations, labels as weights of classes."""

import pytest
import torch
from torch import nn

from lsgen.nn.adversarial.dcgan import DCGANCritic, DCGANGenerator
from lsgen.nn.adversarial.resnet_gan import ConditionalBatchNorm, ResNetCritic, ResNetGenerator


def _parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_residual_networks_have_the_sizes_that_the_paper_implies() -> None:
    conv = lambda a, b, k: a * b * k * k + b
    block = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 2 * 2 * 256
    generator = (128 + 1) * 256 * 16 + 3 * block + 2 * 256 + conv(256, 3, 3)
    assert _parameters(ResNetGenerator(128, (3, 32, 32))) == generator
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    critic = first + 3 * 2 * conv(128, 128, 3) + conv(128, 128, 1) + 129
    for spectral in (True, False):
        assert _parameters(ResNetCritic((3, 32, 32), spectral=spectral)) == critic


def test_dcgan_has_the_layers_of_the_paper() -> None:
    kernels = [layer.weight.shape for layer in DCGANGenerator(100, (3, 64, 64)).layers if hasattr(layer, "stride")]
    assert kernels == [(512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 3, 4, 4)]
    critic = DCGANCritic((3, 64, 64))
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in critic.features) == 3


def test_dcgan_with_a_fully_connected_layer_has_the_layers_of_infogan() -> None:
    """On MNIST: 74-1024-6272 and two transposed convolutions; two convolutions and 6272-1024-1, no bias before BN."""
    generator = 74 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1
    assert _parameters(DCGANGenerator(74, (1, 28, 28), hidden=1024)) == generator
    critic = 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 6272 * 1024 + 2 * 1024 + 1024 + 1
    net = DCGANCritic((1, 28, 28), hidden=1024)
    assert _parameters(net) == critic
    plain = DCGANCritic((1, 28, 28), hidden=1024, batch_norm=False)
    assert _parameters(plain) == critic - 2 * 128 + 128 - 2 * 1024 + 1024
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in plain.modules())
    x = DCGANGenerator(5, (1, 8, 8), width=4, hidden=6)(torch.randn(3, 5))
    assert DCGANCritic((1, 8, 8), width=4, minibatch_std=True, hidden=6).features(x).shape == (3, 6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_dcgan_shapes(shape: tuple[int, int, int]) -> None:
    x = DCGANGenerator(5, shape, width=4)(torch.randn(2, 5))
    assert x.shape == (2, *shape)
    assert x.abs().max() <= 1
    assert DCGANCritic(shape, width=4)(x).shape == (2,)


@pytest.mark.parametrize(
    "critic",
    [
        DCGANCritic((1, 8, 8), width=4, batch_norm=False),
        ResNetCritic((1, 8, 8), [4, 6], 1, spectral=False),
        ResNetCritic((1, 8, 8), [4, 6], 2, spectral=True),
    ],
)
def test_a_score_depends_on_its_own_image_alone(critic: nn.Module) -> None:
    x = torch.randn(3, 1, 8, 8, requires_grad=True)
    for _ in range(200):
        critic(x)
    (gradient,) = torch.autograd.grad(critic(x)[0], x)
    assert gradient[0].abs().max() > 0
    assert gradient[1:].abs().max() == 0


def test_every_layer_of_a_spectral_critic_has_norm_one() -> None:
    critic = ResNetCritic((1, 8, 8), [4, 6], 1, classes=3)
    for _ in range(300):
        critic(torch.randn(1, 1, 8, 8), torch.eye(3)[:1])
    critic.eval()
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 8
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        torch.testing.assert_close(norm, torch.ones(()), atol=1e-3, rtol=0)


def test_shortcuts_see_relu_of_x_or_x() -> None:
    x = -torch.rand(1, 4, 4, 4)
    for shortcut_relu in (True, False):
        block = ResNetCritic((1, 8, 8), [4, 4], 1, spectral=False, shortcut_relu=shortcut_relu).blocks[1]
        block.conv2.requires_grad_(False).weight.zero_()
        block.conv2.bias.zero_()
        torch.testing.assert_close(block(x), torch.zeros_like(x) if shortcut_relu else x)


def test_projection_is_linear_in_the_weights_of_classes() -> None:
    critic = ResNetCritic((1, 8, 8), [4, 6], 1, spectral=False, classes=3)
    x, labels = torch.randn(3, 1, 8, 8), torch.eye(3)
    scores = torch.stack([critic(x, label.expand(3, 3)) for label in labels])
    weights = torch.tensor([0.2, 0.5, 0.3])
    torch.testing.assert_close(critic(x, weights.expand(3, 3)), weights @ scores)


def test_conditional_normalisation_scales_and_shifts_by_class() -> None:
    layer = ConditionalBatchNorm(2, classes=3).double()
    x = torch.randn(64, 2, 4, 4, dtype=torch.float64)
    label = torch.eye(3, dtype=torch.float64)[torch.arange(64) % 3]
    assert layer.affine is not None
    nn.init.normal_(layer.affine.weight)
    standard = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    scale, shift = (label @ layer.affine.weight.T)[:, :, None, None].chunk(2, 1)
    torch.testing.assert_close(layer(x, label), scale * standard + shift)


def test_a_conditional_generator_takes_noise_and_label_in_one_code() -> None:
    generator = ResNetGenerator(5 + 3, (1, 8, 8), [6, 4], classes=3).eval()
    noise, labels = torch.randn(1, 5), torch.eye(3)
    images = generator(torch.cat([noise.expand(3, 5), labels], 1))
    assert images.shape == (3, 1, 8, 8)
    assert (images[0] - images[1]).abs().max() > 0


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"DCGAN expected images \(C, S, S\), S = 8, 16, 32, .* got \(1, 30, 30\)"):
        DCGANGenerator(5, (1, 30, 30))
    with pytest.raises(ValueError, match=r"expected images \(C, S, S\) with S a multiple of 8, got \(3, 30, 30\)"):
        ResNetGenerator(5, (3, 30, 30))
    with pytest.raises(ValueError, match="expected between 1 and 2 halvings, got 3"):
        ResNetCritic((3, 32, 32), [4, 4], 3)
    with pytest.raises(ValueError, match="expected batch_norm or spectral, got both"):
        DCGANCritic((3, 32, 32), spectral=True)
