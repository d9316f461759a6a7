"""Mixture priors: densities by hand, the encoder behind the VampPrior, and the KL that is sampled."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from lsgen.latent import EncodableLatentSpace, MixtureOfNormals, StandardNormal, VampPrior
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models.vae import ELBO, IWAE
from lsgen.nn import MLPDecoder, MLPEncoder


def _space(prior) -> EncodableLatentSpace:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((5,), 2, hidden=[7]), MLPDecoder(2, (5,), hidden=[7])
    return EncodableLatentSpace(encoder, decoder, Bernoulli((5,)), prior).double()


def test_mixture_of_normals_is_the_weighted_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    prior = MixtureOfNormals(2, components=3).double()
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.0, 1.0, -1.0]))
        prior.log_scales.uniform_(-1, 1)
    z = torch.randn(4, 2, dtype=torch.float64)
    parts = [Normal(m, s.exp()).log_prob(z).sum(1) for m, s in zip(prior.means, prior.log_scales, strict=True)]
    expected = torch.logsumexp(torch.stack(parts, 1) + prior.logits.log_softmax(0), 1)
    torch.testing.assert_close(prior().log_prob(z), expected)


def test_vamp_prior_is_the_aggregate_posterior_of_its_pseudo_inputs() -> None:
    prior = VampPrior(2, (5,), components=4, low=-1.0, high=3.0)
    space = _space(prior)
    u = prior.pseudo_inputs
    assert bool(((u > -1) & (u < 3)).all())
    z = torch.randn(6, 2, dtype=torch.float64)
    q = space.encode(u).base_dist
    parts = Independent(Normal(q.loc[:, None], q.scale[:, None]), 1).log_prob(z)
    torch.testing.assert_close(space.prior().log_prob(z), parts.logsumexp(0) - torch.tensor(4.0).log())


def test_pseudo_inputs_and_encoder_learn_from_the_prior() -> None:
    space = _space(VampPrior(2, (5,), components=4))
    ELBO()(space, {"x": torch.rand(8, 5, dtype=torch.float64).round()}, 0).loss.backward()
    assert all(bool(parameter.grad.any()) for parameter in space.parameters())
    names = [name for name, _ in space.named_parameters()]
    assert len([name for name in names if name.startswith("prior")]) == 1


def test_a_copy_of_the_space_uses_its_own_encoder() -> None:
    space = _space(VampPrior(2, (5,), components=4))
    twin = deepcopy(space)
    before = space.prior().log_prob(torch.zeros(2, dtype=torch.float64))
    with torch.no_grad():
        for parameter in twin.encoder.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(space.prior().log_prob(torch.zeros(2, dtype=torch.float64)), before, rtol=0, atol=0)
    assert twin.prior().log_prob(torch.zeros(2, dtype=torch.float64)) != before


@pytest.mark.parametrize("prior", [MixtureOfNormals(2, 1, spread=0.0), MixtureOfNormals(2, 4, spread=0.0)])
def test_sampled_divergence_has_the_value_of_the_closed_form(prior: MixtureOfNormals) -> None:
    """Components that coincide with N(0, I) make the mixture the standard normal."""
    space, exact = _space(prior), _space(StandardNormal(2))
    x = torch.rand(5, dtype=torch.float64).round().expand(20_000, 5)
    torch.manual_seed(0)
    sampled = ELBO()(space, {"x": x}, 0).kl
    assert sampled.shape == (20_000, 1)
    closed = ELBO()(exact, {"x": x[:1]}, 0).kl.sum()
    assert sampled.mean().item() == pytest.approx(closed.item(), abs=5 * sampled.std().item() / 20_000**0.5)


def test_importance_weights_use_the_mixture() -> None:
    space = _space(VampPrior(2, (5,), components=4))
    losses = IWAE(3)(space, {"x": torch.rand(8, 5, dtype=torch.float64).round()}, 0)
    assert losses.kl.shape == (8, 1)
    assert bool(torch.isfinite(losses.loss))


def _refused(make, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        make()


def test_impossible_priors_are_refused() -> None:
    _refused(lambda: MixtureOfNormals(2, 0), "expected at least 1 component, got 0")
    _refused(lambda: VampPrior(2, (5,), low=1.0, high=1.0), "expected low below high, got 1.0 and 1.0")
    _refused(VampPrior(2, (5,)), "VampPrior expected to belong to a latent space with an encoder")


def test_samples_follow_the_mixture() -> None:
    torch.manual_seed(0)
    prior = MixtureOfNormals(2, 3, spread=2.0).double()
    z: Tensor = prior().sample((20_000,))
    torch.testing.assert_close(z.mean(0), prior().mean, rtol=0, atol=5 * float(z.std() / 20_000**0.5))


def test_draws_of_a_mixture_carry_the_gradient_of_weights_means_and_scales() -> None:
    torch.manual_seed(0)
    prior = MixtureOfNormals(2, 3).double()
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.3, -0.5, 0.1]))
        prior.log_scales.uniform_(-0.2, 0.3)
    weights, variances = prior.logits.softmax(0), (2 * prior.log_scales).exp()
    first = weights @ prior.means
    second = torch.einsum("k,ki,kj->ij", weights, prior.means, prior.means) + torch.diag(weights @ variances)
    moments = torch.stack([*first, second[0, 1], second[0, 0], second[1, 1]])
    parameters = list(prior.parameters())

    def gradients(values: Tensor) -> Tensor:
        rows = [torch.autograd.grad(v, parameters, retain_graph=True, materialize_grads=True) for v in values]
        return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])

    exact, found = gradients(moments), []
    for _ in range(40):
        z = prior.draw(500)
        found.append(gradients(torch.cat([z, z.prod(1, keepdim=True), z.square()], 1).mean(0)))
    error = torch.stack(found).std(0) / 40**0.5
    assert ((torch.stack(found).mean(0) - exact).abs() < 5 * error + 1e-12).all()
    assert error.max() < 0.05


def test_draws_are_those_of_the_mixture_and_follow_its_density() -> None:
    torch.manual_seed(0)
    prior = MixtureOfNormals(2, 3)
    torch.manual_seed(1)
    z = prior.draw(50)
    torch.manual_seed(1)
    torch.testing.assert_close(z, prior().sample((50,)))
    assert z.dtype == torch.float32
    with torch.no_grad():
        assert not prior.draw(3).requires_grad


def test_draws_of_a_vamp_prior_have_the_moments_of_its_mixture() -> None:
    torch.manual_seed(0)
    prior = VampPrior(2, (3,), 4)
    space = EncodableLatentSpace(nn.Linear(3, 4), nn.Linear(2, 3), FixedGaussian((3,)), prior).double()
    z = prior.draw(20_000)
    assert space.prior is prior
    error = z.std(0) / 20_000**0.5
    assert ((z.mean(0) - prior().mean).abs() < 5 * error).all()
    assert ((z.var(0) - prior().variance).abs() < 0.05 * prior().variance).all()
    z.sum().backward()
    assert prior.logits.grad is not None
    assert prior.logits.grad.any()
