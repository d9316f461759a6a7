"""Two levels of codes against the joint Gaussian that linear levels make."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from lsgen.latent import EncodableLatentSpace, LadderDecoder, LadderPosterior, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.vae import ELBO, IWAE
from lsgen.nn import MLPDecoder, MLPEncoder

TOP, BOTTOM, D = 2, 3, 5


def _space() -> EncodableLatentSpace:
    torch.manual_seed(0)
    decoder = LadderDecoder(nn.Linear(TOP, 2 * BOTTOM), MLPDecoder(BOTTOM, (D,), hidden=()), TOP, BOTTOM)
    encoder = MLPEncoder((D,), TOP + BOTTOM, hidden=())
    prior = StandardNormal(TOP + BOTTOM)
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((D,), 0.7), prior, LadderPosterior()).double()


def _x(n: int) -> Tensor:
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_prior_of_the_lower_level_is_the_hierarchy() -> None:
    space = _space()
    z = torch.randn(4, TOP + BOTTOM, dtype=torch.float64)
    mean, log_variance = space.decoder.top(z[:, :TOP]).chunk(2, -1)
    expected = space.decoder.bottom(mean + (log_variance / 2).exp() * z[:, TOP:])
    torch.testing.assert_close(space.raw(z), expected)


def test_posterior_combines_both_messages_by_precision() -> None:
    space, x = _space(), _x(6)
    raw = space.encoder(x)
    (m2, m1), (v2, v1) = (part.split([TOP, BOTTOM], -1) for part in raw.chunk(2, -1))
    e2 = torch.randn(6, TOP, dtype=torch.float64)
    mp, vp = space.decoder.top(e2).chunk(2, -1)
    precision = torch.exp(-v1) + torch.exp(-vp)
    mq = (m1 * torch.exp(-v1) + mp * torch.exp(-vp)) / precision
    e1 = torch.randn(6, BOTTOM, dtype=torch.float64)
    z1 = mp + torch.exp(vp / 2) * e1
    density = Normal(mq, precision.rsqrt()).log_prob(z1).sum(1) + (vp / 2).sum(1)
    density = density + Normal(m2, torch.exp(v2 / 2)).log_prob(e2).sum(1)
    torch.testing.assert_close(space.encode(x).log_prob(torch.cat([e2, e1], -1)), density)


def test_samples_follow_the_density() -> None:
    """The expectation of any density over samples of q is one: E_q[r(z)/q(z)] = 1."""
    space, x = _space(), _x(1)
    q = space.encode(x)
    torch.manual_seed(0)
    with torch.no_grad():
        z = q.sample((40_000,))[:, 0]
        other = MultivariateNormal(z.mean(0), 0.5 * torch.cov(z.T))
        ratio = torch.exp(other.log_prob(z) - q.log_prob(z[:, None])[:, 0])
    assert ratio.mean().item() == pytest.approx(1, abs=5 * ratio.std().item() / 200)


def test_divergence_per_dimension_adds_up_to_that_of_the_joint() -> None:
    space, x = _space(), _x(1)
    torch.manual_seed(0)
    with torch.no_grad():
        losses = ELBO()(space, {"x": x.expand(40_000, D)}, 0)
        q = space.encode(x.expand(40_000, D))
        z = q.sample()
        sampled = q.log_prob(z) - space.prior().log_prob(z)
    assert losses.kl.shape == (40_000, TOP + BOTTOM)
    spread = (sampled.var() + losses.kl.sum(1).var()).sqrt().item()
    assert losses.kl.sum(1).mean().item() == pytest.approx(sampled.mean().item(), abs=5 * spread / 200)


def test_levels_learn_and_bounds_compose() -> None:
    space, x = _space(), _x(6)
    losses = IWAE(4)(space, {"x": x}, 0)
    assert losses.kl.shape == (6, TOP + BOTTOM)
    losses.loss.backward()
    assert all(bool(parameter.grad.any()) for parameter in space.parameters())
    names = [name for name, _ in space.named_parameters()]
    assert not [name for name in names if name.startswith("posterior")]
    assert space.encode(x).mean.shape == (6, TOP + BOTTOM)


def test_heads_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected heads = bottom\.heads = 1, got 2"):
        LadderDecoder(nn.Linear(2, 6), MLPDecoder(3, (D,)), 2, 3, heads=2)


def test_other_decoders_are_refused() -> None:
    encoder, decoder = MLPEncoder((D,), 2, hidden=()), MLPDecoder(2, (D,), hidden=())
    with pytest.raises(TypeError, match="LadderPosterior expected a decoder with levels, a TopDownDecoder, got MLP"):
        EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), StandardNormal(2), LadderPosterior())
    with pytest.raises(RuntimeError, match="LadderPosterior expected to belong to a latent space"):
        LadderPosterior()(torch.zeros(1, 4))
