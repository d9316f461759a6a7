"""A second head that recognises classes, and minibatch statistics, against their definitions."""

import pytest
import torch
from torch import nn

from lsgen.nn.adversarial.critics import AuxiliaryCritic, MinibatchStd, MLPCritic
from lsgen.nn.adversarial.dcgan import DCGANCritic
from lsgen.nn.adversarial.resnet_gan import ResNetCritic
from lsgen.nn.adversarial.style_critic import StyleCritic


@pytest.mark.parametrize(
    "critic",
    [
        MLPCritic((1, 8, 8), [6], scale=3.0),
        DCGANCritic((1, 8, 8), 4, batch_norm=False),
        ResNetCritic((1, 8, 8), [4, 6], 1, spectral=False),
    ],
)
def test_a_second_head_leaves_the_score_as_it_was(critic: nn.Module) -> None:
    both = AuxiliaryCritic(critic, 5)
    x = torch.randn(3, 1, 8, 8)
    scores, logits = both.judge(x)
    torch.testing.assert_close(scores, critic(x))
    torch.testing.assert_close(both(x), scores)
    torch.testing.assert_close(logits, critic.features(x) @ both.head.weight.T + both.head.bias)


def test_only_critics_with_features_take_a_second_head() -> None:
    with pytest.raises(TypeError, match="AuxiliaryCritic expected a critic with features and score, got Linear"):
        AuxiliaryCritic(nn.Linear(3, 1), 5)
    with pytest.raises(ValueError, match="expected at least 2 classes, got 1"):
        AuxiliaryCritic(MLPCritic((3,), [4]), 1)


@pytest.mark.parametrize(("batch", "size"), [(8, 4), (6, 2), (12, 4), (4, 4)])
def test_the_deviation_is_that_within_groups(batch: int, size: int) -> None:
    x = torch.randn(batch, 3, 2, 2, dtype=torch.float64)
    out = MinibatchStd(4)(x)
    assert torch.equal(out[:, :3], x)
    groups = batch // size
    for n in range(batch):
        members = x[n % groups :: groups]
        assert len(members) == size
        expected = members.std(0, correction=0).mean()
        torch.testing.assert_close(out[n, 3], expected.expand(2, 2), atol=1e-6, rtol=0)


def test_a_single_image_has_no_diversity_and_a_finite_gradient() -> None:
    x = torch.randn(1, 3, 2, 2, requires_grad=True)
    out = MinibatchStd()(x)
    assert out[0, 3].abs().max() < 1e-3
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.isfinite(gradient).all()


def test_a_critic_can_tell_repeated_images() -> None:
    torch.manual_seed(0)
    critic = DCGANCritic((1, 8, 8), 4, batch_norm=False, minibatch_std=True)
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(critic(x[:1]), critic(x[:1].expand(4, -1, -1, -1))[:1])
    assert (critic(x)[0] - critic(x[:1])[0]).abs() > 1e-6
    with pytest.raises(ValueError, match="expected groups of at least 2 images, got 1"):
        MinibatchStd(1)


def test_a_style_critic_keeps_the_variance_and_can_judge_images_one_by_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3, 16, 16)
    alone = StyleCritic((3, 16, 16), (32, 32, 32), group=0)
    torch.testing.assert_close(alone(x[:4]), alone(x)[:4], atol=1e-5, rtol=1e-5)
    h = alone.image(x)
    assert 0.8 < h.std() < 1.2
    for block in alone.blocks:
        h = block(h)
        assert 0.3 < h.std() < 1.5
    grouped = StyleCritic((3, 16, 16), (8, 8, 8), group=4)
    assert (grouped(x)[0] - grouped(x[:1])[0]).abs() > 1e-6
    with pytest.raises(ValueError, match=r"expected images \(C, 16, 16\) of 3 resolutions, got \(3, 32, 32\)"):
        StyleCritic((3, 32, 32), (8, 8, 8))
