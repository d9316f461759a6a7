"""Handwritten digits beside house numbers: two modalities that share the digit, from files of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations, TensorSource
from lsgen.data.draws import Purpose, stream
from lsgen.data.encodings import Grey
from lsgen.data.files import data_root, reading, require
from lsgen.data.images.mnist import Mnist
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.splits import random_split

__all__ = ["MnistSvhn"]

_FILES = {True: "train_32x32.mat", False: "test_32x32.mat"}


class MnistSvhn(MultimodalData):
    """Modalities "mnist" (1, 28, 28) and "svhn" (3, 32, 32), images of one digit in grey levels; label: the digit.

    In each of `pairs_per_image` passes the images of a class are put in random order in both sets and paired one by one
    until those of the smaller set are used up. Official training images of the two sets are paired with one another, so
    are those held out from them, and the official test images: no image is in two splits.

    Args:
        shape: (3856,).
        shapes: those of the modalities.
        root: directory of data sets in torchvision's layout: MNIST in "MNIST/raw", and "train_32x32.mat" and
            "test_32x32.mat" of SVHN.
        pairs_per_image: passes.
        val_size: share of the training images of either set held out for validation, a fraction.
        missing: share of the training observations that lack a modality, by its name.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits and of the pairs.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the images are not there.
        NotADirectoryError: root is not a directory.

    Reference: Shi et al., "Variational mixture-of-experts autoencoders" (2019), section 4.1, with 20 pairs an image,
    https://arxiv.org/abs/1911.03393; Netzer et al., "Reading digits in natural images with unsupervised feature
    learning" (2011).
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        root: str = "data",
        pairs_per_image: int = 20,
        val_size: float = 0.1,
        missing: Mapping[str, float] | None = None,
        batch_size: int = 128,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if pairs_per_image < 1:
            raise ValueError(f"expected pairs_per_image of at least 1, got {pairs_per_image}")
        if not isinstance(val_size, float) or not 0 < val_size < 1:
            raise ValueError(f"expected val_size to be a fraction in (0, 1), of either set, got {val_size!r}")
        self.root = data_root(root)
        advice = "get them from http://ufldl.stanford.edu/housenumbers and set LSGEN_DATA_DIR to their directory"
        require("SVHN", [self.root / name for name in _FILES.values()], advice)
        mnist = Mnist(root=root, val_size=val_size, binarise="none", loading=Loading(split_seed=loading.split_seed))
        provides = {"mnist": mnist.shape, "svhn": (3, 32, 32)}
        encodings = dict.fromkeys(provides, Grey(256))
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading, encodings)
        self.mnist, self.pairs_per_image, self.val_size = mnist, pairs_per_image, val_size
        self._svhn: Callable[[Path], TensorSource] = cache(_read)

    def build(self, split: Split) -> BatchDataset:
        """Return the pairs of a split, put together when a batch asks for them."""
        part = ("train", "val", "test").index(split)
        digits = self.mnist.dataset(split)
        numbers = self._svhn(self.root / _FILES[split != "test"])
        rows = torch.arange(len(numbers))
        if split != "test":
            rows = random_split(len(numbers), {"val_size": self.val_size}, self.split_seed)[split].to(torch.int64)
        generator = stream(self.split_seed, Purpose.SYNTHESIS, part)
        own = digits.rows.to(torch.int64)
        labels = digits.source(own)["label"], numbers.tensors["label"][rows]
        pairs = torch.cat([_paired(*labels, generator) for _ in range(self.pairs_per_image)])
        source = _Pairs(digits.source, own[pairs[:, 0]], numbers, rows[pairs[:, 1]])  # type: ignore[arg-type]
        return self.subset(source, torch.arange(len(pairs)), split, part=part)


class _Pairs:
    """A source of observations of two sources side by side."""

    def __init__(self, first: TensorSource, of_first: Tensor, second: TensorSource, of_second: Tensor) -> None:
        self.first, self.of_first, self.second, self.of_second = first, of_first, second, of_second

    def __len__(self) -> int:
        return len(self.of_first)

    def __call__(self, rows: Tensor) -> Observations:
        first, second = self.first(self.of_first[rows]), self.second(self.of_second[rows])
        return {"x": torch.cat([first["x"].flatten(1), second["x"].flatten(1)], 1), "label": first["label"]}


def _paired(first: Tensor, second: Tensor, generator: torch.Generator) -> Tensor:
    """Return places (P, 2) of equal labels, each place at most once, in random order."""
    pairs = []
    for value in first.unique().tolist():
        places = [(labels == value).nonzero()[:, 0] for labels in (first, second)]
        least = min(map(len, places))
        pairs.append(torch.stack([own[torch.randperm(len(own), generator=generator)[:least]] for own in places], 1))
    found = torch.cat(pairs)
    return found[torch.randperm(len(found), generator=generator)]


def _read(file: Path) -> TensorSource:
    """Return the images of a file of SVHN, uint8 (N, 3, 32, 32), and their digits, of which 0 is written as 10."""
    from scipy.io import loadmat

    with reading("SVHN", file):
        content = loadmat(str(file))
        images, label = torch.from_numpy(content["X"]), torch.from_numpy(content["y"].astype("int64")).flatten() % 10
        if images.dtype != torch.uint8 or images.shape != (32, 32, 3, len(label)) or not len(label):
            raise ValueError(f"expected images (32, 32, 3, N) in bytes, got {tuple(images.shape)} of {images.dtype}")
    return TensorSource(x=images.permute(3, 2, 0, 1).contiguous(), label=label)
