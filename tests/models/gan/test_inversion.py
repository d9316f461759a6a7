"""Inversion keeps codes where they live. Best codes of every prior: tests/contracts/test_priors.py."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import (
    Deterministic,
    EncodableLatentSpace,
    HypersphericalUniform,
    LatentSpace,
    OneHot,
    Prior,
    Product,
    StandardNormal,
    Uniform,
)
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import invert, style_space
from lsgen.models.gan.space import GeneratorSpace, RescaledGenerator
from lsgen.nn.adversarial.stylegan import StyleGenerator


def _linear(weight: Tensor, prior: Prior) -> LatentSpace:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    return LatentSpace(layer, FixedGaussian((len(weight),)), prior).eval()


def test_on_the_sphere_the_nearest_code_is_the_direction() -> None:
    torch.manual_seed(0)
    space, x = _linear(torch.eye(5), HypersphericalUniform(5)), 3 * torch.randn(20, 5)
    found = invert(space, x, steps=200, restarts=2)
    torch.testing.assert_close(found.z, x / x.norm(dim=1, keepdim=True), atol=2e-3, rtol=0)
    torch.testing.assert_close(found.z.norm(dim=1), torch.ones(20))


def test_in_a_cube_the_nearest_code_stops_at_the_walls() -> None:
    torch.manual_seed(0)
    space, x = _linear(torch.eye(4), Uniform(4, -1.0, 0.5)), 2 * torch.randn(20, 4)
    found = invert(space, x, steps=200, restarts=2)
    torch.testing.assert_close(found.z, x.clamp(-1, 0.5), atol=2e-3, rtol=0)
    weighted = invert(space, x, steps=200, restarts=2, prior_weight=0.1)
    torch.testing.assert_close(weighted.z, x.clamp(-1, 0.5), atol=2e-3, rtol=0)


def test_classes_are_found_beside_the_rest_of_the_code() -> None:
    torch.manual_seed(0)
    prior = Product([StandardNormal(2), OneHot(10)])
    space = _linear(torch.cat([0.3 * torch.randn(12, 2), 2 * torch.randn(12, 10)], 1), prior)
    z = prior().sample((30,))
    found = invert(space, space.decode(z).mean, steps=300, restarts=1, lr=0.2)
    assert bool((found.z[:, 2:] == z[:, 2:]).all())
    torch.testing.assert_close(found.z, z, atol=2e-2, rtol=0)


def test_an_encoder_that_leaves_the_manifold_starts_on_it() -> None:
    encoder = nn.Linear(4, 4)
    nn.init.zeros_(encoder.weight)
    encoder.bias.data = torch.tensor([7.0, 0.0, 2.0, 1.0])
    prior = Product([Uniform(1), OneHot(3)])
    space = EncodableLatentSpace(encoder, nn.Identity(), FixedGaussian((4,)), prior, Deterministic()).eval()
    found = invert(space, torch.randn(2, 4), steps=0, restarts=0)
    torch.testing.assert_close(found.z, torch.tensor([[1.0, 0.0, 1.0, 0.0]]).expand(2, 4))


def test_styles_are_found_without_a_prior_and_refused_with_one() -> None:
    torch.manual_seed(0)
    generator = StyleGenerator(3, (1, 4, 4), width=3, channels=(4,), mapping_layers=1)
    space = style_space(
        GeneratorSpace(RescaledGenerator(generator), FixedGaussian((1, 4, 4)), StandardNormal(3)).eval()
    )
    x = space.sample(2)
    assert invert(space, x, steps=100, restarts=2).error.max() < invert(space, x, steps=0, restarts=2).error.max()
    with pytest.raises(TypeError, match="expected a prior with a density, got Styles"):
        invert(space, x, prior_weight=0.1)


def test_no_observations_have_no_codes() -> None:
    found = invert(_linear(torch.eye(4), Uniform(4)), torch.zeros(0, 4), steps=3, restarts=2)
    assert found.z.shape == (0, 4)
