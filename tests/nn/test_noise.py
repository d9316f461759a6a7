"""Noise that is held: functions of one input whose randomness cancels in differences."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import path_length
from lsgen.models.gan.regularisers.hessian_penalty import HessianPenalty
from lsgen.nn.adversarial.stylegan import StyleGenerator
from lsgen.nn.noise import same_noise


class Noisy(nn.Module):
    """W z + N(0, 1): linear in z for given noise."""

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(5, 3, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        x = z @ self.W.T
        return x + torch.randn_like(x)


def test_calls_see_one_noise_and_leave_the_generator_alone() -> None:
    z = torch.zeros(4, 3, dtype=torch.float64)
    with same_noise(Noisy()) as held, same_noise(Noisy()) as other:
        state = torch.get_rng_state()
        first = held(z)
        torch.randn(7)
        assert torch.equal(held(z), first)
        assert not torch.equal(other(z), first)
        torch.set_rng_state(state)
        held(z)
        assert torch.equal(torch.get_rng_state(), state)
        assert not torch.equal(torch.randn(4, 5, dtype=torch.float64), first)


def test_the_next_numbers_are_not_those_of_the_held_noise() -> None:
    with same_noise(lambda z: torch.rand_like(z)) as held:
        assert not torch.equal(held(torch.zeros(8)), torch.rand(8))


@pytest.mark.parametrize(
    "generator",
    [
        Noisy(),
        nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5)).double(),
        spectral_norm(nn.Linear(3, 5).double()),
    ],
    ids=["noise", "dropout", "spectral norm"],
)
def test_linear_generators_have_no_hessian_whatever_they_draw(generator: nn.Module) -> None:
    z = torch.randn(6, 3, dtype=torch.float64)
    penalty = HessianPenalty(samples=3)(generator.train(), z, generator(z))
    assert penalty < 1e-20
    penalty.backward()
    assert all(p.grad is not None for p in generator.parameters())


def test_the_penalty_of_a_style_generator_is_that_of_its_images_with_one_noise() -> None:
    torch.manual_seed(0)
    generator = StyleGenerator(4, (1, 8, 8), width=6, channels=(6, 4), mapping_layers=2, mixing=1.0).double()
    z = torch.randn(6, 4, dtype=torch.float64)
    values = {}
    for strength in (0.0, 1e-9):
        for name, parameter in generator.named_parameters():
            if name.endswith("strength"):
                parameter.data.fill_(strength)
        for training in (True, False):
            generator.train(training)
            torch.manual_seed(1)
            values[strength, training] = HessianPenalty()(generator, z, torch.zeros((), dtype=torch.float64)).item()
    assert values[0.0, False] > 0
    assert max(values.values()) == pytest.approx(min(values.values()), rel=1e-5)


def test_path_lengths_of_a_noisy_decoder_are_those_of_its_map() -> None:
    torch.manual_seed(0)
    decoder = Noisy()
    space = LatentSpace(decoder, FixedGaussian((5,)).double(), StandardNormal(3).double())
    result = path_length(space, n=4000, discard=0.0, batch_size=4000)
    expected = 2 * decoder.W.square().sum()
    assert (result.mean - expected).abs() < 5 * result.std / 4000**0.5
