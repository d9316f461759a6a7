"""MPI3D: a robot's arm that holds an object, from the files that its authors distribute."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lsgen.data.factors.correlation import Correlation
from lsgen.data.factors.factor_images import Block, FactorImages, grid_factors
from lsgen.data.files import reading
from lsgen.data.loading import Loading

__all__ = ["MPI3D"]

_MD5 = {
    "toy": "55889cb7c7dfc655d6e0277beee88868",
    "realistic": "59a6225b88b635365f70c91b3e52f70f",
    "real": "0f33f609918fb5c97996692f91129802",
}
GRID, FEWER = (6, 6, 2, 3, 3, 40, 40), (4, 4, 2, 3, 3, 40, 40)
CHUNK = 1000


class MPI3D(FactorImages):
    """1,036,800 images (3, 64, 64) of an arm that holds an object; the label is the object's shape.

    The files of the challenge of 2019, with 460,800 images and 4 colours and shapes instead of 6, are read as well.

    Args:
        shape: (3, 64, 64).
        root: directory of data sets; the file mpi3d_NAME.npz lies in its folder "mpi3d".
        name: "toy" and "realistic", which are rendered, or "real".
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
        NotADirectoryError: root is not a directory.

    Reference: Gondal et al., "On the transfer of inductive bias from simulation to the real world" (2019);
    https://github.com/rr-learning/disentanglement_dataset
    """

    factor_names = (
        "object_color",
        "object_shape",
        "object_size",
        "camera_height",
        "background_color",
        "horizontal_axis",
        "vertical_axis",
    )
    factor_sizes = GRID
    title = "MPI3D"
    folder = "mpi3d"
    labelled_by = "object_shape"
    advice = "get it as https://github.com/rr-learning/disentanglement_dataset says"

    def __init__(
        self,
        shape: Sequence[int] | None = (3, 64, 64),
        root: str = "data",
        name: str = "toy",
        train_size: int | float | None = None,
        val_size: int | float = 10_000,
        test_size: int | float = 10_000,
        correlation: Correlation | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if name not in _MD5:
            raise ValueError(f"expected MPI3D by the name toy, realistic or real, got {name!r}")
        self.kind = name
        super().__init__(shape, root, train_size, val_size, test_size, correlation, batch_size, seed, loading)
        file = next(iter(self.files()))
        with reading(self.title, file):
            count = next(_blocks(file, empty=True)).shape[0]
            grids = {prod(grid): grid for grid in (GRID, FEWER)}
            if count not in grids:
                raise ValueError(f"expected {' or '.join(map(str, grids))} images, got {count}")
        self.factor_sizes = grids[count]

    def files(self) -> dict[Path, str | None]:
        """Return the file."""
        return {self._directory / f"mpi3d_{self.kind}.npz": _MD5[self.kind]}

    def read_factors(self) -> Tensor:
        """Return the factors of the grid, the last one varying fastest."""
        return grid_factors(self.factor_sizes)

    def read_images(self) -> Iterator[Block]:
        """Yield the images."""
        for block in _blocks(next(iter(self.files()))):
            yield block.transpose(0, 3, 1, 2)


def _blocks(file: Path, empty: bool = False) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the images of an archive, uint8 (n, 64, 64, 3), unpacked as they come; or what has their shape alone."""
    with zipfile.ZipFile(file) as archive, archive.open("images.npy") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(member)
        if dtype != np.uint8 or shape[1:] != (64, 64, 3) or fortran:
            raise ValueError(f"expected images (N, 64, 64, 3) in bytes, got {shape} of {dtype}")
        if empty:
            yield np.broadcast_to(np.uint8(0), shape)
            return
        for first in range(0, shape[0], CHUNK):
            rows = min(CHUNK, shape[0] - first)
            data = member.read(rows * prod(shape[1:]))
            if len(data) < rows * prod(shape[1:]):
                raise ValueError(
                    f"expected {shape[0]} images, got an end in image {first + len(data) // prod(shape[1:])}"
                )
            yield np.frombuffer(data, np.uint8).reshape(rows, *shape[1:])
