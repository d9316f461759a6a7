"""Codes of held-out observations with their labels, for callbacks that judge codes by labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.evaluation.held_out_scores import OfHeldOut, check_labelled
from lsgen.latent import EncodableSpace
from lsgen.models.contract import as_numbers, expected_observations

__all__ = ["LabelledCodes", "OfLabelledCodes"]


class LabelledCodes(NamedTuple):
    """Codes z (N, d) with labels (N,), and the observations x (N, *shape) that have them, on the CPU."""

    z: Tensor
    labels: Tensor
    x: Tensor


class OfLabelledCodes(OfHeldOut[LabelledCodes]):
    """Abstract callback that judges the codes of held-out observations by their labels.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: see `OfHeldOut`; when training starts, there are no labels.
        TypeError: when training starts, the space has no encoder, or the data are no `lsgen.data.DataModule`.

    """

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; refuse one without labels."""
        super().prepare(trainer, pl_module)
        assert self._data is not None
        if not any(len(self._data.dataset(split)) for split in self.splits):
            raise ValueError(f"{type(self).__name__} expected observations in {' or '.join(self.splits)}, got none")
        check_labelled(self, self._data, self.splits)

    def encoded(self, space: EncodableSpace, batch: Mapping[str, Tensor]) -> LabelledCodes:
        """Return the codes of a batch with its labels."""
        x, labels = batch["x"], batch["label"]
        like = next(iter(space.parameters()), torch.zeros(()))
        expected = expected_observations(space, type(self).__name__)
        parts = []
        for part in x.split(self.chunk_size):
            mean = space.encode(as_numbers(part, expected, like.dtype).to(like.device, like.dtype)).mean
            parts.append(space.manifold.shift(mean, torch.zeros_like(mean)))
        z = torch.cat(parts)
        return LabelledCodes(z, labels.to(z.device), x)
