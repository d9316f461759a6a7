"""Residual quantisation against its recursion written out, and its sum against one codebook of all sums."""

from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from lsgen.latent import AutoregressivePrior, CodebookPrior, EncodableLatentSpace, ResidualQuantiser, VectorQuantiser
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import VQVAE
from lsgen.nn import GridDecoder, PixelCNN

Q, L, D, K = 3, 2, 2, 4
REAL = torch.float64


def _quantiser(**options: float) -> ResidualQuantiser:
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(Q * L * D, Q, K, D, **options).to(REAL)
    with torch.no_grad():
        for i, stage in enumerate(quantiser.stages):
            stage.codebook.mul_(0.4**i)
    return quantiser


def _raw(n: int) -> Tensor:
    return torch.randn(n, L * D, dtype=REAL, generator=torch.Generator().manual_seed(1))


def _by_hand(quantiser: ResidualQuantiser, y: Tensor) -> tuple[list[int], list[Tensor]]:
    """Return the entries of one vector (D,), and what is left before each stage and after the last."""
    chosen, left = [], [y]
    for stage in quantiser.stages:
        k = int((left[-1] - stage.codebook).square().sum(1).argmin())
        chosen.append(k)
        left.append(left[-1] - stage.codebook[k])
    return chosen, left


def test_every_stage_quantises_what_is_left() -> None:
    quantiser, raw = _quantiser(), _raw(10)
    q = quantiser(raw)
    sums = q.mean.unflatten(1, (Q, L, D)).sum(1)
    for n in range(10):
        distance = torch.zeros((), dtype=REAL)
        for place, y in enumerate(raw[n].unflatten(0, (L, D))):
            chosen, left = _by_hand(quantiser, y)
            assert q.indices[n, :, place].tolist() == chosen
            torch.testing.assert_close(y - sums[n, place], left[-1])
            distance = distance + torch.stack(left[1:]).square().sum()
        torch.testing.assert_close(q.distance[n], distance)
    errors = [(raw - q.mean.unflatten(1, (Q, -1))[:, : i + 1].sum(1)).square().sum().item() for i in range(Q)]
    assert sorted(errors, reverse=True) == errors


def test_gradient_goes_straight_through_the_sum_of_the_stages_once() -> None:
    raw, weights = _raw(4).requires_grad_(), _raw(5)[1:]
    total = (_quantiser()(raw).rsample().unflatten(1, (Q, -1)).sum(1) * weights).sum()
    torch.testing.assert_close(torch.autograd.grad(total, raw)[0], weights)


def test_codebooks_follow_what_the_stages_before_have_left() -> None:
    """One step of averages of each stage is that of a quantiser by itself, given its residual."""
    quantiser, raw = _quantiser(decay=0.9, restart_below=0.0), _raw(30)
    q = quantiser(raw)
    expected = []
    for stage, codes in zip(quantiser.stages, q.stages, strict=True):
        for j in range(K):
            own = codes.raw.reshape(-1, D)[codes.indices.flatten() == j]
            count, total = 0.9 + 0.1 * len(own), 0.9 * stage.sums[j] + 0.1 * own.sum(0)
            expected.append(total / count)
    quantiser.update(q)
    found = torch.cat([stage.codebook for stage in quantiser.stages])
    torch.testing.assert_close(found, torch.stack(expected))


def test_prior_is_uniform_over_all_choices_of_entries() -> None:
    quantiser, prior = _quantiser(), CodebookPrior(Q * L * D)
    prior.bind(quantiser)
    z = prior().sample((50,))
    assert bool(quantiser.manifold.contains(z).all())
    assert [choice.start for choice in quantiser.manifold.choices] == [D * i for i in range(Q * L)]
    torch.testing.assert_close(prior().log_prob(z), torch.full((50,), -Q * L * log(K), dtype=REAL))
    q = quantiser(_raw(7))
    torch.testing.assert_close(kl_divergence(q, prior()), torch.full((7,), Q * L * log(K), dtype=REAL))
    assert bool(quantiser.manifold.contains(q.mean).all())
    assert prior.levels(torch.tensor([-1.0, 2.0])).shape == (2, Q * L * D)
    used = torch.stack([stage.batch_perplexity for stage in q.stages])
    torch.testing.assert_close(q.batch_perplexity, used.mean())


def test_the_decoder_adds_the_stages() -> None:
    decoder = GridDecoder(Q * 4 * D, (1, 4, 4), width=4, halvings=1, blocks=1, stages=Q)
    plain = GridDecoder(4 * D, (1, 4, 4), width=4, halvings=1, blocks=1)
    plain.load_state_dict(decoder.state_dict())
    z = torch.randn(3, Q, 4 * D)
    torch.testing.assert_close(decoder(z.flatten(1)), plain(z.sum(1)))
    with pytest.raises(ValueError, match="expected a number of stages that divides the latent dimension 24, got 5"):
        GridDecoder(24, (1, 4, 4), halvings=1, stages=5)


def test_objective_is_reconstruction_and_the_commitment_of_every_stage() -> None:
    torch.manual_seed(0)
    decoder = torch.nn.Linear(Q * L * D, 6)
    encoder = torch.nn.Linear(6, L * D)
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((6,)), CodebookPrior(Q * L * D), _quantiser().float())
    space, x = space.to(REAL), torch.rand(7, 6, dtype=REAL).round()
    q, before = space.encode(x), [stage.codebook.clone() for stage in space.posterior.stages]
    losses = VQVAE(0.5)(space, {"x": x}, 0)
    torch.testing.assert_close(losses.loss, (losses.reconstruction + 0.5 * q.distance).mean())
    torch.testing.assert_close(losses.elbo, -losses.reconstruction - Q * L * log(K))
    for stage, old in zip(space.posterior.stages, before, strict=True):
        assert not torch.equal(stage.codebook, old)


def test_impossible_stages_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a number of stages that divides the dimension 12, got 5"):
        ResidualQuantiser(12, 5, K, D)
    prior = AutoregressivePrior(4, (1, 2), PixelCNN(3, 8, 2))
    with pytest.raises(TypeError, match="AutoregressivePrior expected a VectorQuantiser, got ResidualQuantiser"):
        EncodableLatentSpace(
            torch.nn.Linear(3, 2), torch.nn.Linear(4, 3), Bernoulli((3,)), prior, ResidualQuantiser(4, 2, 3, 1)
        )
    prior.bind(VectorQuantiser(4, 3, 2))
