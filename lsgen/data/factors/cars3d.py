"""Cars3D: rendered cars that turn, from the files that its authors distribute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from torch import Tensor

from lsgen.data.factors.correlation import Correlation
from lsgen.data.factors.factor_images import Block, FactorImages, grid_factors, resized
from lsgen.data.loading import Loading

__all__ = ["Cars3D"]

CARS = 183


class Cars3D(FactorImages):
    """17,568 images (3, 64, 64) of 183 cars from 4 elevations and 24 azimuths, resized from 128 pixels; label: the car.

    Cars are counted in the order of the names of their files. What is published does not say their md5.

    Args:
        shape: (3, 64, 64).
        root: directory of data sets; the files car_*_mesh.mat lie in its folder "cars".
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
        FileNotFoundError: the files are not there.
        NotADirectoryError: root is not a directory.

    Reference: Reed et al., "Deep visual analogy-making" (2015); Fidler et al. (2012) for the cars.
    """

    factor_names = ("elevation", "azimuth", "object")
    factor_sizes = (4, 24, CARS)
    title = "Cars3D"
    folder = "cars"
    labelled_by = "object"
    advice = f"unpack the {CARS} files data/cars/*.mat of http://www.scottreed.info/files/nips2015-analogy-data.tar.gz"

    def __init__(
        self,
        shape: Sequence[int] | None = (3, 64, 64),
        root: str = "data",
        train_size: int | float | None = None,
        val_size: int | float = 1_000,
        test_size: int | float = 1_000,
        correlation: Correlation | None = None,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, root, train_size, val_size, test_size, correlation, batch_size, seed, loading)

    def files(self) -> dict[Path, str | None]:
        """Return the files, one a car; the folder itself while some are missing."""
        found = sorted(self._directory.glob("*.mat"))
        return dict.fromkeys(found if len(found) == self.factor_sizes[2] else [self._directory / "*.mat"])

    def read_factors(self) -> Tensor:
        """Return elevation, azimuth and object; the azimuth varies fastest, the object slowest."""
        elevations, azimuths, cars = self.factor_sizes
        return grid_factors((cars, elevations, azimuths))[:, [1, 2, 0]]

    def read_images(self) -> Iterator[Block]:
        """Yield the images, car by car."""
        for file in self.files():
            images = loadmat(file)["im"]
            if images.shape[2:] != (3, *self.factor_sizes[1::-1]) or images.dtype != np.uint8:
                raise ValueError(f"expected im (128, 128, 3, 24, 4) in {file.name}, got {images.shape}")
            yield resized(images.transpose(4, 3, 0, 1, 2).reshape(-1, *images.shape[:3]))
