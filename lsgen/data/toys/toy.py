"""Points in the plane from analytic distributions."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, stream
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.toys.distributions import toy_set

__all__ = ["Toy"]


class Toy(DataModule):
    """Points (2,) of a distribution of `lsgen.data.toys.distributions`; the label is the component.

    The three splits are independent samples, which depend on split_seed alone.

    Args:
        shape: (2,).
        name: "eight_gaussians", "twenty_five_gaussians", "two_moons", "circle", "swiss_roll", "pinwheel" or
            "checkerboard".
        noise: standard deviation of the noise; the customary one where it is None.
        train_size: points to train on.
        val_size: points for validation.
        test_size: points for the test.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        distribution: what is sampled; a `KnownDensity` where log p(x) can be evaluated.

    Raises:
        ValueError: an option is out of its range.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = (2,),
        name: str = "eight_gaussians",
        noise: float | None = None,
        train_size: int = 50_000,
        val_size: int = 5_000,
        test_size: int = 5_000,
        batch_size: int = 256,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (2,), AsStored(None), batch_size, seed, loading)
        self.distribution = toy_set(name, noise)
        self._sizes = {"train": train_size, "val": val_size, "test": test_size}
        for split, size in self._sizes.items():
            if size < 1:
                raise ValueError(f"expected {split}_size of at least 1 point, got {size}")

    def build(self, split: Split) -> BatchDataset:
        """Draw the points of a split."""
        size = self._sizes[split]
        generator = stream(self.split_seed, Purpose.SYNTHESIS, list(self._sizes).index(split))
        points, component = self.distribution.sample(size, generator)
        return self.subset(TensorSource(x=points.float(), label=component), torch.arange(size), split)
