"""The style-based generator against a kernel per image written out, and its two latent spaces."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from lsgen.callbacks import LatentTraversal, TraversalFigures
from lsgen.callbacks.logging.sink import Sink
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, Directions, NonSaturating, PathLength, sefa, style_space
from lsgen.nn.adversarial.resnet_gan import ResNetCritic
from lsgen.nn.adversarial.stylegan import EqualLinear, Mapping, ModulatedConv, StyleGenerator


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_a_kernel_of_its_own_for_every_image(demodulate: bool) -> None:
    layer = ModulatedConv(3, 4, 5, demodulate=demodulate).double()
    x, w = torch.randn(2, 3, 6, 6, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    for n in range(2):
        style = layer.style.weight @ w[n] / math.sqrt(5) + 1
        kernel = style[:, None, None] * layer.weight / math.sqrt(27)
        if demodulate:
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        torch.testing.assert_close(layer(x, w)[n], conv2d(x[n : n + 1], kernel, padding=1)[0])


def test_equalised_layers_keep_the_variance() -> None:
    torch.manual_seed(0)
    out = EqualLinear(512, 512, rate=0.01)(torch.randn(512, 512))
    assert out.std().item() == pytest.approx(1, abs=0.02)
    assert EqualLinear(3, 2, bias=1.0, rate=0.1)(torch.zeros(1, 3)).tolist() == [[1.0, 1.0]]


def test_mapping_forgets_the_length_of_a_code_and_follows_the_mean_of_styles() -> None:
    mapping = Mapping(4, 6, layers=2, decay=0.5)
    z = torch.randn(32, 4)
    w = mapping(z)
    torch.testing.assert_close(mapping.mean, w.mean(0) / 2)
    torch.testing.assert_close(mapping.eval()(100 * z), w, rtol=1e-4, atol=1e-5)


def _generator(**changes: float) -> StyleGenerator:
    torch.manual_seed(0)
    return StyleGenerator(4, (1, 16, 16), width=6, channels=(8, 6, 4), mapping_layers=2, **changes)


def test_styles_of_all_layers_are_those_of_w_plus() -> None:
    generator = _generator().eval()
    w = generator.styles(torch.randn(3, 4))
    assert generator.synthesis.layers == 6
    image = generator.synthesis(w)
    assert image.shape == (3, 1, 16, 16)
    torch.testing.assert_close(generator.synthesis(w[:, None].expand(3, 6, 6)), image)
    for layer in range(6):
        plus = w[:, None].repeat(1, 6, 1)
        plus[:, layer] += 1
        assert (generator.synthesis(plus) - image).abs().amax((1, 2, 3)).min() > 1e-5


def test_truncation_moves_styles_towards_their_mean() -> None:
    full, half = _generator().eval(), _generator(truncation=0.5).eval()
    for generator in (full, half):
        generator.mapping.mean.copy_(torch.arange(6.0))
    z = torch.randn(3, 4)
    torch.testing.assert_close(half.styles(z), (full.styles(z) + torch.arange(6.0)) / 2)
    assert torch.equal(full.styles(z), full.mapping(z))


def test_an_image_is_a_function_of_its_code_in_eval_mode_only() -> None:
    generator = _generator()
    for module in generator.synthesis.modules():
        if hasattr(module, "strength"):
            nn.init.ones_(module.strength)
    z = torch.randn(3, 4)
    assert (generator(z) != generator(z)).any()
    generator.eval()
    assert torch.equal(generator(z), generator(z))


def test_mixing_takes_over_from_one_layer_on() -> None:
    generator = _generator(mixing=1.0)
    w = torch.randn(50, 6)
    own = (generator._mixed(w) == w[:, None]).all(2)
    assert own[:, 0].all()
    assert not own[:, -1].any()
    assert (own.int().diff(dim=1) <= 0).all()
    assert len(own.sum(1).unique()) == 5


def _gan(**changes: object) -> GAN:
    critic = ResNetCritic((1, 16, 16), [4, 4], 1, spectral=False)
    return GAN(
        _generator(),
        critic,
        FixedGaussian((1, 16, 16)),
        StandardNormal(4),
        NonSaturating(),
        value_range=(0, 1),
        **changes,
    )


def test_w_is_a_latent_space_of_the_same_images() -> None:
    gan = _gan().eval()
    space = style_space(gan)
    z = torch.randn(3, 4)
    torch.testing.assert_close(space.decode(gan.generator.styles(z)).mean, gan(z))
    assert space.dim == 6
    assert space.sample(5).shape == (5, 1, 16, 16)
    torch.manual_seed(1)
    w = space.prior().sample((2, 3))
    torch.manual_seed(1)
    torch.testing.assert_close(
        w, gan.generator.styles(StandardNormal(4)().sample((2, 3)).reshape(6, 4)).reshape(2, 3, 6)
    )
    with pytest.raises(NotImplementedError):
        space.prior().log_prob(w)


def test_path_lengths_are_measured_in_w() -> None:
    gan = _gan(regularisers=[PathLength(weight=1.0, every=1)])
    terms = gan.generator_terms({"x": torch.rand(4, 1, 16, 16)}, 0)
    weights = [gan.generator.mapping.layers[0].weight, gan.generator.synthesis.blocks[1].convolutions[0].conv.weight]
    gradients = torch.autograd.grad(terms["path_length"], weights)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected images \(C, 16, 16\) of 3 resolutions, got \(1, 32, 32\)"):
        StyleGenerator(4, (1, 32, 32), channels=(8, 6, 4))
    with pytest.raises(ValueError, match=r"expected truncation in \[0, 1\], got 2"):
        _generator(truncation=2)
    plain = GAN(nn.Linear(2, 3), nn.Linear(3, 1), FixedGaussian((3,)), StandardNormal(2), NonSaturating())
    with pytest.raises(TypeError, match="expected a model with a StyleGenerator, got Linear"):
        style_space(plain)


def test_w_plus_has_a_style_for_every_layer_and_all_three_spaces_are_traversed(tmp_path: Path) -> None:
    gan = _gan().eval()
    w, plus = style_space(gan), style_space(gan, plus=True)
    layers = gan.generator.synthesis.layers
    codes = w.prior().sample((3,))
    assert plus.dim == layers * w.dim
    torch.testing.assert_close(plus.decode(codes.repeat(1, layers)).mean, w.decode(codes).mean)
    sample = plus.prior().sample((5,)).unflatten(1, (layers, w.dim))
    assert torch.equal(sample, sample[:, :1].expand(-1, layers, -1))
    found = Directions(("up",), torch.eye(w.dim)[:1], torch.ones(1), layers=(1, 2)).in_layers(layers)
    moved = found.traverse(codes.repeat(1, layers), [0.5])[:, 0, 0].unflatten(1, (layers, w.dim))
    styles = codes[:, None].repeat(1, layers, 1)
    styles[:, 1:3, 0] += 0.5
    torch.testing.assert_close(moved, styles)
    torch.testing.assert_close(plus.decode(moved.flatten(1)).mean, (gan.generator.synthesis(styles) + 1) / 2)
    for name, space, directions in (("z", gan.latent_space, None), ("w", w, sefa), ("plus", plus, found)):
        LatentTraversal(anchors=1, points=2, directions=directions, figures=TraversalFigures(frames=2)).run(
            space, None, Sink(tmp_path / name, 1)
        )
        assert (tmp_path / name / "figures/traversal/directions").exists() == (directions is not None)
        assert (tmp_path / name / "figures/traversal/axes/00000001.png").exists()


def test_sefa_of_w_reads_all_modulations() -> None:
    gan = _gan().eval()
    found = sefa(style_space(gan), k=2)
    convolutions = [layer for layer in gan.generator.synthesis.modules() if isinstance(layer, ModulatedConv)]
    A = torch.cat([layer.style.gain * layer.style.weight for layer in convolutions]).double()
    values, vectors = torch.linalg.eigh(A.T @ A)
    torch.testing.assert_close(found.scales.double(), values.flip(0)[:2].sqrt(), rtol=1e-4, atol=1e-4)
    overlap = (found.vectors.double() @ vectors.flip(1)[:, :2]).diagonal().abs()
    torch.testing.assert_close(overlap, torch.ones(2).double(), rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="look at W of a style-based generator"):
        sefa(gan.latent_space)
