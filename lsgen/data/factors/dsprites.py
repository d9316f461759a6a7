"""dSprites: the data set of Matthey et al. (2017), from the file that its authors distribute."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.encodings import AsStored
from lsgen.data.factors.correlation import Correlation, correlated_rows
from lsgen.data.factors.sprites import FACTOR_NAMES, FACTOR_SIZES
from lsgen.data.files import data_root, reading, require
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["DSprites"]

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
SIZE = 64
CHUNK = 4096


class DSprites(DataModule):
    """737,280 binary images (1, 64, 64) with the factors shape, scale, orientation, posX, posY; the label is the shape.

    Eight pixels are kept in a byte: the set takes 380 MB of memory.

    Args:
        shape: (1, 64, 64).
        root: directory of data sets; the file lies in its folder "dsprites".
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        train_size: images to train on, a number or a fraction; all that are not held out where it is None.
        val_size: images held out for validation, a number or a fraction.
        test_size: images held out for the test, a number or a fraction.
        correlation: two factors that are drawn near a line, see `lsgen.data.factors.correlation`; all combinations of
            factors occur alike where it is None.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.
        FileNotFoundError: the file is not there.
        NotADirectoryError: root is not a directory.

    Reference: https://github.com/google-deepmind/dsprites-dataset
    """

    factor_names = FACTOR_NAMES
    factor_sizes = FACTOR_SIZES

    def __init__(
        self,
        shape: Sequence[int] | None = (1, SIZE, SIZE),
        root: str = "data",
        batch_size: int = 64,
        seed: int = 0,
        train_size: int | float | None = None,
        val_size: int | float = 10_000,
        test_size: int | float = 10_000,
        correlation: Correlation | None = None,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (1, SIZE, SIZE), AsStored(2), batch_size, seed, loading)
        self._file = data_root(root) / "dsprites" / FILE
        require("dSprites", [self._file], f"download {FILE} from https://github.com/google-deepmind/dsprites-dataset")
        if correlation is not None:
            correlation.check(FACTOR_NAMES, FACTOR_SIZES)
        self._correlation = correlation
        self._held_out, self._train_size = {"val_size": val_size, "test_size": test_size}, train_size

    @cached_property
    def _source(self) -> _Packed:
        return _Packed(self._file)

    @cached_property
    def _rows(self) -> dict[str, Tensor]:
        total = len(self._source)
        rows = random_split(total, self._held_out, self.split_seed, self._train_size)
        if self._correlation is None:
            return rows
        pools, lengths = random_split(total, self._held_out, self.split_seed), {k: len(v) for k, v in rows.items()}
        grid = self._source.factors.__getitem__, FACTOR_NAMES, FACTOR_SIZES
        return rows | correlated_rows(self._correlation, pools, lengths, *grid, self.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        return self.subset(self._source, self._rows[split], split)


class _Packed:
    def __init__(self, file: Path) -> None:
        with reading("dSprites", file), zipfile.ZipFile(file) as archive:
            with archive.open("imgs.npy") as member:
                self.images = _pack(member)
            with archive.open("latents_classes.npy") as member:
                # The first column is the colour, which has one value.
                classes = np.lib.format.read_array(member)[:, 1:].astype(np.int64)
            sizes = np.array(FACTOR_SIZES)
            if classes.shape != (len(self.images), len(sizes)) or ((classes < 0) | (classes >= sizes)).any():
                raise ValueError(
                    f"expected {len(sizes)} classes below {', '.join(map(str, sizes))} of {len(self.images)} images, "
                    f"got latents_classes of shape {classes.shape}"
                )
            self.factors = torch.from_numpy(classes)

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, rows: Tensor) -> Observations:
        bits = np.unpackbits(self.images[rows.numpy()], axis=1)
        factors = self.factors[rows]
        return {"x": torch.from_numpy(bits).view(-1, 1, SIZE, SIZE), "label": factors[:, 0], "factors": factors}


def _pack(member: IO[bytes]) -> np.ndarray:
    """Read images of 0 and 1 (N, 64, 64) a chunk at a time and return them packed, uint8 (N, 512)."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    if len(shape) != 3 or shape[1:] != (SIZE, SIZE) or dtype.itemsize != 1 or not shape[0]:
        raise ValueError(f"expected imgs of shape (N, {SIZE}, {SIZE}) in bytes, got {shape} of {dtype}")
    count = shape[0]
    packed = np.empty((count, SIZE * SIZE // 8), dtype=np.uint8)
    for start in range(0, count, CHUNK):
        rows = min(CHUNK, count - start)
        data = member.read(rows * SIZE * SIZE)
        if len(data) < rows * SIZE * SIZE:
            raise ValueError(f"expected {count} images, got an end in image {start + len(data) // SIZE**2}")
        chunk = np.frombuffer(data, dtype=np.uint8).reshape(rows, -1)
        if chunk.max() > 1:
            raise ValueError(f"expected pixels of 0 and 1, got {chunk.max()}")
        packed[start : start + rows] = np.packbits(chunk, axis=1)
    return packed
