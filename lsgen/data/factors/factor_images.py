"""Base class of image sets with known factors that their authors distribute in files too large for memory."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.data.batches import BatchDataset
from lsgen.data.encodings import Grey
from lsgen.data.factors.correlation import Correlation, correlated_rows
from lsgen.data.files import data_root, reading, require
from lsgen.data.loading import Loading
from lsgen.data.mapped import MappedPictures, PictureCache, Shape
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["FactorImages"]

Block = NDArray[np.uint8]
SIDE = 64


class FactorImages(DataModule):
    """Abstract set of images (C, 64, 64) with known factors; the label is one of them.

    The images are unpacked once into one file beside those of the authors, mapped into memory: it takes no memory of
    its own, and N x C x 4096 bytes on the disk. Files whose content is known by its md5 are checked then.

    Args:
        shape: (C, 64, 64) that the configuration states; None for that.
        root: directory of data sets; the files lie in the folder `folder`.
        train_size: images to train on, a number or a fraction; all that are not held out where it is None.
        val_size: images held out for validation, a number or a fraction.
        test_size: images held out for the test, a number or a fraction.
        correlation: two factors that are drawn near a line, see `lsgen.data.factors.correlation`; all combinations of
            factors occur alike where it is None.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        title: name of the set.
        folder: name of its folder.
        channels: 1 or 3.
        labelled_by: name of the factor that is the label.
        advice: where to get the files.

    Raises:
        ValueError: an option is out of its range, or a file is damaged.
        FileNotFoundError: a file is not there.
        NotADirectoryError: root is not a directory.

    """

    title: ClassVar[str]
    folder: ClassVar[str]
    channels: ClassVar[int] = 3
    labelled_by: ClassVar[str]
    advice: ClassVar[str]

    def __init__(
        self,
        shape: Sequence[int] | None,
        root: str,
        train_size: int | float | None,
        val_size: int | float,
        test_size: int | float,
        correlation: Correlation | None,
        batch_size: int,
        seed: int,
        loading: Loading,
    ) -> None:
        super().__init__(shape, (self.channels, SIDE, SIDE), Grey(256), batch_size, seed, loading)
        self._directory = data_root(root) / self.folder
        require(
            self.title,
            list(self.files()),
            f"{self.advice}, and set LSGEN_DATA_DIR to the directory above {self.folder}",
        )
        if correlation is not None:
            correlation.check(self.factor_names, self.factor_sizes)
        self._correlation = correlation
        self._held_out, self._train_size = {"val_size": val_size, "test_size": test_size}, train_size

    @abstractmethod
    def files(self) -> dict[Path, str | None]:
        """Return the files that are read, with their md5 where it is known."""

    @abstractmethod
    def read_factors(self) -> Tensor:
        """Return the factors of all images, int64 (N, K), in the order of `read_images`."""

    @abstractmethod
    def read_images(self) -> Iterator[Block]:
        """Yield all images in order, some at a time, uint8 (n, C, 64, 64)."""

    def prepare_data(self) -> None:
        """Unpack the images in one process, unless they are."""
        self._unpack()

    def build(self, split: Split) -> BatchDataset:
        """Return the images of a split."""
        return self.subset(self._source, self._rows[split], split)

    @cached_property
    def _factors(self) -> Tensor:
        with reading(self.title, self._directory):
            factors, sizes = self.read_factors(), torch.tensor(self.factor_sizes)
            if factors.shape[1:] != sizes.shape or bool(((factors < 0) | (factors >= sizes)).any()):
                raise ValueError(f"expected factors below {', '.join(map(str, self.factor_sizes))}, got others")
        return factors

    @cached_property
    def _source(self) -> MappedPictures:
        label = self._factors[:, self.factor_names.index(self.labelled_by)].clone()
        return MappedPictures(self._cache.file, self._unpack(), label=label, factors=self._factors)

    @cached_property
    def _rows(self) -> dict[str, Tensor]:
        total = len(self._factors)
        rows = random_split(total, self._held_out, self.split_seed, self._train_size)
        if self._correlation is None:
            return rows
        pools, lengths = random_split(total, self._held_out, self.split_seed), {k: len(v) for k, v in rows.items()}
        grid = self._factors.__getitem__, self.factor_names, self.factor_sizes
        return rows | correlated_rows(self._correlation, pools, lengths, *grid, self.split_seed)

    @cached_property
    def _cache(self) -> PictureCache:
        told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self.files()]
        name = Path(told[0][0]).stem if len(told) == 1 else self.folder
        shape: Shape = (self.channels, SIDE, SIDE)
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        advice = "copy the files to where there is room, and set LSGEN_DATA_DIR"
        return PictureCache(self._directory / f"{name}.pictures", digest, shape, len(self._factors), True, advice)

    def _unpack(self) -> dict[str, Any]:
        return self._cache.build(self._checked)

    def _checked(self) -> Iterator[Block]:
        for file, published in self.files().items():
            if published is not None and (found := _md5(file)) != published:
                rank_zero_warn(f"{file} is not the file that was published: its md5 is {found}, expected {published}.")
        with reading(self.title, self._directory):
            yield from self.read_images()


def grid_factors(sizes: Sequence[int]) -> Tensor:
    """Return the factors of a whole grid, int64 (N, K), the last factor varying fastest."""
    return torch.stack(torch.unravel_index(torch.arange(prod(sizes)), tuple(sizes)), dim=-1)


def resized(images: Block) -> Block:
    """Return images (n, H, W) or (n, H, W, 3) as (n, C, 64, 64), resized by Lanczos' filter where they are larger."""
    size = (SIDE, SIDE)
    lanczos = Image.Resampling.LANCZOS
    small = np.stack([np.asarray(Image.fromarray(image).resize(size, lanczos)) for image in images])
    return small[:, None] if small.ndim == 3 else small.transpose(0, 3, 1, 2)


def _md5(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()
