"""How far codes tell two classes along a line, and how far they follow shifts of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.analysis.probing.estimators import fitted_predictions
from lsgen.data.augmentation import shifted
from lsgen.latent import EncodableSpace
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["ShiftInvariance"]


@dataclass(frozen=True)
class ShiftInvariance:
    """Measures the linear separability of classes, and the share of the variance of codes that shifts make.

    Its keys are `linear`, the accuracy in percent of a logistic regression on codes, fitted to those of training data
    and asked of those of test data; `pca_linear`, the same of as many principal components of the pixels; and
    `shift_share`, the mean squared distance of the codes of an image from their mean over shifts, over that of all
    codes from the mean of all, in percent.

    Parts are one for each test image.

    Attributes:
        shifts: pixels by which each test image is shifted along its rows.
        n: test images, drawn at random.

    Raises:
        TypeError: the model has no encoder.
        ValueError: there are fewer than two shifts, or the data have no labels.

    """

    shifts: Sequence[int] = (-6, -3, 0, 3, 6)
    n: int = 1000

    def __post_init__(self) -> None:
        if len(self.shifts) < 2 or self.n < 2:
            raise ValueError(f"expected at least 2 shifts and images, got {len(self.shifts)} and {self.n}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.model.latent_space
        if not isinstance(space, EncodableSpace):
            raise TypeError(f"ShiftInvariance expected a space with an encoder, got {type(space).__name__}")
        train, test = run.probe(None, "train"), run.probe(self.n)
        if "label" not in test:
            raise ValueError("expected data with labels, got none with a label")
        codes = [_codes(space, part["x"]) for part in (train, test)]
        mean = train["x"].flatten(1).mean(0)
        flat = [(part["x"].flatten(1) - mean).double() for part in (train, test)]
        axes = torch.linalg.eigh(flat[0].T @ flat[0])[1][:, -space.dim :]
        labels = train["label"], test["label"]
        parts = {
            "linear": _right((codes[0], codes[1]), labels),
            "pca_linear": _right((flat[0] @ axes, flat[1] @ axes), labels),
        }
        moved = torch.stack([_codes(space, shifted(test["x"], pixels)) for pixels in self.shifts], 1)
        within = (moved - moved.mean(1, keepdim=True)).square().sum(-1).mean(1)
        total = (moved - moved.mean((0, 1))).square().sum(-1).mean()
        parts["shift_share"] = 100 * within / total.clamp(min=torch.finfo(total.dtype).tiny)
        return Measured({name: float(part.double().mean()) for name, part in parts.items()}, parts)


def _codes(space: EncodableSpace, x: Tensor) -> Tensor:
    return torch.cat([space.encode(part).mean for part in x.split(500)]).double()


def _right(points: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor]) -> Tensor:
    """Return for each test point 100 where a logistic regression names its class, else 0."""
    (fitted, asked), (known, right) = ([part.cpu().numpy() for part in pair] for pair in (points, labels))
    found = fitted_predictions("linear", "classification", fitted, known, asked, seed=0)
    return torch.from_numpy(100.0 * (found == right))
