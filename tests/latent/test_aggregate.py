"""Minibatch estimates of the aggregate posterior against a correlated Gaussian, whose total correlation is known."""

from itertools import combinations
from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from lsgen.latent import StandardNormal, aggregate_terms
from lsgen.latent.aggregate import Sampling, log_weights, pairwise_log_prob

C = torch.tensor([[1.0, 0.72], [0.72, 1.0]], dtype=torch.float64)
TOTAL_CORRELATION = -0.5 * torch.logdet(C).item()
SCALE2 = 0.15


def _posteriors(n: int, seed: int = 0) -> tuple[Independent, Tensor]:
    """Return n posteriors N(mu, 0.15 I) whose means make q(z) = N(0, C) on average, and one code from each."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(C - SCALE2 * torch.eye(2, dtype=torch.float64))
    mean = torch.randn(n, 2, dtype=torch.float64, generator=generator) @ root.T
    z = mean + SCALE2**0.5 * torch.randn(n, 2, dtype=torch.float64, generator=generator)
    return Independent(Normal(mean, torch.full_like(mean, SCALE2**0.5)), 1), z


def _prior() -> Distribution:
    return StandardNormal(2).double()()


@pytest.mark.parametrize(("codes", "observations"), [(1, 50), (2, 2), (4, 100), (64, 64), (3, 737_280)])
def test_stratified_rows_sum_to_one_and_weighted_ones_to_one_in_n(codes: int, observations: int) -> None:
    like = torch.zeros((), dtype=torch.float64)
    rows = log_weights(codes, observations, "stratified", like).exp().sum(1)
    torch.testing.assert_close(rows, torch.ones(codes, dtype=torch.float64))
    rows = log_weights(codes, observations, "weighted", like).exp().sum(1)
    torch.testing.assert_close(rows, torch.full((codes,), 1 / observations, dtype=torch.float64))


def test_stratified_sampling_is_unbiased_over_all_minibatches() -> None:
    n, m, own = 6, 3, 2
    q, z = _posteriors(n)
    density = pairwise_log_prob(q, z).sum(-1).exp()[own]
    estimates = []
    for others in combinations([i for i in range(n) if i != own], m - 1):
        rows = [own, *others]
        weights = log_weights(m, n, "stratified", density).exp()[0]
        estimates.append(weights @ density[rows])
    torch.testing.assert_close(torch.stack(estimates).mean(), density.mean())


def test_total_correlation_converges_to_that_of_the_aggregate_posterior() -> None:
    n = 1600
    q, z = _posteriors(n)
    estimates = []
    for m in (10, 400, n):
        parts = [Independent(Normal(*parts), 1) for parts in zip(q.mean.split(m), q.stddev.split(m), strict=True)]
        terms = [aggregate_terms(part, _prior(), z_, n) for part, z_ in zip(parts, z.split(m), strict=True)]
        estimates.append(torch.cat([part.total_correlation for part in terms]))
    small, middle, full = (estimate.mean().item() for estimate in estimates)
    assert abs(small - full) > 5 * abs(middle - full)
    assert full == pytest.approx(TOTAL_CORRELATION, abs=5 * estimates[-1].std().item() / n**0.5)


@pytest.mark.parametrize("sampling", ["stratified", "weighted"])
def test_narrow_posteriors_turn_the_sign_of_the_gradient(sampling: Sampling) -> None:
    # q(z|x) = N(L x, s^2) for x ~ N(0, I), L L^T with neighbours of correlation a: TC rises with a, in closed form.
    d, n, m = 10, 60_000, 64

    def root(a: Tensor) -> Tensor:
        return torch.eye(d, dtype=a.dtype) * (1 - a**2).sqrt() + torch.diag(a.expand(d - 1), -1)

    def slope(s: float) -> tuple[float, float]:
        a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        covariance = root(a) @ root(a).T + s**2 * torch.eye(d, dtype=torch.float64)
        exact = torch.autograd.grad((covariance.diagonal().log().sum() - torch.logdet(covariance)) / 2, a)[0]
        generator, slopes = torch.Generator().manual_seed(0), []
        for _ in range(40):
            x, noise = torch.randn(2, m, d, dtype=torch.float64, generator=generator)
            q = Independent(Normal(x @ root(a).T, torch.full_like(x, s)), 1)
            parts = aggregate_terms(q, StandardNormal(d).double()(), q.mean + s * noise, n, sampling)
            slopes.append(torch.autograd.grad(parts.total_correlation.mean(), a)[0].item())
        return exact.item(), sum(slopes) / len(slopes)

    exact, estimate = slope(1.0)
    assert estimate > 0
    assert 0.3 < estimate / exact < 2
    exact, estimate = slope(0.1)
    assert estimate < 0 < exact


def test_weighted_sampling_carries_d_minus_one_log_n_at_the_full_batch() -> None:
    n = 400
    q, z = _posteriors(n)
    p = _prior()
    stratified, weighted = aggregate_terms(q, p, z, n), aggregate_terms(q, p, z, n, "weighted")
    difference = weighted.total_correlation - stratified.total_correlation
    torch.testing.assert_close(difference, torch.full_like(difference, log(n)))
    difference = weighted.mutual_information - stratified.mutual_information
    torch.testing.assert_close(difference, torch.full_like(difference, log(n)))


def test_mutual_information_is_that_of_the_gaussian_channel() -> None:
    n = 1600
    q, z = _posteriors(n)
    exact = 0.5 * (torch.logdet(C) - 2 * log(SCALE2)).item()
    every = aggregate_terms(q, _prior(), z, n).mutual_information
    assert every.mean().item() == pytest.approx(exact, abs=5 * every.std().item() / n**0.5)


def test_parts_add_up_to_the_divergence() -> None:
    q, z = _posteriors(32)
    p = _prior()
    parts = aggregate_terms(q, p, z, 1000)
    whole = parts.mutual_information + parts.total_correlation + parts.dimension_wise_kl
    torch.testing.assert_close(whole, q.log_prob(z) - p.log_prob(z))


def test_bad_input_is_refused() -> None:
    like = torch.zeros(())
    with pytest.raises(ValueError, match='expected sampling "stratified" or "weighted", got \'mss\''):
        log_weights(3, 10, "mss", like)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a data set of at least 1 observation, got 0"):
        log_weights(3, 0, "stratified", like)
    joint = MultivariateNormal(torch.zeros(4, 2), torch.eye(2))
    with pytest.raises(TypeError, match="expected a posterior that factorises"):
        pairwise_log_prob(joint, torch.zeros(4, 2))
