"""not-MIWAE on a linear Gaussian model whose exact likelihood of values and mask is a one-dimensional integral."""

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from lsgen.latent import EncodableLatentSpace, StandardNormal, impute, mask_log_prob, pseudo_gibbs
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models.vae import MissingDataIWAE, NotMIWAE
from lsgen.nn import MissingnessNetwork, MLPDecoder, MLPEncoder, SelfMasking

f64 = torch.float64
LOADING, NOISE, SLOPE, OFFSET, SEEN = np.array([0.9, -0.7]), 0.6, 1.8, 0.4, 0.8


def _model() -> tuple[EncodableLatentSpace, SelfMasking]:
    """Two values of one code, x = (0.9, -0.7) z + noise; the first is missing more often where it is high."""
    encoder, decoder = MLPEncoder((2,), 1, hidden=()), MLPDecoder(1, (2,), hidden=())
    masking = SelfMasking((2,))
    with torch.no_grad():
        encoder.layers[0].weight.zero_()
        encoder.layers[0].bias.copy_(torch.tensor([-0.3, 0.1]))
        decoder.layers[0].weight.copy_(torch.from_numpy(LOADING)[:, None])
        decoder.layers[0].bias.zero_()
        masking.slope.copy_(torch.tensor([SLOPE, 0.0]))
        masking.offset.copy_(torch.tensor([OFFSET, 30.0]))  # the second is always observed
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((2,), NOISE), StandardNormal(1))
    return space.double(), masking.double()


BATCH = {"x": torch.tensor([[5.0, SEEN]], dtype=f64), "observed": torch.tensor([[False, True]])}


def _expectation(f) -> float:
    """Return int p(x_o, x_m) p(s|x) f(x_m) dx_m: x is normal with covariance a a^T + noise^2."""
    variance = LOADING[1] ** 2 + NOISE**2
    law = stats.norm(
        LOADING[0] * LOADING[1] / variance * SEEN, np.sqrt(LOADING[0] ** 2 * NOISE**2 / variance + NOISE**2)
    )
    density = stats.norm(0, np.sqrt(variance)).pdf(SEEN)
    missing = lambda x: special.expit(SLOPE * x - OFFSET)
    return density * integrate.quad(lambda x: law.pdf(x) * missing(x) * f(x), -12, 12, epsabs=0)[0]


def _second_moment() -> float:
    """Return E[w^2] of the importance weights, over z ~ q and x_m ~ p(x_m|z)."""
    scale = np.exp(0.05)
    z, e = np.linspace(-8, 8, 801)[:, None] * scale - 0.3, np.linspace(-8, 8, 801)
    q = stats.norm.pdf(z, -0.3, scale)
    seen = stats.norm.pdf(SEEN, LOADING[1] * z, NOISE) * stats.norm.pdf(z) / q
    hidden = special.expit(SLOPE * (LOADING[0] * z + NOISE * e) - OFFSET)
    return float((q * stats.norm.pdf(e) * (seen * hidden) ** 2).sum() * (16 / 800) ** 2 * scale)


def test_bound_tends_to_the_exact_likelihood_of_values_and_mask_with_its_known_bias() -> None:
    space, masking = _model()
    exact = _expectation(lambda x: 1.0)
    torch.manual_seed(0)
    bound = -NotMIWAE(masking, 100_000)(space, BATCH, 0).loss
    assert bound.item() == pytest.approx(np.log(exact), abs=0.01)
    rows, k = 10_000, 20
    batch = {name: value.expand(rows, 2) for name, value in BATCH.items()}
    small = -NotMIWAE(masking, k)(space, batch, 0).loss.item()
    variance = _second_moment() - exact**2
    bias = -variance / (2 * k * exact**2)
    error = (variance / exact**2 / (k * rows)) ** 0.5
    assert bias < -10 * error
    assert small - np.log(exact) == pytest.approx(bias, abs=5 * error + 0.15 * abs(bias))


def test_imputation_is_the_exact_expectation_given_values_and_mask() -> None:
    space, masking = _model()
    exact = _expectation(lambda x: x) / _expectation(lambda x: 1.0)
    square = _expectation(lambda x: x * x) / _expectation(lambda x: 1.0)
    plain = LOADING[0] * LOADING[1] / (LOADING[1] ** 2 + NOISE**2) * SEEN
    torch.manual_seed(0)
    x, observed = BATCH["x"].expand(50, 2), BATCH["observed"].expand(50, 2)
    assert impute(space, x, observed, 4000, 1).mean[:, 0].mean().item() == pytest.approx(plain, abs=0.02)
    NotMIWAE(masking).check(space)
    found = impute(space, x, observed, 4000, 20)
    assert found.mean[:, 0].mean().item() == pytest.approx(exact, abs=0.02)
    assert found.draws[..., 0].mean().item() == pytest.approx(exact, abs=0.1)
    assert found.draws[..., 0].square().mean().item() == pytest.approx(square, abs=0.15)
    assert exact - plain > 0.3
    assert bool((found.draws[..., 1] == SEEN).all())
    with pytest.raises(TypeError, match="expected values missing at random, got a model of the mask"):
        pseudo_gibbs(space, x, observed)


def test_a_mask_that_does_not_depend_on_the_values_adds_its_own_probability() -> None:
    space, masking = _model()
    with torch.no_grad():
        masking.slope.zero_()
    losses = []
    for objective in (NotMIWAE(masking, 5), MissingDataIWAE(5)):
        torch.manual_seed(0)
        losses.append(objective(space, BATCH, 0).loss)
    expected = -np.log(special.expit(-OFFSET)) - np.log(special.expit(30.0))
    # The first objective draws x_m after z, so that both see the same codes.
    torch.testing.assert_close(losses[0] - losses[1], torch.tensor(expected, dtype=f64))


def test_probability_of_the_mask_is_in_single_precision_where_its_model_runs_in_half() -> None:
    network, x, observed = MissingnessNetwork((40,)), torch.randn(3, 2, 40), torch.rand(2, 40) < 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, logits = mask_log_prob(network, x, observed), network(x.flatten(0, 1)).view_as(x).double()
    exact = torch.where(observed, torch.sigmoid(logits), torch.sigmoid(-logits)).log().sum(-1)
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=0)


def test_known_signs_hide_high_or_low_values() -> None:
    x = torch.linspace(-2, 2, 9)[:, None]
    for hidden, sign in (("high", -1), ("low", 1)):
        assert bool((SelfMasking((1,), hidden)(x).diff(dim=0) * sign > 0).all())
    assert bool((SelfMasking((1,))(x) == 0).all())
    linear = MissingnessNetwork((3,), hidden=())
    assert linear(torch.zeros(5, 3)).shape == (5, 3)
    with pytest.raises(ValueError, match='hidden values that are "any", "high" or "low", got \'up\''):
        SelfMasking((1,), "up")  # type: ignore[arg-type]


def test_a_known_model_of_the_mask_without_parameters_is_bound() -> None:
    space = EncodableLatentSpace(MLPEncoder((2,), 1), MLPDecoder(1, (2,)), FixedGaussian((2,)), StandardNormal(1))
    known = torch.nn.Identity()
    NotMIWAE(known).check(space)
    assert space.missingness is known


def test_likelihoods_without_gradients_of_draws_and_batches_without_a_mask_are_refused() -> None:
    encoder, decoder = MLPEncoder((2,), 1), MLPDecoder(1, (2,))
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((2,)), StandardNormal(1))
    with pytest.raises(
        TypeError, match="whose draws carry a gradient, such as a Gaussian or Student's t, got Bernoulli"
    ):
        NotMIWAE(SelfMasking((2,))).check(space)
    with pytest.raises(ValueError, match=r"a missingness with logits of shape \(2,\), got \(3,\)"):
        NotMIWAE(torch.nn.Linear(2, 3)).check(space)
    with pytest.raises(ValueError, match=r"SelfMasking expected observations of shape \(B, 3\), got \(1, 2\)"):
        NotMIWAE(SelfMasking((3,))).check(space)
    with pytest.raises(ValueError, match=r"MissingnessNetwork expected observations of shape \(B, 3\), got \(1, 2\)"):
        NotMIWAE(MissingnessNetwork((3,))).check(space)
    with pytest.raises(ValueError, match='NotMIWAE expected batches with "observed", got x'):
        NotMIWAE(SelfMasking((2,)))(space, {"x": torch.zeros(1, 2)}, 0)
