"""Stacked digits: three digits drawn at random, one in each channel of an image, which makes a thousand modes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations, Source
from lsgen.data.draws import Purpose, stream
from lsgen.data.images.digits import Digits
from lsgen.data.images.mnist import Mnist
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split

__all__ = ["StackedDigits"]


class StackedDigits(DataModule):
    """Images of three channels, each a digit of its own; label: 100 a + 10 b + c for the digits a, b, c.

    Digits of the validation and test images are held out as those of the single digits are.

    Args:
        shape: (3, 28, 28) of MNIST, (3, 8, 8) of the scanned digits.
        digits: "mnist", or "scanned": those of scikit-learn, embedded.
        root: directory of data sets; MNIST lies in "MNIST/raw", unpacked.
        download: whether torchvision may download what is missing.
        train_size: training images; 128,000 in the references.
        val_size: validation images.
        test_size: test images.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits and of the triples.

    Attributes:
        single: the data of single digits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: MNIST is not there and may not be downloaded.
        NotADirectoryError: root is not a directory.

    Reference: Metz et al., "Unrolled generative adversarial networks" (2017), https://arxiv.org/abs/1611.02163; Lin et
    al., "PacGAN" (2018), https://arxiv.org/abs/1712.04086, section 4.2.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = (3, 28, 28),
        digits: str = "mnist",
        root: str = "data",
        download: bool = False,
        train_size: int = 128_000,
        val_size: int = 5_000,
        test_size: int = 10_000,
        batch_size: int = 128,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if digits not in ("mnist", "scanned"):
            raise ValueError(f'expected digits "mnist" or "scanned", got {digits!r}')
        sizes = {"train_size": train_size, "val_size": val_size, "test_size": test_size}
        if min(sizes.values()) < 1:
            raise ValueError(f"expected sizes of at least 1, got {sizes}")
        common = {"batch_size": batch_size, "seed": seed, "loading": loading, "binarise": "none"}
        single = Digits(**common) if digits == "scanned" else Mnist(root=root, download=download, **common)  # type: ignore[arg-type]
        super().__init__(shape, (3, *single.shape[1:]), single.encoding, batch_size, seed, loading)
        self.single, self.sizes = single, tuple(sizes.values())

    def prepare_data(self) -> None:
        """Download missing files in one process, if that is allowed."""
        self.single.prepare_data()

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        part = ("train", "val", "test").index(split)
        of = self.single.dataset(split)
        generator = stream(self.split_seed, Purpose.SYNTHESIS, part)
        triples = of.rows[torch.randint(len(of), (self.sizes[part], 3), generator=generator)]
        return self.subset(_Stack(of.source, triples), torch.arange(len(triples)), split, part=part)


class _Stack:
    """A source of images that are made of three observations of another one."""

    def __init__(self, source: Source, triples: Tensor) -> None:
        self.source, self.triples = source, triples

    def __call__(self, rows: Tensor) -> Observations:
        digits = self.source(self.triples[rows].flatten())
        x, label = digits["x"].unflatten(0, (-1, 3)), digits["label"].unflatten(0, (-1, 3))
        return {"x": x.flatten(1, 2), "label": (label * torch.tensor([100, 10, 1])).sum(1)}
