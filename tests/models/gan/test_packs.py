"""PacGAN: packs by hand, a critic of packs within the game, and penalties of a pack as a whole."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, R1, Consistency, GeneratedConsistency, Hinge
from lsgen.nn.adversarial.critics import MLPCritic
from lsgen.nn.adversarial.packed import PackedCritic, packs, unpacked
from lsgen.nn.adversarial.resnet_gan import ResNetCritic


def _gan(critic: nn.Module, **changes: Any) -> GAN:
    return GAN(nn.Linear(2, 3), critic, FixedGaussian((3,)), StandardNormal(2), Hinge(), **changes)


def test_packs_by_hand() -> None:
    x = torch.arange(5)[:, None] * 10 + torch.arange(2)
    assert packs(x[:4], 2).tolist() == [[0, 1, 10, 11], [20, 21, 30, 31]]
    assert packs(x, 2).tolist() == [[0, 1, 10, 11], [20, 21, 30, 31], [40, 41, 0, 1]]  # filled from the front
    assert packs(x[:1], 3).tolist() == [[0, 1, 0, 1, 0, 1]]
    images = torch.randn(6, 2, 4, 5)
    packed = packs(images, 3)
    assert packed.shape == (2, 6, 4, 5)
    assert torch.equal(packed[1, 2:4], images[4])
    assert torch.equal(unpacked(packed, 3), images)


def test_the_order_of_packs_is_that_of_scores_and_a_pack_is_judged_as_one() -> None:
    torch.manual_seed(0)
    critic, x = PackedCritic((3,), lambda shape: MLPCritic(shape, [8]), pack=2), torch.randn(8, 3)
    scores = critic(packs(x, 2))
    order = torch.tensor([2, 0, 3, 1])
    shuffled = x.view(4, 2, 3)[order].reshape(8, 3)
    torch.testing.assert_close(critic(packs(shuffled, 2)), scores[order])
    alike = x.view(4, 2, 3)[:, :1].expand(4, 2, 3).reshape(8, 3)
    assert (critic(packs(alike, 2)) - scores).abs().min() > 0


@pytest.mark.parametrize("n", [6, 7])
def test_both_players_see_packs_of_their_kind(n: int) -> None:
    torch.manual_seed(0)
    seen: list[Tensor] = []
    gan = _gan(PackedCritic((3,), lambda shape: MLPCritic(shape, [8])), regularisers=[R1(2.0)])
    gan.critic.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    x = torch.randn(n, 3)
    terms = gan.critic_terms({"x": x}, 0)
    real, fake = seen[:2]
    assert torch.equal(real, packs(x, 2))
    assert fake.shape == real.shape
    r, f = gan.critic(real), gan.critic(fake)
    torch.testing.assert_close(terms["adversarial"], torch.relu(1 - r).mean() + torch.relu(1 + f).mean())
    gradients = torch.func.vmap(torch.func.grad(lambda one: gan.critic.critic(one[None])[0]))(real)
    torch.testing.assert_close(terms["r1"], gradients.square().sum(1).mean())  # the norm of a pack's whole gradient
    seen.clear()
    value = gan.generator_terms({"x": x}, 0)["adversarial"]
    torch.testing.assert_close(value, -gan.critic(seen[0]).mean())
    assert seen[0].shape == (-(-n // 2), 6)


def test_observations_are_augmented_one_by_one() -> None:
    torch.manual_seed(0)
    shapes: list[torch.Size] = []
    augment = nn.Identity()
    augment.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    _gan(PackedCritic((3,), lambda shape: MLPCritic(shape, [8])), augment=augment).critic_terms(
        {"x": torch.randn(6, 3)}, 0
    )
    assert shapes == [(6, 3), (6, 3)]


@pytest.mark.parametrize(("penalty", "of_real"), [(Consistency, True), (GeneratedConsistency, False)])
def test_consistency_augments_the_observations_of_a_pack_one_by_one(penalty: Any, of_real: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 3)
    regulariser = penalty(nn.Softmax(1), weight=1.0)  # mixes whatever it takes for one observation
    gan = _gan(PackedCritic((3,), lambda shape: MLPCritic(shape, [8]), pack=2), regularisers=[regulariser])
    torch.manual_seed(1)
    term = gan.critic_terms({"x": x}, 0)[regulariser.name]
    torch.manual_seed(1)
    seen = x if of_real else gan.generator(gan.codes(6))
    changed = gan.critic(packs(seen, 2)) - gan.critic(packs(seen.softmax(1), 2))
    torch.testing.assert_close(term, changed.square().mean())


def test_refusals() -> None:
    with pytest.raises(ValueError, match="expected packs of at least 2 observations, got 1"):
        PackedCritic((3,), MLPCritic, pack=1)
    with pytest.raises(ValueError, match="expected a critic of packs without classes, got ResNetCritic with some"):
        PackedCritic((1, 8, 8), lambda shape: ResNetCritic(shape, [4, 4], 1, classes=3))
    with pytest.raises(ValueError, match=r"expected packs of 6 channels, got observations \(4, 3\): see `packs`"):
        PackedCritic((3,), MLPCritic)(torch.randn(4, 3))
