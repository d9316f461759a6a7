"""Trained runs as measures see them, and what measures return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pytorch_lightning import LightningModule
from torch import Tensor

from lsgen.data import DataModule, Split
from lsgen.data.batches import Observations
from lsgen.latent import EncodableLatentSpace
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

    @property
    def encodable_space(self) -> EncodableLatentSpace:
        """The latent space of its model, with an encoder.

        Raises:
            TypeError: there is no encoder.

        """
        space = self.model.latent_space
        if not isinstance(space, EncodableLatentSpace):
            raise TypeError(f"expected a latent space with an encoder, got {type(space).__name__}")
        return space

    def probe(self, n: int | None = None, split: Split = "test") -> Observations:
        """Return n observations of a split drawn at random, or all where there are fewer, on the model's device.

        They are the same for every run on the same data.
        """
        most = len(self.data.dataset(split))
        batch = self.data.probe(most if n is None else min(n, most), split)
        device = next(self.model.parameters(), torch.empty(0)).device
        return {name: part.to(device) for name, part in batch.items()}


@dataclass(frozen=True)
class Measured:
    """What a measure found.

    Attributes:
        values: numbers by key.
        arrays: arrays, or tensors on any device, by key. Under the key of a value stand its parts, one an item
            (items,), of which it is the mean; of a comparison (seeds, items).

    """

    values: Mapping[str, float]
    arrays: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {key: float(value) for key, value in self.values.items()})
        object.__setattr__(self, "arrays", {key: _array(value) for key, value in self.arrays.items()})


def _array(values: ArrayLike | Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
