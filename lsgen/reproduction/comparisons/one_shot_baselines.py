r"""One-shot classification of drawings without any training: by pixels, and by the modified Hausdorff distance.

    d(A, B) = max( mean over a in A of min |a - b|,  mean over b in B of min |a - b| )

of the coordinates of the pixels with ink, about their mean.

Reference: Dubuisson & Jain, "A modified Hausdorff distance for object matching" (ICPR 1994); Lake et al., the baseline
of https://github.com/brendenlake/omniglot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from lsgen.data import DataModule
from lsgen.reproduction.measures.similarity.one_shot import one_shot_tasks
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["OneShotBaselines", "modified_hausdorff"]


@dataclass(frozen=True)
class OneShotBaselines:
    """Measures `hausdorff_error` and `pixels_accuracy` in percent, of tasks of the test split.

    See `lsgen.reproduction.measures.similarity` for the tasks. Parts are 0 and 100, one for each image.

    Attributes:
        data: images of one channel, in which 1 is ink.
        threshold: from which a pixel has ink.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.

    """

    data: DataModule
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataModule):
            raise TypeError(f"OneShotBaselines expected a lsgen.data.DataModule, got {type(self.data).__name__}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the values; no run is looked at."""
        wrong, right = list[Tensor](), list[Tensor]()
        for task in one_shot_tasks(self.data):
            known, asked = ([_points(x[0], self.threshold) for x in images] for images in (task.known, task.asked))
            apart = np.array([[modified_hausdorff(a, b) for b in known] for a in asked])
            wrong.append(100.0 * (torch.from_numpy(apart.argmin(1)) != task.answers))
            right.append(task.right_by_pixels())
        parts = {"hausdorff_error": torch.cat(wrong)[None], "pixels_accuracy": torch.cat(right)[None]}
        return Measured({name: float(one.double().mean()) for name, one in parts.items()}, parts)


def modified_hausdorff(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the modified Hausdorff distance of two sets of points, (N, 2) and (M, 2)."""
    apart = cdist(a, b)
    return float(max(apart.min(1).mean(), apart.min(0).mean()))


def _points(image: Tensor, threshold: float) -> NDArray[np.float64]:
    """Return the coordinates of the pixels with ink, about their mean."""
    points = (image > threshold).nonzero().double().numpy()
    if not len(points):
        raise ValueError(f"expected images with pixels above {threshold}, got one without")
    centred: NDArray[np.float64] = points - points.mean(0)
    return centred
