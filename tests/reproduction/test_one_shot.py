"""One-shot tasks of a data set, the modified Hausdorff distance by its definition, and the accuracy of a run."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lsgen.data import AsStored, DataModule, Loading, TensorSource
from lsgen.latent import FeatureSpace
from lsgen.reproduction.comparisons.one_shot_baselines import OneShotBaselines, modified_hausdorff
from lsgen.reproduction.measures.similarity.one_shot import OneShotAccuracy, one_shot_tasks

SHAPE = (1, 5, 5)


class Drawings(DataModule):
    """Four drawings of two runs: strokes, and the same strokes moved, of which one is asked for twice."""

    def __init__(self, labels: tuple[int, ...] = (0, 1, 1, 0, 2, 3, 2, 3)) -> None:
        super().__init__(SHAPE, SHAPE, AsStored(None), 2, 0, Loading())
        self.labels = torch.tensor(labels)

    def build(self, split: Any) -> Any:
        x = torch.zeros(8, *SHAPE)
        x[0, 0, 1], x[3, 0, 3] = 1, 1  # a line, and the same one lower
        x[1, 0, :, 1], x[2, 0, :, 3] = 1, 1
        x[4, 0, 0], x[6, 0, 4] = 1, 1
        x[5, 0, :, 0], x[7, 0, :, 0] = 1, 1
        parts = {"label": self.labels, "group": torch.tensor([0] * 4 + [1] * 4)}
        return self.subset(TensorSource(x=x, **parts), torch.arange(8), split)


def test_the_distance_of_drawings_is_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 2)), rng.normal(size=(8, 2))
    ways = [[min(np.linalg.norm(p - q) for q in other) for p in own] for own, other in ((a, b), (b, a))]
    assert modified_hausdorff(a, b) == pytest.approx(max(np.mean(ways[0]), np.mean(ways[1])))
    assert modified_hausdorff(b, a) == modified_hausdorff(a, b)
    assert modified_hausdorff(a, a) == 0.0


def test_moved_drawings_are_known_by_their_ink_and_not_by_their_pixels() -> None:
    """By pixels, lines of another direction are nearer: they share a pixel, and those that were moved share none."""
    found = OneShotBaselines(Drawings())({})
    assert found.values["hausdorff_error"] == 0.0
    assert found.arrays["pixels_accuracy"].shape == (1, 4)
    assert found.values["pixels_accuracy"] == 25.0
    tasks = list(one_shot_tasks(Drawings()))
    assert [task.answers.tolist() for task in tasks] == [[0, 1], [0, 1]]


def test_a_run_is_measured_by_its_codes() -> None:
    """An encoder that sums ink along rows knows which lines are horizontal, wherever they are."""

    class Widest(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scale * x.sum(-1).flatten(1).amax(1, keepdim=True)

    run = SimpleNamespace(model=SimpleNamespace(latent_space=FeatureSpace(Widest(), 1)), data=Drawings())
    found = OneShotAccuracy()(run)  # type: ignore[arg-type]
    assert found.values == {"accuracy": 100.0, "pixels": 25.0}
    with pytest.raises(ValueError, match="expected labels with two test observations, got none in group 0"):
        list(one_shot_tasks(Drawings((0, 1, 2, 3, 4, 5, 4, 5))))
    with pytest.raises(TypeError, match=r"OneShotBaselines expected a lsgen.data.DataModule, got NoneType"):
        OneShotBaselines(None)  # type: ignore[arg-type]
