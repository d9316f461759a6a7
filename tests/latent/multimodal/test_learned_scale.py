"""Priors of learned scale, against SciPy's densities."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from lsgen.latent import LearnedScalePrior


@pytest.mark.parametrize(("family", "named"), [("laplace", "laplace"), ("normal", "norm")])
def test_prior_learns_scales_of_mean_one_and_stays_around_zero(family: str, named: str) -> None:
    prior = LearnedScalePrior(3, family).double()
    z, known = torch.randn(5, 3, dtype=torch.float64), getattr(scipy.stats, named)
    np.testing.assert_allclose(prior().log_prob(z).detach().numpy(), known.logpdf(z.numpy()).sum(-1))
    with torch.no_grad():
        prior.raw_scales.copy_(torch.tensor([1.0, 0.0, -2.0]))
    scale = 3 * scipy.special.softmax(np.array([1.0, 0.0, -2.0]))
    np.testing.assert_allclose(scale.mean(), 1)
    np.testing.assert_allclose(prior().log_prob(z).detach().numpy(), known(0, scale).logpdf(z.numpy()).sum(-1))
    np.testing.assert_allclose(prior().stddev.detach().numpy(), known(0, scale).std())
    prior.draw(4).sum().backward()
    assert prior.raw_scales.grad is not None
    assert bool(prior.raw_scales.grad.any())


def test_unknown_families_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a family of laplace or normal, got 'cauchy'"):
        LearnedScalePrior(3, "cauchy")
