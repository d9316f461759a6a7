"""Codes of a Sobol sequence have the distribution of the prior, with a smaller error than independent ones."""

import pytest
import torch
from scipy.stats import kstest

from lsgen.callbacks.latent.sampling import CodeSource
from lsgen.latent import HypersphericalUniform, LatentSpace, OneHot, Product, StandardNormal
from lsgen.latent.sampling.samplers import generate_in_chunks
from lsgen.latent.sampling.sobol import FromSobol
from lsgen.likelihoods import FixedGaussian


def test_every_coordinate_is_normal_and_averages_err_less_than_of_independent_codes() -> None:
    """E |z|^2 = d with a standard error of sqrt(2 d / n) = 0.077 for independent codes."""
    z = FromSobol(StandardNormal(3), seed=1).sample(1024).double()
    assert z.isfinite().all()
    for i in range(3):
        assert kstest(z[:, i].numpy(), "norm").statistic < 4 / 1024
    assert abs(z.square().sum(1).mean().item() - 3) < 0.02
    assert (z.T @ z / 1024 - torch.eye(3)).abs().max() < 0.02
    errors = [FromSobol(StandardNormal(3), seed).sample(1024).square().sum(1).mean() - 3 for seed in range(12)]
    assert torch.stack(errors).square().mean().sqrt() < 0.077 / 5


def test_a_set_of_draws_is_the_same_in_every_turn_and_goes_on_within_it() -> None:
    space = LatentSpace(torch.nn.Linear(2, 3), FixedGaussian((3,)), StandardNormal(2))
    source = CodeSource(FromSobol())
    sampler = source.prepare(space, 100)
    first = torch.cat([sampler.sample(40), sampler.sample(24)])
    again = source.prepare(space, 100).sample(64)
    assert torch.equal(first, again)
    assert not torch.equal(FromSobol(StandardNormal(2), seed=1).sample(64), first)


def test_samples_in_chunks_are_one_set_of_draws() -> None:
    space = LatentSpace(torch.nn.Identity(), FixedGaussian((2,), sigma=1e-6), StandardNormal(2))
    found = torch.cat(list(generate_in_chunks(space, 10, 4, FromSobol())))
    torch.testing.assert_close(found, FromSobol(StandardNormal(2)).sample(10), rtol=0, atol=1e-4)


def test_priors_without_quantiles_are_refused() -> None:
    for prior in (HypersphericalUniform(3), Product([StandardNormal(2), OneHot(3)])):
        with pytest.raises(TypeError, match=f"such as a StandardNormal, got {type(prior).__name__}"):
            FromSobol(prior)
    with pytest.raises(RuntimeError, match="to know the prior of the model"):
        FromSobol().sample(3)
