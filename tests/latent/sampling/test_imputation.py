"""Imputation against the conditional of a linear-Gaussian model."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lsgen.latent import EncodableLatentSpace, impute, observed_log_prob, pseudo_gibbs
from lsgen.likelihoods import Multinomial
from lsgen.models import LinearModel
from lsgen.models.vae import IWAE, MissingDataIWAE

D, d = 5, 2


def _model(wider: float = 0.0) -> tuple[EncodableLatentSpace, Tensor, Tensor]:
    """Return a fitted linear model with the mean and the covariance of its observations.

    A proposal from partial observations must be wider than the posterior of whole ones: `wider` adds to log variances.
    """
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(d, D, dtype=torch.float64, generator=generator)
    x = torch.randn(400, d, dtype=torch.float64, generator=generator) @ mixing
    x = x + 0.5 * torch.randn(400, D, dtype=torch.float64, generator=generator) + 1.0
    space = LinearModel((D,), d).double().fit(x).latent_space
    decoder = space.decoder.layers[0]
    with torch.no_grad():
        space.encoder.layers[0].bias[d:] += wider
    noise = torch.exp(2 * space.likelihood.log_sigma) * torch.eye(D, dtype=torch.float64)
    return space, decoder.bias, decoder.weight @ decoder.weight.T + noise


X = torch.tensor([[1.5, 0.0, 0.3, 2.0, 9.0], [0.2, 1.1, 9.0, 9.0, 1.0]], dtype=torch.float64)
OBSERVED = torch.tensor([[True, True, True, True, False], [True, True, False, False, True]])


def _conditional(mean: Tensor, covariance: Tensor, row: int) -> MultivariateNormal:
    o, m = OBSERVED[row], ~OBSERVED[row]
    gain = covariance[m][:, o] @ torch.linalg.inv(covariance[o][:, o])
    location = mean[m] + gain @ (X[row, o] - mean[o])
    return MultivariateNormal(location, covariance[m][:, m] - gain @ covariance[o][:, m])


def test_expectation_and_draws_are_those_of_the_exact_conditional() -> None:
    space, mean, covariance = _model(wider=1.5)
    torch.manual_seed(0)
    draws = 500
    result = impute(space, X, OBSERVED, samples=10_000, draws=draws, chunk_size=2000)
    for row in range(2):
        exact, missing = _conditional(mean, covariance, row), ~OBSERVED[row]
        deviation = exact.variance.sqrt()
        error = 5 * deviation / result.effective_samples[row].sqrt()
        assert bool(((result.mean[row, missing] - exact.mean).abs() < error).all())
        drawn = result.draws[:, row][:, missing]
        error = 5 * deviation * (1 / draws + 1 / result.effective_samples[row].item()) ** 0.5
        assert bool(((drawn.mean(0) - exact.mean).abs() < error).all())
        assert bool((drawn.std(0) / deviation - 1).abs().max() < 5 / (2 * draws) ** 0.5)
    torch.testing.assert_close(result.draws[:, OBSERVED], X[OBSERVED].expand(draws, -1))


def test_intervals_of_the_draws_cover_as_often_as_they_say() -> None:
    space, mean, covariance = _model(wider=1.5)
    torch.manual_seed(0)
    x = MultivariateNormal(mean, covariance).sample((200,))
    observed = torch.rand(200, D) < 0.6
    observed[:, 0] = True
    draws = impute(space, x, observed, samples=1000, draws=100, chunk_size=500).draws
    low, high = draws.quantile(torch.tensor([0.1, 0.9]).double(), dim=0)
    covered = ((x > low) & (x < high))[~observed].double()
    assert covered.mean().item() == pytest.approx(0.8, abs=0.03 + 5 * (0.16 / len(covered)) ** 0.5)


def test_chunks_do_not_change_the_estimator() -> None:
    space, _, covariance = _model(wider=1.5)
    torch.manual_seed(0)
    one = impute(space, X, OBSERVED, samples=8000, draws=1, chunk_size=8000)
    many = impute(space, X, OBSERVED, samples=8000, draws=1, chunk_size=137)
    error = 6 * covariance.diagonal().sqrt() / one.effective_samples.min().sqrt()
    assert bool(((one.mean - many.mean).abs() < error).all())


def test_pseudo_gibbs_is_exact_where_the_encoder_is() -> None:
    space, mean, covariance = _model()
    torch.manual_seed(0)
    chain = pseudo_gibbs(space, X[:1].expand(400, D), OBSERVED[:1].expand(400, D), steps=120, draws=1)[0]
    exact = _conditional(mean, covariance, 0)
    deviation = exact.variance.sqrt()
    assert bool(((chain[:, 4:].mean(0) - exact.mean).abs() < 5 * deviation / 20).all())
    assert bool((chain[:, 4:].std(0) / deviation - 1).abs().max() < 5 / 800**0.5)
    torch.testing.assert_close(chain[:, :4], X[:1, :4].expand(400, 4))


def test_metropolis_within_gibbs_is_exact_though_the_encoder_is_not() -> None:
    space, mean, covariance = _model(wider=1.5)
    with torch.no_grad():
        space.encoder.layers[0].bias[:d] += 0.7
    exact = _conditional(mean, covariance, 0)
    deviation = exact.variance.sqrt()
    shift = {}
    for metropolis in (False, True):
        torch.manual_seed(0)
        chain = pseudo_gibbs(space, X[:1].expand(400, D), OBSERVED[:1].expand(400, D), 400, 1, metropolis)[0]
        shift[metropolis] = ((chain[:, 4:].mean(0) - exact.mean) / deviation).abs().max()
        spread = (chain[:, 4:].std(0) / deviation - 1).abs().max()
    assert shift[False] > 2
    assert shift[True] < 5 / 20
    assert spread < 5 / 800**0.5


def test_bound_is_that_of_the_observed_values() -> None:
    space, mean, covariance = _model()
    torch.manual_seed(0)
    batch = {"x": X, "observed": OBSERVED}
    exact = torch.stack(
        [MultivariateNormal(mean[o], covariance[o][:, o]).log_prob(X[row, o]) for row, o in enumerate(OBSERVED)]
    )
    bound = -MissingDataIWAE(50_000)(space, batch, 0).loss
    assert bound.item() == pytest.approx(exact.mean().item(), abs=0.1)
    small = torch.stack([-MissingDataIWAE(2)(space, batch, 0).loss for _ in range(200)])
    assert small.mean() < exact.mean() + 5 * small.std() / 200**0.5


def test_nothing_missing_is_the_plain_bound() -> None:
    space, _, _ = _model()
    losses = []
    for objective, batch in (
        (MissingDataIWAE(5), {"x": X, "observed": torch.ones_like(OBSERVED)}),
        (IWAE(5), {"x": X}),
    ):
        torch.manual_seed(0)
        losses.append(objective(space, batch, 0).loss)
    torch.testing.assert_close(*losses)


def test_bad_masks_are_refused() -> None:
    space, _, _ = _model()
    with pytest.raises(ValueError, match=r"expected a boolean mask of shape \(2, 5\), got torch.float64 \(2, 5\)"):
        impute(space, X, OBSERVED.double())
    with pytest.raises(ValueError, match="expected numbers of samples, draws and steps of at least 1"):
        impute(space, X, OBSERVED, samples=0)
    with pytest.raises(ValueError, match="expected no more draws than steps, got 5 and 4"):
        pseudo_gibbs(space, X, OBSERVED, steps=4, draws=5)
    with pytest.raises(ValueError, match='MissingDataIWAE expected batches with "observed", got x'):
        MissingDataIWAE()(space, {"x": X}, 0)
    with pytest.raises(TypeError, match="expected a likelihood with independent data dimensions"):
        observed_log_prob(MultivariateNormal(torch.zeros(2), torch.eye(2)), torch.zeros(1, 2), torch.ones(1, 2).bool())
    counts = Multinomial((2,), 3)(torch.zeros(1, 2))
    with pytest.raises(TypeError, match="expected a likelihood with independent data dimensions, got Counts"):
        observed_log_prob(counts, torch.ones(1, 2), torch.ones(1, 2).bool())
