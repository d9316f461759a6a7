"""Trained runs as measures see them, and what measures return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import LightningModule

from lsgen.data import DataModule
from lsgen.runs import RunDirectory

__all__ = ["Measured", "TrainedRun"]


@dataclass(frozen=True)
class TrainedRun:
    """A run that has ended.

    Attributes:
        arm: the setting that it is a run of.
        seed: its seed.
        model: its model in eval mode, with the weights of the last checkpoint.
        data: its data, set up.
        config: its frozen config.
        directory: where it is.

    """

    arm: str
    seed: int
    model: LightningModule
    data: DataModule
    config: Mapping[str, Any]
    directory: RunDirectory


@dataclass(frozen=True)
class Measured:
    """What a measure found.

    Attributes:
        values: numbers by key.
        arrays: arrays by key. Under the key of a value stand its parts, one an item (items,), of which it is the mean;
            of a comparison (seeds, items).

    """

    values: Mapping[str, float]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {key: float(value) for key, value in self.values.items()})
        object.__setattr__(self, "arrays", {key: np.asarray(value) for key, value in self.arrays.items()})
