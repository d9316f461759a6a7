"""The bound by levels against its terms."""

import pytest
import torch
from torch import Tensor

from lsgen.latent import (
    EncodableLatentSpace,
    IAFPosterior,
    MixtureOfNormals,
    Posterior,
    Prior,
    ResidualLadderDecoder,
    ResidualLadderPosterior,
    StandardNormal,
)
from lsgen.likelihoods import FixedGaussian
from lsgen.models.losses import Losses
from lsgen.models.vae import ELBO, LevelwiseELBO
from lsgen.nn import MLPDecoder, MLPEncoder, ResidualLadderEncoder

LEVELS, D = [(1, 2), (1, 3)], 4


def _space() -> EncodableLatentSpace:
    torch.manual_seed(0)
    decoder, encoder = ResidualLadderDecoder((D,), LEVELS, 6), ResidualLadderEncoder((D,), LEVELS, 6)
    posterior = ResidualLadderPosterior(LEVELS, 6)
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), StandardNormal(5), posterior).double()


def _losses(space: EncodableLatentSpace, objective: ELBO | LevelwiseELBO) -> Losses:
    x = 2 * torch.randn(9, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    return objective(space, {"x": x}, 0)


def _levels(losses: Losses) -> Tensor:
    return torch.stack([losses.kl[:, :2].sum(1).mean(), losses.kl[:, 2:].sum(1).mean()])


def test_without_free_bits_it_is_the_bound() -> None:
    space = _space()
    found, expected = _losses(space, LevelwiseELBO(0.7)), _losses(space, ELBO(0.7))
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(torch.stack(list(found.scalars.values())), _levels(expected))
    assert list(found.scalars) == ["kl_level_1", "kl_level_2"]


def test_free_bits_press_no_level_below_them() -> None:
    space = _space()
    levels = _levels(_losses(space, ELBO()))
    free = levels.mean().item()  # between the two
    losses = _losses(space, LevelwiseELBO(1.0, free))
    torch.testing.assert_close(losses.loss, losses.reconstruction.mean() + levels.max() + free)
    parameters = list(space.posterior.parameters())
    found = torch.autograd.grad(losses.loss - losses.reconstruction.mean(), parameters, materialize_grads=True)
    expected = torch.autograd.grad(levels.max(), parameters, materialize_grads=True)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_balance_presses_levels_by_what_they_carry_for_their_size() -> None:
    space = _space()
    levels = _levels(_losses(space, ELBO()))
    share = torch.stack([(levels[0] + 0.01) / 2, (levels[1] + 0.01) / 3]).detach()
    losses = _losses(space, LevelwiseELBO(0.5, balance=True))
    expected = _losses(space, ELBO()).reconstruction.mean() + 0.5 * (levels * share * 2 / share.sum()).sum()
    torch.testing.assert_close(losses.loss, expected)
    weight = space.posterior.blocks[0].layers[-1].weight
    found, wanted = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in (losses.loss, expected))
    torch.testing.assert_close(found, wanted)
    whole = _losses(space, LevelwiseELBO(1.0, balance=True))
    torch.testing.assert_close(whole.loss, whole.reconstruction.mean() + levels.sum())


def test_a_space_without_levels_has_one() -> None:
    encoder, decoder = MLPEncoder((D,), 3, hidden=[4]), MLPDecoder(3, (D,), hidden=[4])
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), StandardNormal(3)).double()
    losses = _losses(space, LevelwiseELBO())
    torch.testing.assert_close(losses.scalars["kl_level_1"], losses.kl.sum(1).mean().detach())


@pytest.mark.parametrize(
    ("prior", "posterior", "message"),
    [
        (StandardNormal(3), IAFPosterior(3), "a posterior that factorises or goes down levels, got IAFPosterior"),
        (MixtureOfNormals(3, 2), None, "a prior that factorises over latent dimensions, got MixtureOfNormals"),
    ],
)
def test_divergences_that_do_not_split_are_refused(prior: Prior, posterior: Posterior | None, message: str) -> None:
    encoder = MLPEncoder((D,), 3, hidden=[4], heads=2 if posterior is None else posterior.heads)
    space = EncodableLatentSpace(encoder, MLPDecoder(3, (D,), hidden=[4]), FixedGaussian((D,)), prior, posterior)
    with pytest.raises(TypeError, match=message):
        LevelwiseELBO().check(space)
    with pytest.raises(ValueError, match="expected free_bits of at least 0 nats, got -1"):
        LevelwiseELBO(free_bits=-1)
