"""Sources of codes: each draws what it was fitted to."""

import pytest
import torch
from scipy.stats import truncnorm
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from lsgen.latent import EncodableLatentSpace, HypersphericalUniform, StandardNormal, samplers
from lsgen.latent.families.product import OneHot, Product
from lsgen.latent.manifolds.manifold import Sphere
from lsgen.likelihoods import FixedGaussian


def _codes(n: int = 4000) -> Tensor:
    """Two correlated normals, far from a standard one."""
    torch.manual_seed(0)
    covariance = torch.tensor([[0.3, 0.2], [0.2, 0.4]], dtype=torch.float64)
    left = MultivariateNormal(torch.tensor([3.0, 1.0], dtype=torch.float64), covariance).sample((n // 4,))
    right = MultivariateNormal(torch.tensor([-1.0, -2.0], dtype=torch.float64), covariance / 2).sample((n - n // 4,))
    return torch.cat([left, right])


FITTED = [samplers.FromAggregatePosterior(), samplers.FromGaussianMixture(2)]


@pytest.mark.parametrize("sampler", FITTED, ids=lambda sampler: type(sampler).__name__)
def test_draws_have_the_distribution_of_the_codes(sampler: samplers.CodeSampler) -> None:
    codes = _codes()
    torch.manual_seed(1)
    drawn = sampler.fit(codes).sample(4000)
    for f in (lambda z: z[:, 0], lambda z: z[:, 0] * z[:, 1], lambda z: (z[:, 0] > 1).double(), lambda z: z[:, 1] ** 2):
        error = 5 * ((f(codes).var() + f(drawn).var()) / 4000).sqrt()
        assert (f(drawn).mean() - f(codes).mean()).abs() < error


@pytest.mark.slow
def test_a_flow_comes_close_to_the_density_of_the_codes() -> None:
    pytest.importorskip("zuko")
    codes = _codes().float()
    torch.manual_seed(1)
    flow = samplers.FromFlow(steps=250)
    flow.fit(codes)
    drawn = flow.sample(4000)
    mixture = samplers.FromGaussianMixture(2)
    mixture.fit(codes)
    weights, means, factors = mixture._parts
    parts = MultivariateNormal(means, scale_tril=factors)
    exact = torch.logsumexp(weights.log() + parts.log_prob(codes[:, None]), 1).mean().item()
    assert exact - 0.15 < flow.log_likelihood < exact + 0.05
    assert (drawn[:, 0] > 1).float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_the_prior_needs_no_codes() -> None:
    torch.manual_seed(0)
    drawn = samplers.FromPrior(StandardNormal(3)).sample(2000)
    assert drawn.mean(0).abs().max() < 5 / 2000**0.5
    assert not samplers.FromPrior.needs_codes


def test_observations_are_generated_from_the_codes_of_a_sampler() -> None:
    decoder = nn.Linear(2, 3, bias=False).double()
    space = EncodableLatentSpace(nn.Linear(3, 4), decoder, FixedGaussian((3,), 0.1), StandardNormal(2)).double()
    sampler = samplers.FromAggregatePosterior().fit(torch.ones(1, 2, dtype=torch.float64))
    means = samplers.generate(space, 500, sampler, mean=True)
    torch.testing.assert_close(means, decoder.weight.sum(1).detach().expand(500, 3))
    drawn = samplers.generate(space, 500, sampler)
    z = (drawn - means) / 0.1
    assert Normal(0.0, 1.0).cdf(z).mean().item() == pytest.approx(0.5, abs=5 / (12 * 1500) ** 0.5)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(RuntimeError, match="FromGaussianMixture expected to be fitted to codes first"):
        samplers.FromGaussianMixture().sample(3)
    with pytest.raises(RuntimeError, match="FromAggregatePosterior expected to be fitted to codes first"):
        samplers.FromAggregatePosterior().sample(3)
    with pytest.raises(ValueError, match="expected at least 10 codes, one for each component, got 4"):
        samplers.FromGaussianMixture().fit(torch.randn(4, 2))
    with pytest.raises(ValueError, match=r"FromAggregatePosterior expected finite codes \(N, d\), got shape \(4,\)"):
        samplers.FromAggregatePosterior().fit(torch.randn(4))
    with pytest.raises(ValueError, match="FromGaussianMixture expected codes in flat space, got a Sphere"):
        samplers.FromGaussianMixture().check(HypersphericalUniform(3).manifold)
    samplers.FromAggregatePosterior().check(Sphere())


def test_a_truncated_prior_has_the_moments_of_the_truncated_normal() -> None:
    """Variance 1 - 2 t phi(t)/(2 Phi(t) - 1), fourth moment by scipy; classes are drawn as they are."""
    torch.manual_seed(0)
    n, t = 40_000, 0.8
    sampler = samplers.FromTruncatedPrior(t)
    with pytest.raises(RuntimeError, match="expected to know a prior first"):
        sampler.sample(1)
    sampler.bind(Product([OneHot(3), StandardNormal(2)]))
    z = sampler.sample(n)
    reference = truncnorm(-t, t)
    assert z[:, 3:].abs().max() <= t
    for power in (1, 2, 4):
        error = 5 * ((reference.moment(2 * power) - reference.moment(power) ** 2) / n) ** 0.5
        assert (z[:, 3:].double().pow(power).mean(0) - reference.moment(power)).abs().max() < error
    assert torch.equal(z[:, :3].sum(1), torch.ones(n))
    assert (z[:, :3].mean(0) - 1 / 3).abs().max() < 5 * (2 / 9 / n) ** 0.5
    with pytest.raises(ValueError, match="expected a threshold above 0, got 0"):
        samplers.FromTruncatedPrior(0)
    with pytest.raises(TypeError, match="expected a StandardNormal among the prior, got HypersphericalUniform"):
        samplers.FromTruncatedPrior().bind(HypersphericalUniform(3))
