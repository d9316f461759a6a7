"""What callbacks that score held-out observations share: which observations these are, and rows of the log."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule, Split
from lsgen.latent import EncodableSpace

__all__ = ["OfHeldOut", "check_labelled", "held_out_batch", "score_rows"]

Found = TypeVar("Found")


class OfHeldOut(PeriodicCallback, Generic[Found]):
    """Abstract callback that judges the codes of held-out observations.

    Where that cannot be done, such as with codes that are not finite, there is a warning and nothing else.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        n: number of observations, drawn at random, the same in every run; all of them where there are fewer.
        splits: where they come from.
        chunk_size: observations encoded at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is not positive, or no split is named.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`.

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
        """Store the data module."""
        self._data = self.data_of(trainer)

    @abstractmethod
    def encoded(self, space: Any, batch: Mapping[str, Tensor]) -> Found:
        """Return the codes of a batch of held-out observations, with what they are judged by."""

    @abstractmethod
    def judge(self, space: Any, found: Found, sink: Sink) -> None:
        """Measure and log."""

    def render(self, space: Any, probe: Probe | None, sink: Sink) -> None:
        """Encode the observations, measure and log."""
        assert self._data is not None
        try:
            self.judge(space, self.encoded(space, held_out_batch(self._data, self.n, self.splits)), sink)
        except ValueError as error:
            rank_zero_warn(f"{type(self).__name__} measured nothing: {error}")

    def send(self, scores: Mapping[str, Mapping[str, Tensor]], sink: Sink) -> None:
        """Log scores under the family of the callback; see `score_rows`."""
        sink.scalars(score_rows(self.family, scores))


def check_labelled(callback: PeriodicCallback, data: DataModule, splits: Sequence[Split]) -> None:
    """Refuse data of which a split has observations without labels.

    Raises:
        ValueError: one has.

    """
    for split in splits:
        if len(data.dataset(split)) and "label" not in data.probe(1, split):
            name = type(callback).__name__
            raise ValueError(f"{name} expected data with labels, got {type(data).__name__} without")


def held_out_batch(data: DataModule, n: int, splits: Sequence[Split]) -> dict[str, Tensor]:
    """Return n observations, of every split in proportion to its size, with the entries that all splits have.

    Args:
        data: where they come from.
        n: their number; all of them where there are fewer.
        splits: from which they are drawn at random, the same in every run.

    """
    sizes = {split: len(data.dataset(split)) for split in splits}
    total = sum(sizes.values())
    taken = {split: min(size, -(-n * size // total)) for split, size in sizes.items() if size}
    probes = [data.probe(count, split) for split, count in taken.items()]
    names = [name for name in probes[0] if all(name in probe for probe in probes)]
    return {name: torch.cat([probe[name] for probe in probes])[:n] for name in names}


def score_rows(family: str, scores: Mapping[str, Mapping[str, Tensor]]) -> dict[str, float]:
    """Return a "value" as FAMILY/NAME, and what is known beside it, such as its interval, as FAMILY/NAME_WHAT."""
    return {
        f"{family}/{name}" + ("" if part == "value" else f"_{part}"): float(value)
        for name, parts in scores.items()
        for part, value in parts.items()
    }
