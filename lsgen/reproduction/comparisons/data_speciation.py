"""When noisy observations of two classes of a data set decide for one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.data import DataModule
from lsgen.metrics import SpeciationTime
from lsgen.metrics.phases.cloning import crossing
from lsgen.metrics.phases.speciation import data_agreement
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["DataSpeciation"]


@dataclass(frozen=True)
class DataSpeciation:
    """Measures the speciation time of the covariance of labelled data, and when clones of their exact denoiser agree.

    Keys: `eigenvalue`, the largest of the covariance; `time`, t_S = (1/2) log of it; `crossing`, the time over t_S at
    which the share of pairs that agree crosses 0.775. Arrays: `times` in units of t_S, `agreement` and its `error`.

    Attributes:
        data: labelled data; of their training split the first observations of each class are taken, in the order of
            the file.
        classes: the labels.
        each: observations of each class.
        draws: noised observations at each time.
        times: at which clones part, in units of t_S.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.
        ValueError: there are fewer than two classes or times, or fewer observations of a class, or no eigenvalue of
            the covariance exceeds 1.

    Reference: Biroli, Bonnaire, de Bortoli & Mezard (2024), https://arxiv.org/abs/2402.18491.
    """

    data: DataModule
    classes: Sequence[int] = (1, 8)
    each: int = 5000
    draws: int = 5000
    times: Sequence[float] = (0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.2)

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataModule):
            raise TypeError(f"DataSpeciation expected a lsgen.data.DataModule, got {type(self.data).__name__}")
        if len(set(self.classes)) < 2 or len(self.times) < 2 or min(self.times) <= 0:
            raise ValueError(
                "DataSpeciation expected two or more classes and two or more times above 0, "
                f"got {list(self.classes)} and {list(self.times)}"
            )

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return times and shares; no run is looked at."""
        x, labels = self._observations()
        known = SpeciationTime(x.shape[1])
        known.update(x)
        found = known.compute()
        if not found["time"] > 0:
            raise ValueError(
                f"expected a covariance with an eigenvalue above 1, whose speciation time is positive, got "
                f"{float(found['eigenvalue']):.3g}: take other units or classes"
            )
        times = torch.tensor(sorted(self.times), dtype=torch.float64)
        parts = [data_agreement(x, labels, float(time * found["time"]), self.draws) for time in times]
        agreement, error = (torch.stack(part) for part in zip(*parts, strict=True))
        values = {"eigenvalue": float(found["eigenvalue"]), "time": float(found["time"])}
        values["crossing"] = crossing(times, agreement)
        return Measured(values, {"times": times, "agreement": agreement, "error": error})

    def _observations(self) -> tuple[Tensor, Tensor]:
        """Return observations (N, D) and their classes (N,), counted from 0."""
        split = self.data.dataset("train")
        batch = split[split.rows.argsort()]
        rows = [(batch["label"] == label).nonzero()[: self.each, 0] for label in self.classes]
        if any(len(of) < self.each for of in rows):
            raise ValueError(
                f"expected {self.each} observations of each of the classes {list(self.classes)}, "
                f"got {[len(of) for of in rows]}"
            )
        labels = torch.arange(len(rows)).repeat_interleave(self.each)
        return batch["x"][torch.cat(rows)].flatten(1), labels
