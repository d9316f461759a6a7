"""AC-GAN against its equations."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softplus

from lsgen.latent import StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, AuxiliaryClassification, NonSaturating
from lsgen.nn.adversarial.critics import AuxiliaryCritic, MLPCritic

BATCH = {"x": torch.randn(4, 3), "label": torch.tensor([2, 0, 1, 1])}


def _gan(**changes: Any) -> GAN:
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "generator": nn.Linear(5, 3),
        "critic": AuxiliaryCritic(MLPCritic((3,), [8]), 3),
        "likelihood": FixedGaussian((3,)),
        "prior": Product([StandardNormal(2), OneHot(3)]),
        "loss": NonSaturating(),
        "regularisers": [AuxiliaryClassification(0.7)],
    }
    return GAN(**parts | changes)


def _expected(gan: GAN, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores, and -E log P(c|x)."""
    scores, logits = gan.critic.judge(x)
    return scores, -log_softmax(logits, 1)[torch.arange(4), BATCH["label"]].mean()


def test_both_players_have_the_class_in_their_loss() -> None:
    gan = _gan()
    codes: list[Tensor] = []
    gan.generator.register_forward_hook(lambda module, inputs, output: codes.append(inputs[0]))
    critic, generator = gan.critic_terms(BATCH, 0), gan.generator_terms(BATCH, 0)
    assert all(torch.equal(z[:, 2:].argmax(1), BATCH["label"]) for z in codes)
    (real, real_entropy), (fake, entropy) = _expected(gan, BATCH["x"]), _expected(gan, gan.generator(codes[0]))
    torch.testing.assert_close(critic["adversarial"], softplus(-real).mean() + softplus(fake).mean())
    torch.testing.assert_close(critic["auxiliary_classification"], 0.7 * (real_entropy + entropy))
    fake, entropy = _expected(gan, gan.generator(codes[1]))
    torch.testing.assert_close(generator["adversarial"], softplus(-fake).mean())
    torch.testing.assert_close(generator["auxiliary_classification"], 0.7 * entropy)


def test_the_generator_learns_to_be_recognised() -> None:
    gan = _gan()
    optimizer = torch.optim.Adam(gan.generator.parameters(), 0.05)
    first = gan.generator_terms(BATCH, 0)["auxiliary_classification"].item()
    for _ in range(100):
        optimizer.zero_grad()
        gan.generator_terms(BATCH, 0)["auxiliary_classification"].backward()
        optimizer.step()
    assert gan.generator_terms(BATCH, 0)["auxiliary_classification"].item() < 0.8 * first


def test_head_and_regulariser_belong_together() -> None:
    with pytest.raises(TypeError, match="got AuxiliaryCritic without AuxiliaryClassification"):
        _gan(regularisers=[])
    with pytest.raises(TypeError, match="got MLPCritic with AuxiliaryClassification"):
        _gan(critic=MLPCritic((3,), [8]))
    with pytest.raises(ValueError, match=r"one-hot label of critic.classes = 3 classes, got prior.classes = 0"):
        _gan(prior=StandardNormal(5))
