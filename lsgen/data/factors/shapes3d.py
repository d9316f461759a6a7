"""Shapes3D: rooms with an object, from the file that its authors distribute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.data.factors.correlation import Correlation
from lsgen.data.factors.factor_images import Block, FactorImages
from lsgen.data.loading import Loading

__all__ = ["Shapes3D"]

CHUNK = 1000


class Shapes3D(FactorImages):
    """480,000 images (3, 64, 64) of a room with an object in it; the label is the shape.

    Args:
        shape: (3, 64, 64).
        root: directory of data sets; the file lies in its folder "3dshapes".
        train_size: images to train on, a number or a fraction; all that are not held out where it is None.
        val_size: images held out for validation, a number or a fraction.
        test_size: images held out for the test, a number or a fraction.
        correlation: two factors that are drawn near a line, see `lsgen.data.factors.correlation`; all combinations of
            factors occur alike where it is None.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, or the file is damaged.
        FileNotFoundError: the file is not there.
        ImportError: the package h5py is not installed.
        NotADirectoryError: root is not a directory.

    Reference: Kim & Mnih, "Disentangling by factorising" (2018); https://github.com/google-deepmind/3d-shapes
    """

    factor_names = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    factor_sizes = (10, 10, 10, 8, 4, 15)
    title = "Shapes3D"
    folder = "3dshapes"
    labelled_by = "shape"
    advice = "download 3dshapes.h5 from https://storage.googleapis.com/3d-shapes/3dshapes.h5"

    def __init__(
        self,
        shape: Sequence[int] | None = (3, 64, 64),
        root: str = "data",
        train_size: int | float | None = None,
        val_size: int | float = 10_000,
        test_size: int | float = 10_000,
        correlation: Correlation | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, root, train_size, val_size, test_size, correlation, batch_size, seed, loading)
        if find_spec("h5py") is None:
            raise ImportError("expected the package h5py, which reads the Shapes3D data: pip install 'lsgen[h5]'")

    def files(self) -> dict[Path, str | None]:
        """Return the file."""
        return {self._directory / "3dshapes.h5": "099a2078d58cec4daad0702c55d06868"}

    def read_factors(self) -> Tensor:
        """Return the rank of every value among those of its factor."""
        with self._opened as file:
            values = np.asarray(file["labels"])
        return torch.from_numpy(np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], 1))

    def read_images(self) -> Iterator[Block]:
        """Yield the images."""
        with self._opened as file:
            images = file["images"]
            if images.dtype != np.uint8 or tuple(images.shape[1:]) != (64, 64, 3):
                raise ValueError(f"expected images (N, 64, 64, 3) in bytes, got {images.shape} of {images.dtype}")
            for first in range(0, len(images), CHUNK):
                yield images[first : first + CHUNK].transpose(0, 3, 1, 2)

    @property
    def _opened(self) -> Any:
        import h5py

        return h5py.File(next(iter(self.files())), "r")
