"""Bounds of averaged importance weights against the evidence of a linear-Gaussian model.

With the exact covariance and a mean off by `shift` standard deviations in each of d dimensions, delta^2 = d shift^2,
    D_alpha(q || p(z|x)) = alpha delta^2 / 2,    Var_q(w) / p(x)^2 = exp(delta^2) - 1 .
"""

from math import exp, log

import pytest
import torch
from torch import Tensor

from lsgen.models.vae import CIWAE, IWAE, MIWAE, PIWAE, Objective, Renyi
from lsgen.models.vae.bounds.multisample import importance

SHIFT = 0.4
DELTA2 = 2 * SHIFT**2


def _log_weights(model, samples: int, repeats: int) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return importance.draw(model.space, model.x.expand(repeats, model.D), samples).log_w


def _loss(objective: Objective, model, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    x = torch.randn(5, model.D, dtype=torch.float64)
    return objective(model.space, {"x": x}, 0).loss


EVERY = [IWAE(1), IWAE(7), MIWAE(3, 4), PIWAE(3, 4), CIWAE(5, 0.3), Renyi(0.5, 6), Renyi(-2.0, 6)]


@pytest.mark.parametrize("objective", EVERY, ids=lambda objective: type(objective).__name__)
def test_at_the_exact_posterior_every_bound_is_the_evidence(linear_gaussian, objective: Objective) -> None:
    model = linear_gaussian(shift=0.0)
    x = torch.randn(9, model.D, dtype=torch.float64)
    losses = objective(model.space, {"x": x}, 0)
    torch.testing.assert_close(losses.scalars["bound"], model.evidence(x).mean())
    torch.testing.assert_close(losses.loss, -model.evidence(x).mean())


def test_more_samples_tighten_the_bound_at_the_known_rate(linear_gaussian) -> None:
    model = linear_gaussian(SHIFT)
    previous, evidence = -torch.inf, model.evidence(model.x).item()
    for k in (1, 2, 8, 32):
        bounds = importance.log_mean_exp(_log_weights(model, k, 20_000))
        error = 5 * bounds.std().item() / len(bounds) ** 0.5
        mean = bounds.mean().item()
        assert previous < mean <= evidence + error
        if k == 1:
            assert mean == pytest.approx(evidence - DELTA2 / 2, abs=error)
        if k == 32:
            assert evidence - mean == pytest.approx((exp(DELTA2) - 1) / (2 * k), abs=error + 0.2 / k)
        previous = mean


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.3, 0.8, 1.0])
def test_renyi_bound_is_the_evidence_less_the_renyi_divergence(linear_gaussian, alpha: float) -> None:
    model = linear_gaussian(SHIFT)
    log_w = _log_weights(model, 200_000, 1)
    bound = Renyi(alpha, 1).bound(log_w).item()
    power = torch.exp((1 - alpha) * (log_w - log_w.max()))
    relative = (power.std() / power.mean()).item() if alpha != 1 else log_w.std().item()
    error = 5 * relative / len(log_w) ** 0.5 / (abs(1 - alpha) or 1)
    assert bound == pytest.approx(model.evidence(model.x).item() - alpha * DELTA2 / 2, abs=error)
    assert error < 0.03


def test_renyi_has_its_known_members(linear_gaussian) -> None:
    model = linear_gaussian(SHIFT)
    torch.testing.assert_close(_loss(Renyi(0.0, 6), model), _loss(IWAE(6), model))
    torch.testing.assert_close(_loss(Renyi(1.0, 6), model), _loss(CIWAE(6, beta=1.0), model))
    torch.testing.assert_close(_loss(Renyi(1 - 1e-6, 6), model), _loss(Renyi(1.0, 6), model), rtol=1e-5, atol=0)
    largest = _loss(Renyi(-torch.inf, 6), model)
    torch.testing.assert_close(_loss(Renyi(-1e4, 6), model), largest, rtol=0, atol=log(6) / 1e4 * 1.01)


def test_groups_and_combinations_are_made_of_the_same_bounds(linear_gaussian) -> None:
    model = linear_gaussian(SHIFT)
    torch.testing.assert_close(_loss(MIWAE(1, 6), model), _loss(IWAE(6), model))
    torch.testing.assert_close(_loss(MIWAE(6, 1), model), _loss(CIWAE(6, beta=1.0), model))
    mixed = 0.3 * _loss(Renyi(1.0, 6), model) + 0.7 * _loss(IWAE(6), model)
    torch.testing.assert_close(_loss(CIWAE(6, beta=0.3), model), mixed)


def _gradients(objective: Objective, model) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    x, space = torch.randn(5, model.D, dtype=torch.float64), model.space
    loss = objective(space, {"x": x}, 0).loss
    decoder, *encoder = torch.autograd.grad(loss, [space.decoder.weight, space.encoder.weight, space.encoder.bias])
    return decoder, torch.cat([part.flatten() for part in encoder])


@pytest.mark.parametrize("shift", [0.4, 5.0])
def test_partial_weighting_gives_each_side_the_gradient_of_its_bound(linear_gaussian, shift: float) -> None:
    model = linear_gaussian(shift)
    decoder, encoder = _gradients(PIWAE(3, 4), model)
    torch.testing.assert_close(decoder, _gradients(IWAE(12), model)[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(encoder, _gradients(MIWAE(3, 4), model)[1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(_loss(PIWAE(3, 4), model), _loss(IWAE(12), model))


def test_gradient_of_the_bound_weighs_the_samples(linear_gaussian) -> None:
    """Burda et al., equation 14: the gradient is that of log w, averaged with the normalised weights."""
    model = linear_gaussian(SHIFT)
    torch.manual_seed(3)
    x, space = torch.randn(5, model.D, dtype=torch.float64), model.space
    log_w = importance.draw(space, x, 12).log_w
    surrogate = -(log_w.detach().softmax(0) * log_w).sum(0).mean()
    (decoder,) = torch.autograd.grad(surrogate, [space.decoder.weight])
    torch.testing.assert_close(decoder, _gradients(IWAE(12), model)[0])


def test_terms_are_averages_over_the_samples_in_nats(linear_gaussian) -> None:
    model = linear_gaussian(SHIFT)
    losses = IWAE(5)(model.space, {"x": torch.randn(4, model.D, dtype=torch.float64)}, 0)
    assert losses.reconstruction.shape == (4,)
    assert losses.kl.shape == (4, model.d)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="expected samples of at least 1, got 0"):
        IWAE(0)
    with pytest.raises(ValueError, match="expected groups of at least 1, got -1"):
        PIWAE(-1, 3)
    with pytest.raises(ValueError, match="expected an order alpha < infinity, got inf"):
        Renyi(float("inf"))
