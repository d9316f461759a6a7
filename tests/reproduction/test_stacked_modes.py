"""Modes of stacked digits against those of a generator that copies known digits."""

from math import log
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from lsgen.data import Digits, StackedDigits
from lsgen.latent import OneHot
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GAN, NonSaturating
from lsgen.nn.adversarial.critics import MLPCritic
from lsgen.reproduction.measures.stacked_modes import StackedModes
from lsgen.reproduction.runs import TrainedRun

SHAPE = (3, 8, 8)


class Copies(nn.Module):
    """A stack of the mean digits of each of some triples, one a class."""

    def __init__(self, triples: list[tuple[int, int, int]]) -> None:
        super().__init__()
        train = Digits().dataset("train")
        every = train[torch.arange(len(train))]
        means = torch.stack([every["x"][every["label"] == digit].mean(0)[0] for digit in range(10)])
        self.stacks = nn.Parameter(means[torch.tensor(triples)])

    def forward(self, z: Tensor) -> Tensor:
        return torch.einsum("nk,k...->n...", z, self.stacks)


def measured(data: object, triples: list[tuple[int, int, int]]) -> dict[str, float]:
    model = GAN(Copies(triples), MLPCritic(SHAPE, (4,)), FixedGaussian(SHAPE), OneHot(len(triples)), NonSaturating())
    run = TrainedRun("arm", 0, model.eval(), data, {}, SimpleNamespace())  # type: ignore[arg-type]
    torch.manual_seed(0)
    return dict(StackedModes(n=4000, steps=150)(run).values)


def test_modes_are_triples_and_not_their_orders() -> None:
    triples = [(0, 0, 0), (1, 2, 3), (3, 2, 1), (9, 9, 4), (9, 9, 4)]  # the last twice as often as the others
    found = measured(StackedDigits(SHAPE, "scanned", train_size=10, val_size=10, test_size=10), triples)
    assert found["modes"] == 4
    entropy = 3 * 0.2 * log(5) + 0.4 * log(2.5)
    assert found["kl"] == pytest.approx(log(1000) - entropy, abs=0.02)
    assert found["accuracy"] > 85


def test_other_data_have_no_such_modes() -> None:
    with pytest.raises(TypeError, match="expected StackedDigits, got Digits"):
        measured(Digits(), [(0, 0, 0)])
