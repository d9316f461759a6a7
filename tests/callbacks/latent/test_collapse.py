"""The watch for mode collapse, on generators that are as diverse as the data, half as diverse, and collapsed."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lsgen.callbacks.evaluation.collapse import CollapseWatch, mean_distance
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import GeneratorSpace


def _space(scale: float) -> GeneratorSpace:
    generator = nn.Linear(3, 3, bias=False)
    generator.weight.data.copy_(scale * torch.eye(3))
    return GeneratorSpace(generator, FixedGaussian((3,)), StandardNormal(3))


def test_mean_distances_of_three_points() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert mean_distance(points).item() == (3 + 4 + 5) / 3


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_ratio_of_a_scaled_copy_is_the_scale(tmp_path: Path, scale: float) -> None:
    watch, sink = CollapseWatch(n=2000), Sink(tmp_path, step=7)
    watch.run(_space(scale), Probe(torch.randn(2000, 3)), sink)
    assert sink._scalars["sample/diversity"] == pytest.approx(scale, rel=0.05)


def test_a_warning_comes_once_a_collapse(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    watch, probe = CollapseWatch(n=50), Probe(torch.randn(50, 3))
    told = []
    for step, scale in enumerate((1.0, 0.01, 0.02, 1.0, 0.01)):
        watch.run(_space(scale), probe, Sink(tmp_path, step))
        told.append(len([w for w in recwarn.list if "Mode collapse at generator step" in str(w.message)]))
    assert told == [0, 1, 1, 1, 2]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CollapseWatch expected at least 2 observations to compare with"):
        CollapseWatch().run(_space(1.0), None, Sink(tmp_path, step=0))
    with pytest.raises(ValueError, match="CollapseWatch expected n >= 2 and a threshold in"):
        CollapseWatch(n=1)
