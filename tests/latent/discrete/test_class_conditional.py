"""The prior p(z|y): densities against a mixture, the divergence against sums over classes, draws of one class."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from lsgen.latent import (
    ClassConditionalNormal,
    ClassPosterior,
    EncodableLatentSpace,
    OneHot,
    Product,
    StandardNormal,
    samplers,
)
from lsgen.likelihoods import FixedGaussian
from lsgen.models.vae import SemiSupervised

d, K, D = 2, 3, 4


def _prior() -> ClassConditionalNormal:
    torch.manual_seed(0)
    prior = ClassConditionalNormal(d, K).double()
    with torch.no_grad():
        prior.loc.normal_()
        prior.log_variance.normal_()
    return prior


def _one_hot(k: int, n: int) -> Tensor:
    return torch.eye(K, dtype=torch.float64)[k].expand(n, K)


def test_classes_add_up_to_the_mixture_of_normals() -> None:
    prior, z = _prior(), torch.randn(7, d, dtype=torch.float64)
    each = torch.stack([prior().log_prob(torch.cat([z, _one_hot(k, 7)], 1)) for k in range(K)])
    normals = Independent(Normal(prior.loc, (prior.log_variance / 2).exp()), 1)
    mixture = MixtureSameFamily(Categorical(torch.ones(K).double()), normals)
    torch.testing.assert_close(each.logsumexp(0), mixture.log_prob(z))
    torch.testing.assert_close(prior().mean[:d], mixture.mean)
    torch.testing.assert_close(prior().variance[:d], mixture.variance)
    torch.testing.assert_close(prior().variance[d:], torch.full((K,), 2 / 9, dtype=torch.float64))


def test_divergence_is_the_expectation_over_classes_and_codes() -> None:
    prior, posterior = _prior(), ClassPosterior(d, K)
    q = posterior(torch.randn(1, K * (1 + 2 * d), dtype=torch.float64))
    torch.manual_seed(1)
    z = q.sample((200_000,))
    sampled = q.log_prob(z) - prior().log_prob(z)
    error = 5 * sampled.std(0) / 200_000**0.5
    assert bool(((sampled.mean(0) - kl_divergence(q, prior())).abs() < error).all())
    weights = q.log_classes.exp()
    exact = sum(
        weights[:, k]
        * (
            weights[:, k].log()
            - torch.log(torch.tensor(1 / K))
            + kl_divergence(
                Normal(q.given.loc[:, k], q.given.scale[:, k]),
                Normal(prior.loc[k], (prior.log_variance[k] / 2).exp()),
            ).sum(-1)
        )
        for k in range(K)
    )
    torch.testing.assert_close(kl_divergence(q, prior()), exact)


def test_a_standard_normal_in_every_class_is_the_product() -> None:
    conditional, product = ClassConditionalNormal(d, K).double(), Product([StandardNormal(d), OneHot(K)]).double()
    q = ClassPosterior(d, K)(torch.randn(5, K * (1 + 2 * d), dtype=torch.float64))
    torch.testing.assert_close(kl_divergence(q, conditional()), kl_divergence(q, product()))
    assert conditional.manifold == product.manifold
    losses = []
    for prior in (conditional, product):
        torch.manual_seed(0)
        encoder, decoder = nn.Linear(D, K * (1 + 2 * d)), nn.Linear(d + K, D)
        space = EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), prior, ClassPosterior(d, K)).double()
        objective = SemiSupervised()
        objective.check(space)
        batch = {"x": torch.randn(6, D, dtype=torch.float64), "label": torch.tensor([0, 1, 2, -1, -1, 0])}
        losses.append(objective(space, batch, 0).loss)
    torch.testing.assert_close(*losses)
    losses[0].backward()
    assert all(bool((p.grad != 0).any()) for p in conditional.parameters())


@pytest.mark.parametrize("kind", ["conditional", "product"])
def test_one_class_is_drawn_from_its_own_prior(kind: str) -> None:
    prior = _prior() if kind == "conditional" else Product([StandardNormal(d), OneHot(K)]).double()
    sampler = samplers.FromClass(1)
    with pytest.raises(RuntimeError, match=r"give it prior=, or call bind\(prior\)"):
        sampler.sample(1)
    sampler.bind(prior)
    torch.manual_seed(2)
    z, y = sampler.sample(20_000).split([d, K], 1)
    assert torch.equal(y, _one_hot(1, 20_000))
    mean = prior.loc[1] if kind == "conditional" else torch.zeros(d, dtype=torch.float64)
    std = (prior.log_variance[1] / 2).exp() if kind == "conditional" else torch.ones(d, dtype=torch.float64)
    assert bool(((z.mean(0) - mean).abs() < 5 * std / 20_000**0.5).all())
    torch.testing.assert_close(z.std(0), std, rtol=5 / 40_000**0.5, atol=0)


def test_wrong_classes_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected dim = 2 \+ 3 = 5, got 6"):
        ClassConditionalNormal(2, 3, 6)
    with pytest.raises(ValueError, match="FromClass expected a class below 3, got 3"):
        samplers.FromClass(3, _prior())
    with pytest.raises(TypeError, match="FromClass expected a prior whose codes end in a class, got StandardNormal"):
        samplers.FromClass(0, StandardNormal(2))
    with pytest.raises(ValueError, match="expected a OneHot as the last part"):
        Product([StandardNormal(2)]).draw_class(torch.zeros(1, dtype=torch.long))
