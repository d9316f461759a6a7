import pytest
import torch
from torch import nn

from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian
from lsgen.nn import MLPDecoder, MLPEncoder


def test_codes_may_have_any_batch_shape() -> None:
    space = LatentSpace(MLPDecoder(3, (2, 4, 4)), Bernoulli((2, 4, 4)), StandardNormal(3))
    z = torch.randn(5, 2, 3)
    assert space.raw(z).shape == (5, 2, 2, 4, 4)
    torch.testing.assert_close(space.raw(z)[3, 1], space.raw(z[3, 1]))
    assert space.decode(z).batch_shape == (5, 2)


def test_samples_are_observations_without_a_graph() -> None:
    space = LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(3))
    x = space.sample(11)
    assert x.shape == (11, 6)
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    assert not x.requires_grad


def test_samples_follow_the_marginal_of_a_linear_model() -> None:
    torch.manual_seed(0)
    decoder = nn.Linear(2, 3)
    space = LatentSpace(decoder, FixedGaussian((3,), sigma=0.5), StandardNormal(2))
    x, n = space.sample(40_000), 40_000
    exact = (decoder.weight @ decoder.weight.T + 0.25 * torch.eye(3)).detach()
    standard_error = ((exact.diagonal()[:, None] * exact.diagonal() + exact**2) / n).sqrt()
    assert bool(((torch.cov(x.T) - exact).abs() < 5 * standard_error).all())


def test_prior_follows_the_module_to_another_type() -> None:
    assert StandardNormal(2).double()().sample().dtype == torch.float64


def test_parts_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected decoder.heads = likelihood.heads = 2, got decoder.heads = 1"):
        LatentSpace(MLPDecoder(3, (6,)), Gaussian((6,)), StandardNormal(3))
    with pytest.raises(ValueError, match=r"expected decoder.dim = prior.dim = 4, got decoder.dim = 3"):
        LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(4))
    with pytest.raises(ValueError, match=r"expected encoder.dim = prior.dim = 3, got encoder.dim = 2"):
        EncodableLatentSpace(MLPEncoder((6,), 2), MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(3))
    with pytest.raises(ValueError, match=r"expected a latent dimension of at least 1, got 0"):
        StandardNormal(0)
    with pytest.raises(ValueError, match=r"expected codes of shape \(B, 3\), got \(2, 4\)"):
        LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), StandardNormal(3)).raw(torch.zeros(2, 4))


def test_parts_in_each_others_place_are_refused() -> None:
    with pytest.raises(TypeError, match="expected likelihood to be a Likelihood, got MLPDecoder"):
        LatentSpace(Bernoulli((6,)), MLPDecoder(3, (6,)), StandardNormal(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected prior to be a Prior, got Bernoulli"):
        LatentSpace(MLPDecoder(3, (6,)), Bernoulli((6,)), Bernoulli((6,)))  # type: ignore[arg-type]
