"""MNIST: handwritten digits, 28x28 pixels of 256 grey levels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lsgen.data.encodings import image_encoding
from lsgen.data.images.torchvision_images import TorchvisionImages
from lsgen.data.loading import Loading
from lsgen.data.transforms import Labels

__all__ = ["Mnist"]


class Mnist(TorchvisionImages):
    """70,000 digits (1, 28, 28), binarised anew in every epoch unless another encoding is asked for; label: the digit.

    Args:
        shape: (1, 28, 28).
        root: directory of data sets; the files lie in "MNIST/raw", unpacked.
        download: whether torchvision may download what is missing.
        val_size: training images held out for validation; 0 trains on all 60,000 and validates on the test images.
        binarise: "none", "threshold", "static" (one binarisation for all epochs) or "dynamic" (a new one in each).
        dequantise: whether uniform noise makes the grey levels continuous.
        labelled: training images whose label is known, all where it is None; or `Labels`, which also keeps the images
            of some classes alone.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the data are not there and may not be downloaded.
        NotADirectoryError: root is not a directory.

    Reference: LeCun et al., "Gradient-based learning applied to document recognition" (Proc. IEEE, 1998).
    """

    provides = (1, 28, 28)
    title = "MNIST"
    files = tuple(
        f"MNIST/raw/{part}-ubyte"
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )

    def __init__(
        self,
        shape: Sequence[int] | None = (1, 28, 28),
        root: str = "data",
        download: bool = False,
        val_size: int | float = 5_000,
        binarise: str = "dynamic",
        dequantise: bool = False,
        labelled: int | Labels | None = None,
        batch_size: int = 128,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        encoding = image_encoding(256, dequantise, binarise)
        super().__init__(
            shape,
            encoding,
            root,
            download,
            val_size,
            False,
            batch_size,
            seed,
            loading,
            labelled,
        )

    def load(self, train: bool, download: bool) -> tuple[Tensor, Tensor]:
        """Return the official training or test part."""
        from torchvision.datasets import MNIST

        part = MNIST(self.root, train=train, download=download)
        return part.data[:, None], part.targets
