"""A split of a data set, indexed by whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lsgen.data.augmentation import augmentation_draws
from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.encodings import Encoding
from lsgen.data.sampler import Request
from lsgen.data.transforms import BatchTransform

__all__ = ["BatchDataset", "Observations", "Source", "TensorSource"]

Observations = dict[str, Tensor]
Part = TypeVar("Part")


class Source(Protocol):
    """A source of observations: rows (B,) -> {"x": stored values (B, *shape), "label": ..., "factors": ...}."""

    def __call__(self, rows: Tensor) -> Observations:
        """Return the stored values of these rows with their labels and factors, if there are any."""


class TensorSource:
    """Observations held in memory, as tensors whose first dimension counts them.

    Args:
        tensors: "x" and, where known, "label" and "factors".

    """

    def __init__(self, **tensors: Tensor) -> None:
        self.tensors = tensors
        self._copies: dict[torch.device, TensorSource] = {}

    def __len__(self) -> int:
        return len(self.tensors["x"])

    def __call__(self, rows: Tensor) -> Observations:
        """Gather the rows."""
        return {name: tensor[rows] for name, tensor in self.tensors.items()}

    def to(self, device: torch.device) -> TensorSource:
        """Return the copy on a device that takes rows from there; the same one in every call."""
        if device not in self._copies:
            self._copies[device] = TensorSource(**{name: tensor.to(device) for name, tensor in self.tensors.items()})
        return self._copies[device]


class BatchDataset(Dataset[Observations]):
    """A split: some rows of a source, encoded.

    Indexed by positions, int64 (B,), it returns {"x": float32 (B, *shape)} and, where the data have them, "label"
    int64 (B,), "factors" int64 (B, K), and what the transforms add.
    Random numbers of the encoding depend on the seed, the epoch and the row.

    Args:
        source: where observations come from.
        rows: the rows of the source that belong to the split, (N,).
        encoding: stored values -> x.
        seed: seed of the random draws.
        redrawn: whether draws change from epoch to epoch, for encodings that do so in training.
        flip: whether half of the images, chosen anew in every epoch, are mirrored left to right.
        part: number of the source, where a data set has several; the same row of two sources draws differently.
        transforms: applied to a batch once it is encoded, in this order.
        augmented: seed for "draw", int64 (B,), which batches asked by a loader bring where it is not None.

    """

    def __init__(
        self,
        source: Source,
        rows: Tensor,
        encoding: Encoding,
        seed: int,
        redrawn: bool = False,
        flip: bool = False,
        part: int = 0,
        transforms: Sequence[BatchTransform] = (),
        augmented: int | None = None,
    ) -> None:
        self.source, self.rows, self.encoding, self.seed = source, rows, encoding, seed
        self.redrawn, self.flip, self.part = redrawn, flip, part
        self.transforms, self.augmented = tuple(transforms), augmented

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, request: Request | Tensor) -> Observations:
        indices, epoch = request if isinstance(request, Request) else (request, 0)
        rows = self.rows[indices].to(torch.int64)
        batch = self.source(rows)
        batch["x"] = self.encoding(batch["x"], self._uniform(rows, Purpose.VALUES, epoch if self.redrawn else 0))
        if self.flip:
            mirrored = self._uniform(rows, Purpose.FLIP, epoch)(1)[:, :, None, None] < 0.5
            batch["x"] = torch.where(mirrored, batch["x"].flip(-1), batch["x"])
        for transform in self.transforms:
            batch |= transform(batch, rows, epoch)
        if self.augmented is not None and isinstance(request, Request):
            batch["draw"] = augmentation_draws(self.augmented, epoch, rows)
        return batch

    def to(self, device: torch.device) -> BatchDataset:
        """Return this split on a device, for positions that are there.

        Tensors among the attributes of the encoding and of the transforms are moved with it.

        Raises:
            TypeError: the source is not in memory.

        """
        if not isinstance(self.source, TensorSource):
            raise TypeError(f"expected a TensorSource to move to {device}, got {type(self.source).__name__}")
        new = copy(self)
        new.source, new.rows, new.encoding = self.source.to(device), self.rows.to(device), _moved(self.encoding, device)
        new.transforms = tuple(_moved(transform, device) for transform in self.transforms)
        return new

    def _uniform(self, rows: Tensor, purpose: Purpose, epoch: int) -> Callable[[int], Tensor]:
        return lambda size: uniform(key(self.seed, purpose, epoch, self.part), rows, size)


def _moved(part: Part, device: torch.device) -> Part:
    """Return a copy of a part whose tensors lie on a device."""
    new = copy(part)
    vars(new).update({name: value.to(device) for name, value in vars(part).items() if isinstance(value, Tensor)})
    return new
