"""CIFAR-10: photographs of ten classes, 32x32 pixels in colour."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lsgen.data.encodings import image_encoding
from lsgen.data.images.torchvision_images import TorchvisionImages
from lsgen.data.loading import Loading

__all__ = ["Cifar10"]


class Cifar10(TorchvisionImages):
    """60,000 photographs (3, 32, 32) of 256 levels in each channel; the label is the class.

    Args:
        shape: (3, 32, 32).
        root: directory of data sets; the files lie in "cifar-10-batches-py".
        download: whether torchvision may download what is missing.
        val_size: training images held out for validation; 0 trains on all 50,000 and validates on the test images.
        dequantise: whether uniform noise makes the levels continuous.
        flip: whether training images are mirrored left to right at random.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the data are not there and may not be downloaded.
        NotADirectoryError: root is not a directory.

    Reference: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """

    provides = (3, 32, 32)
    title = "CIFAR-10"
    files = ("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch", "cifar-10-batches-py/batches.meta")

    def __init__(
        self,
        shape: Sequence[int] | None = (3, 32, 32),
        root: str = "data",
        download: bool = False,
        val_size: int | float = 5_000,
        dequantise: bool = False,
        flip: bool = False,
        batch_size: int = 128,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        encoding = image_encoding(256, dequantise)
        super().__init__(shape, encoding, root, download, val_size, flip, batch_size, seed, loading)

    def load(self, train: bool, download: bool) -> tuple[Tensor, Tensor]:
        """Return the official training or test part."""
        from torchvision.datasets import CIFAR10

        part = CIFAR10(self.root, train=train, download=download)
        return torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
