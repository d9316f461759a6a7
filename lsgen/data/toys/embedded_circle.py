r"""Points of a circle, seen through a nonlinear map into many dimensions, with noise.

    theta ~ 1/3 sum_k vM(2 pi k/3, kappa),    u = (cos theta, sin theta),    x = f(u) + N(0, sigma^2 I),
    f(u) = s A tanh(B u + b),

with A, B and b drawn from the standard normal distribution, as many hidden units as coordinates, and s such that the
mean square of f over the circle is 1 per coordinate.

Reference: Davidson et al., "Hyperspherical variational auto-encoders" (2018), section 5.1,
https://arxiv.org/abs/1804.00891; the paper gives neither the map nor the concentrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import pi

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, stream
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split

__all__ = ["EmbeddedCircle"]

_CLUSTERS = 3
_GRID = 1024  # points of the circle, over which the map is scaled


class EmbeddedCircle(DataModule):
    """Noisy images (100,) of points of a circle, which lie in three clusters; the label is the cluster.

    The map and the points depend on split_seed alone.

    Args:
        shape: (100,).
        concentration: kappa of the clusters; 0 for a uniform circle.
        noise: standard deviation sigma, where a coordinate of the map has the mean square 1.
        train_size: points to train on.
        val_size: points for validation.
        test_size: points for the test.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = (100,),
        concentration: float = 10.0,
        noise: float = 0.1,
        train_size: int = 5_000,
        val_size: int = 1_000,
        test_size: int = 1_000,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (100,), AsStored(None), batch_size, seed, loading)
        if concentration < 0 or noise < 0:
            raise ValueError(f"expected a concentration and a noise of at least 0, got {concentration} and {noise}")
        self.concentration, self.noise = concentration, noise
        self._sizes = {"train": train_size, "val": val_size, "test": test_size}
        for split, size in self._sizes.items():
            if size < 1:
                raise ValueError(f"expected {split}_size of at least 1 point, got {size}")

    def angles(self, split: Split) -> Tensor:
        """Return the true angles theta of a split, float64 (N,), in the order of its observations."""
        return self._angles(split)[0]

    def embedding(self, angle: Tensor) -> Tensor:
        """Return f at angles (N,): the observations without noise, float64 (N, 100)."""
        inner, shift, outer, scale = self._map
        circle = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
        return scale * torch.tanh(circle @ inner + shift) @ outer

    def build(self, split: Split) -> BatchDataset:
        """Draw the points of a split."""
        angle, cluster = self._angles(split)
        clean = self.embedding(angle)
        generator = stream(self.split_seed, Purpose.SYNTHESIS, 2, list(self._sizes).index(split))
        x = clean + self.noise * torch.randn(clean.shape, dtype=clean.dtype, generator=generator)
        return self.subset(TensorSource(x=x.float(), label=cluster), torch.arange(len(x)), split)

    def _angles(self, split: Split) -> tuple[Tensor, Tensor]:
        """Return the angles and clusters of a split: quantiles of a tabulated distribution function."""
        size, generator = (
            self._sizes[split],
            stream(self.split_seed, Purpose.SYNTHESIS, 1, list(self._sizes).index(split)),
        )
        cluster = torch.randint(_CLUSTERS, (size,), generator=generator)
        edges = torch.linspace(-pi, pi, 2**14 + 1, dtype=torch.float64)
        middle = (edges[1:] + edges[:-1]) / 2
        mass = torch.exp(self.concentration * (torch.cos(middle) - 1))
        total = torch.nn.functional.pad(mass.cumsum(0) / mass.sum(), (1, 0))
        share = torch.rand(size, dtype=torch.float64, generator=generator)
        cell = torch.searchsorted(total, share, right=True).clamp(1, len(mass)) - 1
        within = (share - total[cell]) / (total[cell + 1] - total[cell])
        angle = edges[cell] + within * (edges[1] - edges[0]) + 2 * pi / _CLUSTERS * cluster
        return torch.remainder(angle, 2 * pi), cluster

    @cached_property
    def _map(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        size, generator = self.shape[0], stream(self.split_seed, Purpose.SYNTHESIS, 0)
        inner, shift, outer = (
            torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((2, size), (size,), (size, size))
        )
        angle = torch.arange(_GRID, dtype=torch.float64) * (2 * pi / _GRID)
        circle = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
        scale = (torch.tanh(circle @ inner + shift) @ outer).square().mean().rsqrt()
        return inner, shift, outer, scale
