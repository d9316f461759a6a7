"""Autoencoders without a bound: what each penalty is, on maps whose Jacobian is known."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lsgen.latent import Deterministic, EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models import VAE
from lsgen.models.vae import RAEGP, RAEL2, Autoencoder, Contractive, Denoising, GaussianNoise, Masking
from lsgen.nn import MLPDecoder, MLPEncoder

D, d, S = 6, 2, 0.7


def _space(linear: bool = True) -> EncodableLatentSpace:
    torch.manual_seed(0)
    hidden = () if linear else (5,)
    encoder = MLPEncoder((D,), d, hidden=hidden, activation=nn.Tanh, heads=1)
    decoder = MLPDecoder(d, (D,), hidden=hidden, activation=nn.Tanh)
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((D,), S), StandardNormal(d), Deterministic()).double()


def _x(n: int = 7) -> Tensor:
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_autoencoder_is_the_reconstruction_of_the_data() -> None:
    space, x = _space(), _x()
    losses = Autoencoder()(space, {"x": x}, 0)
    expected = -Normal(space.decoder(space.encoder(x)), S).log_prob(x).sum(1)
    torch.testing.assert_close(losses.reconstruction, expected)
    torch.testing.assert_close(losses.loss, expected.mean())
    assert losses.kl.shape == (7, 0)


def test_denoising_reconstructs_the_clean_observations() -> None:
    space, x = _space(), _x()
    torch.manual_seed(5)
    losses = Denoising(GaussianNoise(0.4))(space, {"x": x}, 0)
    torch.manual_seed(5)
    noisy = x + 0.4 * torch.randn_like(x)
    expected = -Normal(space.decoder(space.encoder(noisy)), S).log_prob(x).sum(1)
    torch.testing.assert_close(losses.reconstruction, expected)


def test_linear_denoising_adds_the_noise_that_passes_the_network() -> None:
    """E|x - W V (x + s n)|^2 = |x - W V x|^2 + s^2 |W V|_F^2 for linear maps."""
    space, x = _space(), _x(1)
    torch.manual_seed(0)
    noisy = Denoising(GaussianNoise(0.4))(space, {"x": x.expand(50_000, D)}, 0).reconstruction
    clean = Autoencoder()(space, {"x": x}, 0).reconstruction
    product = space.decoder.layers[0].weight @ space.encoder.layers[0].weight
    extra = 0.4**2 * product.square().sum() / (2 * S**2)
    assert (noisy.mean() - clean).item() == pytest.approx(extra.item(), abs=5 * noisy.std().item() / 50_000**0.5)


def test_masking_sets_the_stated_part_to_zero() -> None:
    torch.manual_seed(0)
    x = torch.full((100, 1000), 3.0)
    masked = Masking(0.3)(x)
    assert set(masked.unique().tolist()) == {0.0, 3.0}
    assert (masked == 0).double().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / 1e5) ** 0.5)


@pytest.mark.parametrize("linear", [True, False])
def test_contraction_is_the_squared_jacobian_of_the_encoder(linear: bool) -> None:
    space, x = _space(linear), _x()
    losses = Contractive(weight=3.0)(space, {"x": x}, 0)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: space.encoder(one[None])[0]))(x)
    contraction = jacobian.square().sum((1, 2)).mean()
    torch.testing.assert_close(losses.scalars["contraction"], contraction)
    torch.testing.assert_close(losses.loss, losses.reconstruction.mean() + 3 * contraction)


def test_contraction_trains_the_encoder_and_is_measured_without_a_graph() -> None:
    space, x = _space(linear=True), _x()
    weight = space.encoder.layers[0].weight
    with_, without = (Contractive(w)(space, {"x": x}, 0).loss for w in (3.0, 0.0))
    (gradient,) = torch.autograd.grad(with_ - without, weight)
    torch.testing.assert_close(gradient, 6 * weight.detach())
    with torch.no_grad():
        losses = Contractive(3.0)(space, {"x": x}, 0)
    assert not losses.loss.requires_grad
    torch.testing.assert_close(losses.loss, with_.detach())
    with torch.inference_mode():
        torch.testing.assert_close(Contractive(3.0)(space, {"x": _x()}, 0).loss, with_.detach())


@pytest.mark.parametrize("linear", [True, False])
def test_gradient_penalty_is_half_the_squared_jacobian_of_the_decoder(linear: bool) -> None:
    space, x = _space(linear), _x()
    losses = RAEGP(beta=0.5, weight=3.0)(space, {"x": x}, 0)
    z = space.encoder(x)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: space.decoder(one[None])[0]))(z)
    penalty = jacobian.square().sum((1, 2)).mean() / 2
    torch.testing.assert_close(losses.scalars["penalty"], penalty)
    expected = losses.reconstruction.mean() + 0.25 * z.square().sum(1).mean() + 3 * penalty
    torch.testing.assert_close(losses.loss, expected)


def test_gradient_penalty_is_of_the_mean_and_trains_the_decoder() -> None:
    decoder = MLPDecoder(d, (D,), hidden=()).double()
    encoder = MLPEncoder((D,), d, hidden=(), heads=1).double()
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((D,)), StandardNormal(d), Deterministic()).double()
    z = torch.randn(3, d, dtype=torch.float64)
    p = space.decode(z).mean
    exact = ((p * (1 - p)).unsqueeze(-1) * decoder.layers[0].weight).square().sum((1, 2)).mean() / 2
    torch.testing.assert_close(RAEGP().penalty(space, z), exact)
    weight = decoder.layers[0].weight
    (one,), (other,) = (torch.autograd.grad(value, weight) for value in (RAEGP().penalty(space, z), exact))
    torch.testing.assert_close(one, other)


def test_weight_penalty_is_that_of_weight_decay() -> None:
    space, x = _space(), _x()
    losses = RAEL2(beta=0.0, weight=0.1)(space, {"x": x}, 0)
    plain = Autoencoder()(space, {"x": x}, 0)
    parameters = list(space.decoder.parameters())
    for gradient, parameter in zip(torch.autograd.grad(losses.loss - plain.loss, parameters), parameters, strict=True):
        torch.testing.assert_close(gradient, 0.1 * parameter.detach())


def test_reconstruction_of_a_point_code() -> None:
    space, x = _space(), _x()
    vae = VAE(space.encoder, space.decoder, space.likelihood, space.prior, Autoencoder(), Deterministic())
    torch.testing.assert_close(vae(x), space.decoder(space.encoder(x)))


def test_impossible_corruptions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a standard deviation sigma > 0, got 0"):
        GaussianNoise(0.0)
    with pytest.raises(ValueError, match=r"expected a fraction in \(0, 1\), got 1"):
        Masking(1.0)
