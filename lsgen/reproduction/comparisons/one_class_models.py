"""How well models that were trained on one class alone tell the others from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsgen.analysis.anomalies import anomaly_panel
from lsgen.callbacks.analysis.collection import collect_codes
from lsgen.data import DataModule
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["OneClassModels"]


@dataclass(frozen=True)
class OneClassModels:
    """Measures the AUROC, in per cent, of scores of models for test data of all classes.

    Each run was trained on data of one class, and its arm is called KIND_CLASS, such as vae_3. Scores are fitted to its
    training data; p-values are calibrated by its validation data. Keys: KIND_SCORE_CLASS, averaged over seeds,
    KIND_SCORE_mean over classes, and KIND_SCORE_false_alarms, the share in per cent of ordinary test observations whose
    p-value is at most 5 %. Arrays: KIND_SCORE (seeds, classes).

    Attributes:
        data: test data of all classes.
        scores: which scores, see `lsgen.analysis.anomalies`; a score that a model does not have is left out.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.

    """

    data: DataModule
    scores: Sequence[str] = ("reconstruction_error", "elbo", "prior_nll", "knn", "mahalanobis")

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataModule):
            raise TypeError(f"OneClassModels expected a lsgen.data.DataModule, got {type(self.data).__name__}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return AUROCs of the runs of all arms."""
        found: dict[str, dict[str, list[Mapping[str, tuple[float, float]]]]] = {}
        for arm, of_arm in runs.items():
            kind, _, number = arm.rpartition("_")
            found.setdefault(kind, {})[number] = [self._of_run(run, int(number)) for run in of_arm]
        values, arrays = dict[str, float](), dict[str, Any]()
        for kind, by_class in found.items():
            every = [one for ones in by_class.values() for one in ones]
            for score in [name for name in self.scores if all(name in one for one in every)]:
                table = np.array([[one[score] for one in ones] for ones in by_class.values()]).transpose(1, 0, 2)
                key = f"{kind}_{score}"
                arrays[key] = table[..., 0]
                values |= {f"{key}_{number}": table[:, i, 0].mean() for i, number in enumerate(by_class)}
                values |= {f"{key}_mean": table[..., 0].mean(), f"{key}_false_alarms": table[..., 1].mean()}
        return Measured({key: float(value) for key, value in values.items()}, arrays)

    def _of_run(self, run: TrainedRun, number: int) -> dict[str, tuple[float, float]]:
        """Return AUROC and false alarms, in per cent, by score."""
        ordinary, calibration = (collect_codes(run.model, run.data, None, splits=(s,)).codes for s in ("train", "val"))
        codes = collect_codes(run.model, self.data, None, splits=("test",)).codes
        names = [name for name in self.scores if name in ("knn", "mahalanobis") or name in codes.columns]
        panel = anomaly_panel(ordinary, calibration, codes, codes.columns["label"] != number, names)
        return {
            name: (100 * panel.detections[name].auroc.value, 100 * panel.false_alarms[name].value) for name in names
        }
