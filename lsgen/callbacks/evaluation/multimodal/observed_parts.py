"""Observations of several modalities from a split, as what a person sees: texts and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import PeriodicCallback
from lsgen.data import MultimodalData, Split
from lsgen.latent import Space

__all__ = ["ObservedParts", "multimodal_data"]


@dataclass(frozen=True)
class ObservedParts:
    """Observations of several modalities, on the CPU.

    Attributes:
        data: where they come from.
        x: packed observations (N, D).
        label: their labels, integers (N,); zeros where there are none.
        factors: their ground-truth factors, integers (N, K); None where there are none.

    """

    data: MultimodalData
    x: Tensor
    label: Tensor
    factors: Tensor | None

    @classmethod
    def of(cls, data: MultimodalData, split: Split, n: int) -> ObservedParts:
        """Return n observations of a split, drawn at random, or all where there are fewer."""
        found = data.probe(min(n, len(data.dataset(split))), split)
        label = found.get("label", torch.zeros(len(found["x"]), dtype=torch.int64))
        return cls(data, found["x"], label, found.get("factors"))

    @classmethod
    def each(cls, data: MultimodalData, splits: Sequence[Split], n: int) -> Iterator[tuple[Split, ObservedParts]]:
        """Yield the splits that have observations, with n of each."""
        yield from ((split, cls.of(data, split, n)) for split in splits if len(data.dataset(split)))

    def batches(self, size: int, space: Space) -> Iterator[Tensor]:
        """Yield the observations some at a time, in the type and on the device of a space."""
        like = next(space.parameters(), self.x)
        yield from (part.to(like) for part in self.x.split(size))

    def texts(self, name: str) -> list[str]:
        """Return the texts of a modality."""
        return self.data.vocabularies[name].decode(self.data.packing.unpack(self.x)[name])

    def pictures(self, n: int) -> viz.Pixels:
        """Return the first n observations as pixels (n, H, W, 3): their first modality that is no text."""
        seen = [name for name in self.data.packing.names if name not in self.data.vocabularies]
        if not seen:
            return torch.full((n, 8, 8, 3), 255, dtype=torch.uint8).numpy()
        part = self.data.packing.unpack(self.x)[seen[0]]
        return viz.to_pixels(part[:n], part.ndim - 1, viz.value_range(part))


def multimodal_data(callback: PeriodicCallback, trainer: Trainer, splits: Sequence[Split]) -> MultimodalData:
    """Return the data that a trainer trains on.

    Raises:
        TypeError: they are no `MultimodalData`.
        ValueError: none of the splits has an observation.

    """
    data, name = callback.data_of(trainer), type(callback).__name__
    if not isinstance(data, MultimodalData):
        raise TypeError(f"{name} expected a lsgen.data.MultimodalData, got {type(data).__name__}")
    if not any(len(data.dataset(split)) for split in splits):
        raise ValueError(f"{name} expected observations in {' or '.join(splits)}, got none")
    return data
