"""Codes of held-out observations with their labels, for callbacks that judge codes by labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.held_out_scores import held_out_batch, score_rows
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule, Split
from lsgen.latent import EncodableSpace
from lsgen.models.contract import as_numbers, expected_observations

__all__ = ["LabelledCodes", "OfLabelledCodes"]


class LabelledCodes(NamedTuple):
    """Codes z (N, d) with labels (N,), and the observations x (N, *shape) that have them, on the CPU."""

    z: Tensor
    labels: Tensor
    x: Tensor


class OfLabelledCodes(PeriodicCallback):
    """Abstract callback that judges the codes of held-out observations by their labels.

    Where that cannot be done, such as with codes that are not finite, there is a warning and nothing else.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        n: number of observations, drawn at random, the same in every run; all of them where there are fewer.
        splits: where they come from.
        chunk_size: observations encoded at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is not positive, or no split is named; when training starts, there are no labels.
        TypeError: when training starts, the space has no encoder, or the data are no `lsgen.data.DataModule`.

    """

    default_steps: ClassVar[int | None] = None
    takes: ClassVar[type] = EncodableSpace

    def __init__(
        self,
        every_n_steps: int | None,
        every_n_epochs: int | None,
        n: int,
        splits: Sequence[Split],
        chunk_size: int,
        turns: Turns,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, chunk_size=chunk_size)
        if not splits:
            raise ValueError(f"{type(self).__name__} expected at least one split, got none")
        self.n, self.splits, self.chunk_size = n, tuple(splits), chunk_size
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; refuse one without labels."""
        self._data = self.data_of(trainer)
        if not any(len(self._data.dataset(split)) for split in self.splits):
            raise ValueError(f"{type(self).__name__} expected observations in {' or '.join(self.splits)}, got none")
        for split in self.splits:
            if len(self._data.dataset(split)) and "label" not in self._data.probe(1, split):
                data = type(self._data).__name__
                raise ValueError(f"{type(self).__name__} expected data with labels, got {data} without")

    @abstractmethod
    def judge(self, space: EncodableSpace, codes: LabelledCodes, sink: Sink) -> None:
        """Measure and log."""

    def render(self, space: EncodableSpace, probe: Probe | None, sink: Sink) -> None:
        """Encode the observations, measure and log."""
        try:
            self.judge(space, self._encoded(space), sink)
        except ValueError as error:
            rank_zero_warn(f"{type(self).__name__} measured nothing: {error}")

    def send(self, scores: Mapping[str, Mapping[str, Tensor]], sink: Sink) -> None:
        """Log scores under the family of the callback; see `score_rows`."""
        sink.scalars(score_rows(self.family, scores))

    def _encoded(self, space: EncodableSpace) -> LabelledCodes:
        assert self._data is not None
        batch = held_out_batch(self._data, self.n, self.splits)
        x, labels = batch["x"], batch["label"]
        like = next(iter(space.parameters()), torch.zeros(()))
        expected = expected_observations(space, type(self).__name__)
        parts = []
        for part in x.split(self.chunk_size):
            mean = space.encode(as_numbers(part, expected, like.dtype).to(like.device, like.dtype)).mean
            parts.append(space.manifold.shift(mean, torch.zeros_like(mean)))
        z = torch.cat(parts)
        return LabelledCodes(z, labels.to(z.device), x)
