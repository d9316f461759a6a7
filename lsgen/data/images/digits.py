"""Handwritten digits, 8x8 pixels of 17 grey levels, embedded in scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import image_encoding
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.transforms import BatchTransform, HiddenLabels, Labels, Missing, missing_values

__all__ = ["Digits", "scanned_digits"]


class Digits(DataModule):
    """1,797 scanned digits as (1, 8, 8), levels 0 to 16; the label is the digit.

    Args:
        shape: (1, 8, 8).
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        val_size: observations held out for validation, a number or a fraction.
        test_size: observations held out for the test, a number or a fraction.
        binarise: "none", "threshold", "static" or "dynamic".
        dequantise: whether uniform noise makes the levels continuous.
        labelled: training observations whose label is known, all where it is None; or `Labels`, which also keeps some
            of the digits alone.
        missing: share of values that are missing completely at random, or a `Missing` that states the mechanism too;
            batches have "observed" if it is not 0.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.

    Reference: Alpaydin & Kaynak, "Optical recognition of handwritten digits" (UCI, 1998).
    """

    def __init__(
        self,
        shape: Sequence[int] | None = (1, 8, 8),
        batch_size: int = 64,
        seed: int = 0,
        val_size: int | float = 180,
        test_size: int | float = 360,
        binarise: str = "none",
        dequantise: bool = False,
        labelled: int | Labels | None = None,
        missing: float | Missing = 0.0,
        loading: Loading = Loading(),
    ) -> None:
        encoding = image_encoding(17, dequantise, binarise)
        super().__init__(shape, (1, 8, 8), encoding, batch_size, seed, loading)
        self.labels = Labels.of(labelled)
        kept = torch.arange(1797) if self.labels.classes is None else self.labels.rows(self._source.tensors["label"])
        split = random_split(len(kept), {"val_size": val_size, "test_size": test_size}, loading.split_seed)
        self._rows = {part: kept[rows] for part, rows in split.items()}
        self._gaps = missing_values(self.shape, missing, loading.split_seed)

    @cached_property
    def _source(self) -> TensorSource:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images: Tensor = torch.from_numpy(digits.images).to(torch.uint8)
        return TensorSource(x=images[:, None], label=torch.from_numpy(digits.target).to(torch.int64))

    def build(self, split: Split) -> BatchDataset:
        """Return the digits of a split."""
        transforms: list[BatchTransform] = []
        known, share = self.labels.known, self.labels.share
        if known is not None and split == "train":
            labels = self._source.tensors["label"]
            transforms.append(HiddenLabels(labels, self._rows["train"], known, self.split_seed, share))
        if self._gaps is not None:
            rows = self._rows["train"]
            transforms.append(self._gaps.fit(self.subset(self._source, rows, "val")[torch.arange(len(rows))]["x"]))
        return self.subset(self._source, self._rows[split], split, transforms=transforms)


def scanned_digits() -> TensorSource:
    """Return all digits as numbers in [0, 1], the example of sets that have their own files otherwise."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images[:, None] / 16).to(torch.float32)
    return TensorSource(x=x, label=torch.from_numpy(digits.target).to(torch.int64))
