"""The doubly reparameterised gradient: the bound's own, with less noise, and none at the exact posterior."""

import pytest
import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, LadderDecoder, LadderPosterior, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.vae import IWAE, DReG, Objective
from lsgen.nn import MLPDecoder, MLPEncoder


def _gradients(objective: Objective, space: EncodableLatentSpace, x: Tensor, repeats: int) -> tuple[Tensor, Tensor]:
    """Return gradients of encoder biases and of decoder weights, one row a repetition."""
    encoder, decoder = [], []
    for seed in range(repeats):
        torch.manual_seed(seed)
        loss = objective(space, {"x": x}, 0).loss
        one, other = torch.autograd.grad(loss, [space.encoder.bias, space.decoder.weight])
        encoder.append(one)
        decoder.append(other.flatten())
    return torch.stack(encoder), torch.stack(decoder)


@pytest.mark.parametrize("samples", [1, 8])
def test_gradient_is_that_of_the_bound_with_less_noise(linear_gaussian, samples: int) -> None:
    model = linear_gaussian(shift=0.4)
    space, x = model.space, model.x.expand(200, model.D)
    plain, doubly = (_gradients(kind(samples), space, x, 60) for kind in (IWAE, DReG))
    error = 5 * ((plain[0].var(0) + doubly[0].var(0)) / 60).sqrt()
    assert bool(((plain[0].mean(0) - doubly[0].mean(0)).abs() < error).all())
    assert bool((doubly[0].var(0) < plain[0].var(0)).all())
    torch.testing.assert_close(plain[1], doubly[1])


def test_encoder_gets_no_gradient_from_any_sample_at_the_exact_posterior(linear_gaussian) -> None:
    model = linear_gaussian(shift=0.0)
    doubly, _ = _gradients(DReG(4), model.space, torch.randn(5, model.D, dtype=torch.float64), 3)
    plain, _ = _gradients(IWAE(4), model.space, torch.randn(5, model.D, dtype=torch.float64), 3)
    torch.testing.assert_close(doubly, torch.zeros_like(doubly), atol=1e-12, rtol=0)
    assert plain.abs().max().item() > 1e-3


def test_value_is_that_of_the_importance_weighted_bound(linear_gaussian) -> None:
    model = linear_gaussian(shift=0.3)
    losses = []
    for objective in (IWAE(6), DReG(6)):
        torch.manual_seed(0)
        losses.append(objective(model.space, {"x": torch.randn(7, model.D, dtype=torch.float64)}, 0))
    torch.testing.assert_close(losses[0].loss, losses[1].loss)
    torch.testing.assert_close(losses[0].elbo, losses[1].elbo)


def test_value_is_that_of_the_bound_in_mixed_precision_too() -> None:
    space = EncodableLatentSpace(MLPEncoder((4,), 2), MLPDecoder(2, (4,)), FixedGaussian((4,)), StandardNormal(2))
    x, values = torch.randn(3, 4), []
    for objective in (IWAE(6), DReG(6)):
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values.append(objective(space, {"x": x}, 0).loss)
    torch.testing.assert_close(values[0], values[1], rtol=1e-6, atol=0)


def test_posteriors_that_share_parameters_with_the_decoder_are_refused() -> None:
    ladder = LadderDecoder(MLPEncoder((2,), 3), MLPDecoder(3, (4,)), 2, 3)
    encoder = MLPEncoder((4,), 5)
    space = EncodableLatentSpace(encoder, ladder, FixedGaussian((4,)), StandardNormal(5), LadderPosterior())
    with pytest.raises(TypeError, match="DReG expected a posterior made by the encoder alone, got LadderPosterior"):
        DReG(3)(space, {"x": torch.zeros(2, 4)}, 0)
