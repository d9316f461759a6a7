"""Differentiable augmentations against what they are by definition."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, NonSaturating
from lsgen.nn.adversarial.augment import AdaptiveAugment, DiffAugment

X = torch.rand(64, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1


def _shifted(image: Tensor, down: int, right: int) -> Tensor:
    out = torch.zeros_like(image)
    for i in range(16):
        for j in range(16):
            if 0 <= i + down < 16 and 0 <= j + right < 16:
                out[:, i, j] = image[:, i + down, j + right]
    return out


@pytest.mark.slow
def test_translation_shifts_by_up_to_an_eighth_with_zeros_coming_in() -> None:
    moved = DiffAugment(["translation"])(X)
    shifts = {}
    for n in range(len(X)):
        candidates = [(a, b) for a in range(-2, 3) for b in range(-2, 3) if torch.equal(moved[n], _shifted(X[n], a, b))]
        assert len(candidates) == 1
        shifts[candidates[0]] = True
    assert len(shifts) > 10


def test_cutout_zeroes_one_square_of_at_most_half_the_size() -> None:
    cut = DiffAugment(["cutout"])(X)
    for image, original in zip(cut, X, strict=True):
        zero = (image == 0).all(0)
        rows, columns = zero.any(1).nonzero().flatten(), zero.any(0).nonzero().flatten()
        assert 4 <= len(rows) <= 8
        assert 4 <= len(columns) <= 8
        assert zero[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
        assert torch.equal(image[:, ~zero], original[:, ~zero])


def test_colour_is_affine_in_every_image_and_keeps_its_grey_contrasts_in_proportion() -> None:
    coloured = DiffAugment(["colour"])(X)
    grey, before = coloured.mean(1), X.mean(1)
    slope = (grey - grey.mean((1, 2), keepdim=True)) / (before - before.mean((1, 2), keepdim=True))
    torch.testing.assert_close(slope, slope[:, :1, :1].expand_as(slope), rtol=1e-6, atol=1e-6)
    assert ((slope[:, 0, 0] > 0.5) & (slope[:, 0, 0] < 1.5)).all()
    assert ((grey.mean((1, 2)) - before.mean((1, 2))).abs() <= 0.5).all()


def test_gradients_flow() -> None:
    x = X.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(DiffAugment()(x).sum(), x)
    assert gradient.abs().sum((1, 2, 3)).min() > 0


def test_the_probability_follows_the_overfitting_heuristic() -> None:
    ada = AdaptiveAugment(DiffAugment(), target=0.5, speed=1000)
    assert torch.equal(ada(X), X)
    for _ in range(3):
        ada.observe(torch.tensor(0.9), 100)
    torch.testing.assert_close(ada.p, torch.tensor(0.3))
    ada.observe(torch.tensor(0.1), 100)
    torch.testing.assert_close(ada.p, torch.tensor(0.2))
    for _ in range(3):
        ada.observe(torch.tensor(-1.0), 100)
    assert ada.p == 0
    ada.p.fill_(1)
    assert (ada(X) != X).flatten(1).any(1).all()
    ada.p.fill_(0.5)
    changed = (ada(X.repeat(20, 1, 1, 1)) != X.repeat(20, 1, 1, 1)).flatten(1).any(1).double().mean()
    assert abs(changed - 0.5) < 5 * 0.5 / (20 * 64) ** 0.5


def test_a_gan_augments_for_both_players_and_tells_how_the_critic_overfits() -> None:
    class Negate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return -x

    ada = AdaptiveAugment(Negate(), target=0.5, speed=40)
    critic = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(0))
    gan = GAN(nn.Linear(2, 3), critic, FixedGaussian((3,)), StandardNormal(2), NonSaturating(), augment=ada)
    nn.init.ones_(critic[0].weight)
    batch = {"x": torch.ones(4, 3)}
    gan.critic_terms(batch, 0)
    torch.testing.assert_close(ada.p, torch.tensor(0.1))
    gan.critic_terms(batch, None)
    torch.testing.assert_close(ada.p, torch.tensor(0.1))
    ada.p.fill_(1)
    seen: list[Tensor] = []
    critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    gan.critic_terms(batch, 0)
    gan.generator_terms(batch, 0)
    assert torch.equal(seen[0], -batch["x"])
    torch.manual_seed(0)
    gan.generator_terms(batch, 0)
    torch.manual_seed(0)
    torch.testing.assert_close(seen[3], -gan.generator(gan.codes(4)))


def test_unknown_augmentations_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a policy of colour, translation, cutout, got colour, rotation"):
        DiffAugment(["colour", "rotation"])
    with pytest.raises(ValueError, match=r"expected a target in \(-1, 1\) and a speed above 0 images, got 1 and 10"):
        AdaptiveAugment(target=1, speed=10)
