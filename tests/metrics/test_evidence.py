"""Estimates of the evidence against a linear-Gaussian model, where it is known."""

from math import exp

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.metrics import AggregatePosterior, NegativeLogLikelihood, annealed_log_evidence, log_evidence
from lsgen.metrics.annealed import sigmoidal
from lsgen.models import LinearModel

D, d = 5, 2


def _model(shift: float = 0.0) -> tuple[EncodableLatentSpace, MultivariateNormal]:
    """Return a fitted linear model, its posterior means moved by `shift` standard deviations, and its evidence."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(d, D, dtype=torch.float64, generator=generator)
    x = torch.randn(400, d, dtype=torch.float64, generator=generator) @ mixing
    x = x + 0.5 * torch.randn(400, D, dtype=torch.float64, generator=generator)
    space = LinearModel((D,), d).double().fit(x).latent_space
    encoder, decoder = space.encoder.layers[0], space.decoder.layers[0]
    with torch.no_grad():
        encoder.bias[:d] += shift * (encoder.bias[d:] / 2).exp()
        noise = torch.exp(2 * space.likelihood.log_sigma) * torch.eye(D, dtype=torch.float64)
        return space, MultivariateNormal(decoder.bias, decoder.weight @ decoder.weight.T + noise)


def _x(n: int) -> Tensor:
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_exact_posterior_gives_the_exact_evidence_with_every_sample_effective() -> None:
    space, marginal = _model()
    x = _x(6)
    estimate = log_evidence(space, x, samples=7, chunk_size=3)
    torch.testing.assert_close(estimate.log_evidence, marginal.log_prob(x))
    torch.testing.assert_close(estimate.effective_samples, torch.full((6,), 7.0, dtype=torch.float64))


def test_estimate_converges_with_the_stated_effective_sample_size() -> None:
    """Var(w)/p^2 = exp(delta^2) - 1, and the effective sample size tends to K exp(-delta^2)."""
    shift, samples = 0.5, 20_000
    space, marginal = _model(shift)
    x = _x(4)
    torch.manual_seed(0)
    estimate = log_evidence(space, x, samples, chunk_size=5000)
    delta2 = d * shift**2
    error = 5 * ((exp(delta2) - 1) / samples) ** 0.5
    torch.testing.assert_close(estimate.log_evidence, marginal.log_prob(x), rtol=0, atol=error)
    torch.testing.assert_close(
        estimate.effective_samples / samples, torch.full((4,), exp(-delta2)).double(), rtol=0.1, atol=0
    )


def test_chunks_change_the_memory_and_not_the_estimator() -> None:
    space, _ = _model(0.5)
    sizes: list[int] = []
    space.decoder.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    log_evidence(space, _x(3), samples=50, chunk_size=20)
    assert sizes == [60, 60, 30]


def test_negative_log_likelihood_is_exact_over_batches() -> None:
    space, marginal = _model()
    x = _x(10)
    metric = NegativeLogLikelihood(samples=3)
    for part in x.split(4):
        metric.update(space, part)
    torch.testing.assert_close(metric.compute(), -marginal.log_prob(x).mean())
    torch.testing.assert_close(metric.effective_samples, torch.tensor(3.0, dtype=torch.float64))


def _posterior_draws(space: EncodableLatentSpace, x: Tensor, chains: int) -> Tensor:
    return space.encode(x).sample((chains,))


def test_annealing_encloses_the_evidence_and_needs_no_encoder() -> None:
    space, marginal = _model()
    x, chains = _x(3) * 2, 200
    exact = marginal.log_prob(x)
    torch.manual_seed(0)
    below = annealed_log_evidence(space, x, temperatures=40, chains=chains, leapfrog_steps=4)
    above = annealed_log_evidence(
        space, x, temperatures=40, chains=chains, leapfrog_steps=4, start=_posterior_draws(space, x, chains)
    )
    for run, sign in ((below, 1), (above, -1)):
        error = 5 * run.log_weights.std(0) / chains**0.5
        assert bool((sign * (exact - run.log_weights.mean(0)) > -error).all())
        ratio = torch.exp(sign * (run.log_weights - exact))
        assert bool(((ratio.mean(0) - 1).abs() < 5 * ratio.std(0) / chains**0.5).all())
    torch.testing.assert_close(below.log_evidence, exact, rtol=0, atol=0.2)
    assert 0.4 < below.acceptance.mean().item() < 0.95


def test_annealed_chains_end_in_the_posterior() -> None:
    space, _ = _model()
    x, chains = _x(2), 400
    torch.manual_seed(0)
    z = annealed_log_evidence(space, x, temperatures=60, chains=chains, leapfrog_steps=4).z
    q = space.encode(x)
    assert bool(((z.mean(0) - q.mean).abs() < 5 * q.stddev / chains**0.5).all())
    assert bool(((z.std(0) / q.stddev - 1).abs() < 5 / (2 * chains) ** 0.5).all())


def test_more_temperatures_tighten_the_bound() -> None:
    space, marginal = _model()
    x = _x(2) * 2
    gaps = []
    for temperatures in (3, 40):
        torch.manual_seed(0)
        run = annealed_log_evidence(space, x, temperatures, chains=100, leapfrog_steps=4)
        gaps.append((marginal.log_prob(x) - run.log_weights.mean(0)).mean().item())
    assert gaps[1] < gaps[0] / 2


def test_temperatures_rise_from_zero_to_one_symmetrically() -> None:
    betas = sigmoidal(10, torch.zeros((), dtype=torch.float64))
    assert (betas[0], betas[-1]) == (0, 1)
    assert bool((betas.diff() > 0).all())
    torch.testing.assert_close(betas + betas.flip(0), torch.ones(11, dtype=torch.float64))


def test_parts_of_the_average_divergence_of_gaussian_codes() -> None:
    n = 3000
    C = torch.tensor([[1.5, 0.6], [0.6, 0.8]], dtype=torch.float64)
    scale2 = 0.1
    root = torch.linalg.cholesky(C - scale2 * torch.eye(2, dtype=torch.float64))
    mean = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) @ root.T
    metric = AggregatePosterior(StandardNormal(2).double()(), codes=1500)
    torch.manual_seed(0)
    for part in mean.split(700):
        metric.update(Independent(Normal(part, torch.full_like(part, scale2**0.5)), 1))
    value = metric.compute()
    logdet, trace = torch.logdet(C).item(), torch.trace(C).item()
    information = 0.5 * (logdet - 2 * torch.tensor(scale2).log().item())
    error = 5 * value["mutual_information_error"].item() + 0.03
    assert value["mutual_information"].item() == pytest.approx(information, abs=error)
    assert value["marginal_kl"].item() == pytest.approx(0.5 * (trace - 2 - logdet), abs=error)
    total = -0.5 * (logdet - C.diagonal().log().sum().item())
    assert value["total_correlation"].item() == pytest.approx(total, abs=error)
    parts = value["total_correlation"] + value["dimension_wise_kl"]
    torch.testing.assert_close(parts, value["marginal_kl"])


def test_information_of_separate_codes_is_the_logarithm_of_their_number() -> None:
    metric = AggregatePosterior(StandardNormal(1)())
    metric.update(Independent(Normal(torch.arange(20.0)[:, None], torch.full((20, 1), 1e-3)), 1))
    torch.testing.assert_close(metric.compute()["mutual_information"], torch.tensor(20.0).double().log())


def test_impossible_numbers_are_refused() -> None:
    space, _ = _model()
    with pytest.raises(ValueError, match="expected samples and chunk_size of at least 1, got 0 and 5"):
        log_evidence(space, _x(1), 0, 5)
    with pytest.raises(
        ValueError, match="expected temperatures, chains and leapfrog_steps of at least 1, got 0, 1 and 1"
    ):
        annealed_log_evidence(space, _x(1), 0, 1, 1)
    with pytest.raises(ValueError, match=r"expected start of shape \(2, 1, 2\), got \(1, 1, 2\)"):
        annealed_log_evidence(space, _x(1), 2, 2, 1, start=torch.zeros(1, 1, 2, dtype=torch.float64))
    with pytest.raises(TypeError, match="expected normal posteriors with independent dimensions"):
        AggregatePosterior(StandardNormal(2)()).update(MultivariateNormal(torch.zeros(3, 2), torch.eye(2)))
