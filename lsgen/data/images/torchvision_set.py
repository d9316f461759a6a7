"""Any set of classified images that torchvision reads, at one size, in memory."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.files import data_root, reading
from lsgen.data.images.pictures import Pictures, pixels_of, shape_of
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["TorchvisionSet"]

_BY_TRAIN = {"train": {"train": True}, "test": {"train": False}}
_BY_SPLIT = {"train": {"split": "train"}, "test": {"split": "test"}}
_WITH_VAL = {**_BY_SPLIT, "val": {"split": "val"}}
_WHOLE: dict[str, dict[str, Any]] = {"train": {}}
_PARTS: dict[str, Mapping[str, Mapping[str, Any]]] = {  # what the classes of torchvision are called with for each split
    **dict.fromkeys(("CIFAR10", "CIFAR100", "EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "USPS"), _BY_TRAIN),
    **dict.fromkeys(("FER2013", "Food101", "GTSRB", "LFWPeople", "STL10", "SVHN", "StanfordCars"), _BY_SPLIT),
    **dict.fromkeys(("DTD", "FGVCAircraft", "Flowers102", "PCAM", "RenderedSST2"), _WITH_VAL),
    "Country211": {**_BY_SPLIT, "val": {"split": "valid"}},
    "Imagenette": {"train": {"split": "train"}, "test": {"split": "val"}},
    "Omniglot": {"train": {"background": True}, "test": {"background": False}},
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    **dict.fromkeys(("Caltech101", "Caltech256", "EuroSAT", "FakeData", "SEMEION", "SUN397"), _WHOLE),
}
_VARIANTS = {
    "EMNIST": ("split", "balanced"),
    "FGVCAircraft": ("annotation_level", "variant"),
    "Imagenette": ("size", "full"),
}
_FAKE = {"size": 400, "image_size": (3, 32, 32), "num_classes": 10}


class TorchvisionSet(DataModule):
    """Images (C, H, W) of a set of torchvision, in memory; the label is the class.

    The splits are those of the set; what it has no part for is held out of the training part at random. Training and
    test images of "Omniglot" have different alphabets, whose characters are both counted from 0.

    Args:
        shape: (C, H, W); None for that of the images.
        name: "KMNIST", "SVHN", "QMNIST", "STL10", "Omniglot", "Flowers102", ...; "EMNIST/letters" is a part of a set
            that has several ("EMNIST", "FGVCAircraft", "Imagenette"). "FakeData" is noise that needs no file.
        root: directory of data sets, in torchvision's layout.
        download: whether torchvision may download what is missing.
        pictures: how pictures become observations, `Pictures` or its options; those of several sizes need one.
        val_size: images held out for validation, a number or a fraction, if the set has no such part.
        test_size: images held out for the test, likewise.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, or the files are damaged.
        FileNotFoundError: the data are not there and may not be downloaded.
        NotADirectoryError: root is not a directory.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        name: str = "FakeData",
        root: str = "data",
        download: bool = False,
        pictures: Pictures | Mapping[str, Any] = Pictures(),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 32,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.title, _, variant = name.partition("/")
        if self.title not in _PARTS:
            raise ValueError(f"expected a set of torchvision out of {', '.join(sorted(_PARTS))}, got {self.title!r}")
        if variant and self.title not in _VARIANTS:
            raise ValueError(f"expected {self.title} without a part, which it does not have, got {name!r}")
        self._variant = variant
        self.root, self.download, self.pictures = data_root(root), download, Pictures.of(pictures)
        self._open = cache(self._opened)
        first = shape_of(self._open("train")[0][0])
        super().__init__(shape, self.pictures.shape(first), self.pictures.encoding(), batch_size, seed, loading)
        sizes = {"val_size": val_size, "test_size": test_size}
        missing = {name: size for name, size in sizes.items() if name.removesuffix("_size") not in self._parts}
        self._rows = random_split(len(self._open("train")), missing, self.split_seed)
        self._source = cache(self._read)

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        own = split if split in self._parts else "train"
        source = self._source(own)
        rows = self._rows[split] if split in self._rows else torch.arange(len(source))
        return self.subset(source, rows, split, self.pictures.flip, part=get_args(Split).index(own))

    @property
    def _parts(self) -> Mapping[str, Mapping[str, Any]]:
        return _PARTS[self.title]

    def _arguments(self, part: str) -> dict[str, Any]:
        if self.title not in _VARIANTS:
            return dict(self._parts[part])
        option, usual = _VARIANTS[self.title]
        return {option: self._variant or usual, **self._parts[part]}

    def _opened(self, part: str) -> Any:
        """Return the object of torchvision that reads a part."""
        kind = getattr(import_module("torchvision.datasets"), self.title)
        if self.title == "FakeData":
            return kind(**_FAKE)
        arguments = self._arguments(part)
        with reading(self.title, self.root):
            try:
                return kind(str(self.root), **arguments)
            except (RuntimeError, FileNotFoundError) as error:  # as torchvision says that files are missing
                missing = error
        if not {"download", "kwargs"} & set(inspect.signature(kind).parameters):
            raise self._missing("see torchvision's documentation for how to get it") from missing
        if not self.download:
            calls = "; ".join(self._call(part) for part in self._parts)
            command = f'python -c "from torchvision.datasets import {self.title}; {calls}"'
            raise self._missing(f"{command} gets it, or data.download=true") from missing
        return kind(str(self.root), **arguments, download=True)

    def _call(self, part: str) -> str:
        """Return the call that makes torchvision download a part."""
        options = [f"{name}={value!r}" for name, value in self._arguments(part).items()]
        return f"{self.title}({', '.join([repr(str(self.root)), *options])}, download=True)"

    def _missing(self, advice: str) -> FileNotFoundError:
        return FileNotFoundError(
            f"expected the {self.title} data in {self.root} (LSGEN_DATA_DIR), in torchvision's layout, found nothing "
            f"whole: {advice}"
        )

    def _read(self, part: str) -> TensorSource:
        files = self._open(part)
        with reading(self.title, self.root):
            x, labels = self._stored(files) or self._decoded(files)
            if labels.shape != x.shape[:1] or not len(x) or int(labels.min()) < 0:
                raise ValueError(f"expected a class for each of {len(x)} images, got {tuple(labels.shape)}")
        return TensorSource(x=x, label=labels)

    def _stored(self, files: Any) -> tuple[Tensor, Tensor] | None:
        """Return all images and labels of a set that holds them in memory as they should be, else None."""
        stored, labels = getattr(files, "data", None), getattr(files, "targets", getattr(files, "labels", None))
        if not isinstance(stored, np.ndarray | Tensor) or labels is None:
            return None
        x = torch.as_tensor(stored)
        if x.ndim == 3:
            x = x[:, None]
        elif x.ndim == 4 and x.shape[1] != 3:
            x = x.permute(0, 3, 1, 2)
        if x.dtype != torch.uint8 or tuple(x.shape[1:]) != self.shape:
            return None
        return x.contiguous(), torch.as_tensor(np.asarray(labels)).to(torch.int64)

    def _decoded(self, files: Any) -> tuple[Tensor, Tensor]:
        """Return all images and labels, one after another."""
        x = torch.empty(len(files), *self.shape, dtype=torch.uint8)
        labels = torch.empty(len(files), dtype=torch.int64)
        for i in range(len(files)):
            image, labels[i] = files[i]
            x[i] = torch.from_numpy(pixels_of(image, self.shape, self.pictures).copy())  # type: ignore[arg-type]
        return x, labels
