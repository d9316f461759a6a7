"""Base class of the image sets that torchvision reads and that are kept in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import Encoding
from lsgen.data.files import data_root, reading, require
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.transforms import HiddenLabels, Labels

__all__ = ["TorchvisionImages"]


class TorchvisionImages(DataModule):
    """Abstract image set with an official training part, from which validation images are held out, and test part.

    With val_size = 0 all official training images are trained on and the validation split is the test split: then
    nothing may be chosen by a validation score.

    Args:
        shape: shape of one observation that the configuration states.
        encoding: stored values -> x.
        root: directory of data sets, in torchvision's layout.
        download: whether torchvision may download what is missing.
        val_size: images of the training part held out for validation, a number or a fraction.
        flip: whether training images are mirrored left to right at random.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.
        labelled: training images whose label is known, all where it is None; or `Labels`, which also keeps the images
            of some classes alone.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the data are not there and may not be downloaded.
        NotADirectoryError: root is not a directory.

    """

    provides: ClassVar[tuple[int, ...]]
    title: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    classes: ClassVar[int] = 10

    def __init__(
        self,
        shape: Sequence[int] | None,
        encoding: Encoding,
        root: str,
        download: bool,
        val_size: int | float,
        flip: bool,
        batch_size: int,
        seed: int,
        loading: Loading,
        labelled: int | Labels | None = None,
    ) -> None:
        super().__init__(shape, self.provides, encoding, batch_size, seed, loading)
        self.root, self.download, self.val_size, self.flip = data_root(root), download, val_size, flip
        self.labels = Labels.of(labelled, self.classes)
        if not download:
            advice = "set LSGEN_DATA_DIR to the directory that holds it in torchvision's layout, or data.download=true"
            require(self.title, [self.root / file for file in self.files], advice)
        self._parts: Callable[[bool], TensorSource] = cache(self._part)

    @abstractmethod
    def load(self, train: bool, download: bool) -> tuple[Tensor, Tensor]:
        """Return an official part: images uint8 (N, C, H, W) and labels (N,)."""

    def prepare_data(self) -> None:
        """Download missing files in one process, if that is allowed."""
        if self.download:
            self.load(train=True, download=True)
            self.load(train=False, download=True)

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        train = self._parts(True)
        if split == "test" or (split == "val" and self.val_size == 0):
            test = self._parts(False)
            return self.subset(test, torch.arange(len(test)), split, part=1)
        rows = random_split(len(train), {"val_size": self.val_size}, self.split_seed)
        known, labels = self.labels.known, train.tensors["label"]
        hidden = split == "train" and known is not None
        share = self.labels.share
        transforms = [HiddenLabels(labels, rows["train"], known or 0, self.split_seed, share)] if hidden else []
        return self.subset(train, rows[split], split, flip=self.flip, transforms=transforms)

    def _part(self, train: bool) -> TensorSource:
        with reading(self.title, self.root / Path(self.files[0]).parent):
            images, labels = self.load(train, download=False)
            if images.dtype != torch.uint8 or tuple(images.shape[1:]) != self.provides or not len(images):
                raise ValueError(
                    f"expected images {self.provides} in bytes, got {tuple(images.shape)} of {images.dtype}"
                )
            if labels.shape != images.shape[:1]:
                raise ValueError(f"expected a label for each of {len(images)} images, got {tuple(labels.shape)}")
            if int(labels.min()) < 0 or int(labels.max()) >= self.classes:
                raise ValueError(f"expected labels from 0 to {self.classes - 1}, got {labels.min()} to {labels.max()}")
        if self.labels.classes is not None:
            kept = self.labels.rows(labels)
            images, labels = images[kept], labels[kept]
        return TensorSource(x=images, label=labels.to(torch.int64))
