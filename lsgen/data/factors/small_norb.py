"""smallNORB: photographs of toys, from the files that its authors distribute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.data.factors.correlation import Correlation
from lsgen.data.factors.factor_images import Block, FactorImages, resized
from lsgen.data.loading import Loading

__all__ = ["SmallNorb"]

_PARTS = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")
_BYTES, _INTEGERS = 0x1E3D4C55, 0x1E3D4C54
CHUNK = 512


class SmallNorb(FactorImages):
    """48,600 images (1, 64, 64) of 50 toys, of the left camera, resized from 96 pixels; the label is the category.

    The training and test parts of the authors, with different toys of the same categories, are put together, and the
    toy is no factor: all as in disentanglement_lib. What is published does not say the md5 of the files.

    Args:
        shape: (1, 64, 64).
        root: directory of data sets; the files smallnorb-*.mat lie in its folder "small_norb", unpacked.
        train_size: images to train on, a number or a fraction; all that are not held out where it is None.
        val_size: images held out for validation, a number or a fraction.
        test_size: images held out for the test, a number or a fraction.
        correlation: two factors that are drawn near a line, see `lsgen.data.factors.correlation`; all combinations of
            factors occur alike where it is None.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, or a file is damaged.
        FileNotFoundError: a file is not there.
        NotADirectoryError: root is not a directory.

    Reference: LeCun, Huang & Bottou, "Learning methods for generic object recognition with invariance to pose and
    lighting" (2004); https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/
    """

    factor_names = ("category", "elevation", "azimuth", "lighting")
    factor_sizes = (5, 9, 18, 6)
    title = "smallNORB"
    folder = "small_norb"
    channels = 1
    labelled_by = "category"
    advice = "unpack the files dat, cat and info of both parts of https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/"

    def __init__(
        self,
        shape: Sequence[int] | None = (1, 64, 64),
        root: str = "data",
        train_size: int | float | None = None,
        val_size: int | float = 2_000,
        test_size: int | float = 2_000,
        correlation: Correlation | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, root, train_size, val_size, test_size, correlation, batch_size, seed, loading)

    def files(self) -> dict[Path, str | None]:
        """Return the files, those of the training part first."""
        return dict.fromkeys(self._file(part, kind) for part in _PARTS for kind in ("dat", "cat", "info"))

    def read_factors(self) -> Tensor:
        """Return category, elevation, azimuth and lighting; azimuths are stored as 0, 2, ..., 34."""
        found = []
        for part in _PARTS:
            category, info = _matrix(self._file(part, "cat")), _matrix(self._file(part, "info"))
            found.append(np.column_stack([category, info[:, 1], info[:, 2] // 2, info[:, 3]]))
        return torch.from_numpy(np.concatenate(found).astype(np.int64))

    def read_images(self) -> Iterator[Block]:
        """Yield the images of the left camera."""
        for part in _PARTS:
            images = _matrix(self._file(part, "dat"))
            for first in range(0, len(images), CHUNK):
                yield resized(images[first : first + CHUNK, 0])

    def _file(self, part: str, kind: str) -> Path:
        return self._directory / f"smallnorb-{part}-{kind}.mat"


def _matrix(file: Path) -> np.ndarray[Any, Any]:
    """Return a matrix in the format of NORB: magic number, number of dimensions, at least three sizes, values."""
    magic, count = (int(value) for value in np.fromfile(file, "<i4", 2))
    if magic not in (_BYTES, _INTEGERS) or not 1 <= count <= 4:
        raise ValueError(f"expected a matrix of bytes or integers in {file.name}, got magic number {magic:#x}")
    dtype = np.dtype(np.uint8 if magic == _BYTES else "<i4")
    shape = [int(size) for size in np.fromfile(file, "<i4", max(3, count), offset=8)[:count]]
    offset = 8 + 4 * max(3, count)
    if file.stat().st_size != offset + prod(shape) * dtype.itemsize:
        raise ValueError(f"expected {prod(shape)} values in {file.name}, got a file of {file.stat().st_size} bytes")
    return np.memmap(file, dtype, "r", offset, tuple(shape))
