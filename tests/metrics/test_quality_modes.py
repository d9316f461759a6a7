"""Mode coverage against counts made by hand and against the mixture itself."""

from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor, nn

from lsgen.callbacks.evaluation.sample_quality import SampleQuality
from lsgen.callbacks.logging.sink import Sink
from lsgen.data.toys.distributions import toy_set
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.quality import ModeCoverage, toy_coverage
from lsgen.models.gan import GeneratorSpace

CENTRES = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def test_counts_made_by_hand() -> None:
    metric = ModeCoverage(CENTRES, sigma=0.1)
    metric.update(torch.tensor([[0.0, 0.29], [0.0, 0.31], [4.2, 0.2]]))
    metric.update(torch.tensor([[4.0, 0.0]]))
    values = metric.compute()
    assert values["modes"] == 2
    assert values["good"] == 3 / 4
    torch.testing.assert_close(values["kl"].item(), log(3) + (log(1 / 3) + 2 * log(2 / 3)) / 3)


@pytest.mark.parametrize(("name", "modes"), [("eight_gaussians", 8), ("twenty_five_gaussians", 25)])
def test_the_mixture_covers_itself(name: str, modes: int) -> None:
    n, expected = 40_000, 1 - exp(-4.5)
    metric = toy_coverage(name)
    for part in toy_set(name, None).sample(n, torch.Generator().manual_seed(0))[0].split(999):
        metric.update(part)
    values = metric.compute()
    assert values["modes"] == modes
    assert abs(values["good"] - expected) < 5 * sqrt(expected * (1 - expected) / n)
    assert 0 <= values["kl"] < 5 * modes / n


def test_a_collapsed_generator_reaches_one_mode() -> None:
    metric = ModeCoverage(CENTRES, sigma=0.1)
    metric.update(CENTRES[:1].expand(100, 2))
    assert {name: value.item() for name, value in metric.compute().items()} == {
        "modes": 1,
        "good": 1.0,
        "kl": pytest.approx(log(3)),
    }


def test_what_has_no_modes_to_count_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a mixture of Gaussians, whose modes can be counted, got swiss_roll"):
        toy_coverage("swiss_roll")
    with pytest.raises(ValueError, match=r"expected samples of shape \(N, 2\), got \(3, 4\)"):
        ModeCoverage(CENTRES, 0.1).update(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="expected sigma and radius above 0, got 0"):
        ModeCoverage(CENTRES, 0.0)


def test_the_callback_counts_what_the_generator_makes_without_noise() -> None:
    coverage = toy_coverage("eight_gaussians")
    centres = coverage.centres.float()

    class Centres(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return centres[(z[:, 0].abs() * 1e4).long() % 8]

    space = GeneratorSpace(Centres(), FixedGaussian((2,)), StandardNormal(2))
    sink = Sink("unused", 1)
    SampleQuality({"coverage": coverage}, n=300, chunk_size=70).run(space, None, sink)
    assert sink._scalars["sample/quality/good"] == 1
    assert sink._scalars["sample/quality/modes"] == 8
