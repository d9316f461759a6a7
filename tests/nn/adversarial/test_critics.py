"""Spectral normalisation against the singular value decomposition, and critics without normalisation."""

import pytest
import torch
from torch import nn

from lsgen.nn.adversarial.critics import MLPCritic, spectrally_normalised


@pytest.mark.parametrize(
    "layer", [nn.Linear(7, 5), nn.Conv2d(3, 5, 4), nn.ConvTranspose2d(5, 3, 4), nn.Embedding(6, 4)]
)
def test_every_layer_has_largest_singular_value_one(layer: nn.Module) -> None:
    layer = layer.double()
    plain = layer.weight.detach().clone()
    outer = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    matrix = plain.movedim(outer, 0).flatten(1)
    spectrally_normalised(layer)
    for _ in range(400):
        weight = layer.weight
    torch.testing.assert_close(weight, plain / torch.linalg.svdvals(matrix)[0])


def test_a_normalised_critic_is_lipschitz() -> None:
    critic = MLPCritic((2, 3), [16, 16], spectral=True, scale=3.0).double()
    for _ in range(300):
        critic(torch.randn(1, 2, 3, dtype=torch.float64))
    critic.eval()
    x, y = torch.randn(2, 500, 2, 3, dtype=torch.float64)
    assert ((critic(x) - critic(y)).abs() <= 3 * (x - y).flatten(1).norm(dim=1) * (1 + 1e-9)).all()


def test_a_score_depends_on_its_own_observation_alone() -> None:
    critic = MLPCritic((4,), [8])
    x = torch.randn(5, 4)
    torch.testing.assert_close(critic(x)[:2], critic(x[:2]))
    assert critic(x).shape == (5,)
