"""Handwritten digits, 8x8 pixels of 17 grey levels, embedded in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from lsgen.data.additions import Addition, HiddenLabels, Mechanism, MissingValues
from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import image_encoding
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["Digits"]


class Digits(DataModule):
    """1,797 scanned digits as (1, 8, 8), levels 0 to 16; the label is the digit.

    Args:
        shape: (1, 8, 8).
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        split_seed: seed of the splits and of everything held fixed.
        val_size: observations held out for validation, a number or a fraction.
        test_size: observations held out for the test, a number or a fraction.
        binarise: "none", "threshold", "static" or "dynamic".
        dequantise: whether uniform noise makes the levels continuous.
        labelled: training observations whose label is known; all where it is None.
        missing: share of values that are missing; batches have "observed" where it is not 0.
        mechanism: "mcar" or "mar", see `lsgen.data.additions.MissingValues`.
        num_workers: processes that prepare batches.
        drop_last: whether training leaves out a last batch that is not full.

    Raises:
        ValueError: an option is out of its range.

    Reference: Alpaydin & Kaynak, "Optical recognition of handwritten digits" (UCI, 1998).
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        batch_size: int = 64,
        seed: int = 0,
        split_seed: int = 0,
        val_size: int | float = 180,
        test_size: int | float = 360,
        binarise: str = "none",
        dequantise: bool = False,
        labelled: int | None = None,
        missing: float = 0.0,
        mechanism: Mechanism = "mcar",
        num_workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        encoding = image_encoding(17, dequantise, binarise)
        super().__init__(shape, (1, 8, 8), encoding, batch_size, seed, split_seed, num_workers, drop_last)
        self._rows = random_split(1797, {"val_size": val_size, "test_size": test_size}, split_seed)
        self.labelled = labelled
        self._gaps = MissingValues(self.shape, missing, mechanism, split_seed) if missing else None

    @cached_property
    def _source(self) -> TensorSource:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images: Tensor = torch.from_numpy(digits.images).to(torch.uint8)
        return TensorSource(x=images[:, None], label=torch.from_numpy(digits.target).to(torch.int64))

    def build(self, split: Split) -> BatchDataset:
        """Return the digits of a split."""
        additions: list[Addition] = []
        if self.labelled is not None and split == "train":
            labels = self._source.tensors["label"]
            additions.append(HiddenLabels(labels, self._rows["train"], self.labelled, self.split_seed))
        if self._gaps is not None:
            rows = self._rows["train"]
            additions.append(self._gaps.fit(self.subset(self._source, rows, "val")[torch.arange(len(rows))]["x"]))
        return self.subset(self._source, self._rows[split], split, additions=additions)
