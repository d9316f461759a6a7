"""Every adversarial loss keeps the contract. Losses enrol themselves by type: see `members.concrete`."""

import members
import pytest
import torch
from torch import nn

from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, AdversarialLoss
from lsgen.nn.adversarial.critics import MLPCritic

LOSSES = members.by_name(members.concrete(AdversarialLoss, "lsgen.models.gan"))


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> AdversarialLoss:
    return members.build(LOSSES[request.param])


def _scores() -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores of real and of generated observations, of either sign and within the margins of a hinge."""
    return tuple((0.4 * torch.randn(64, dtype=torch.float64)).clamp(-0.9, 0.9).requires_grad_() for _ in range(2))


def test_every_player_gains_by_the_scores_that_it_wants(loss: AdversarialLoss) -> None:
    """The critic wants real observations to score higher than generated ones, the generator that the latter be high."""
    high, low = torch.full((5,), 0.9), torch.full((5,), 0.1)
    for value in (loss.critic(high, low), loss.generator(high, low)):
        assert value.shape == ()
    assert loss.critic(high, low) < loss.critic(low, high)
    assert loss.generator(low, high) < loss.generator(low, low)


def test_losses_are_averages(loss: AdversarialLoss) -> None:
    real, fake = _scores()
    twice = [torch.cat([scores, scores]) for scores in (real, fake)]
    torch.testing.assert_close(loss.critic(*twice), loss.critic(real, fake))
    torch.testing.assert_close(loss.generator(*twice), loss.generator(real, fake))


def test_what_a_loss_says_of_itself_is_true(loss: AdversarialLoss) -> None:
    real, fake = _scores()
    (of_real,) = torch.autograd.grad(loss.generator(real, fake), real, allow_unused=True)
    assert (of_real is not None) == loss.relative
    mirrored = torch.allclose(loss.critic(-fake, -real), loss.critic(real, fake))
    assert mirrored or not loss.symmetric


def test_both_players_learn_from_it(loss: AdversarialLoss) -> None:
    generator = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 3))
    model = GAN(generator, MLPCritic((3,), [4]), FixedGaussian((3,)), StandardNormal(2), loss)
    batch = {"x": torch.randn(8, 3)}
    for parameters, terms in zip(
        model.players(), (model.critic_terms(batch, None), model.generator_terms(batch, 0)), strict=True
    ):
        model.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        moving = [p for p in parameters if p.grad is not None and p.grad.any()]
        assert len(moving) >= len(parameters) - 1  # the last bias of a critic may cancel
        assert all(p.grad.isfinite().all() for p in moving)
