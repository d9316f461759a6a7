"""How far codes are from a table of codes, as a percentile among the codes of the table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.latent import Codes
from lsgen.latent.distances import CodeDistance, distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["Surroundings"]

SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The distance to the k-th nearest code of a table, and its percentile among the distances of codes of the table.

    A code of the table is not its own neighbour.

    Args:
        table: at least k + 2 codes.
        k: which of the nearest codes is looked at.
        distance: what is near; that of the manifold unless given.
        sample: codes of the table whose distances are known, drawn at random; all unless given.
        seed: of the draw.

    Raises:
        ValueError: the table has too few codes.

    """

    table: Codes
    k: int = 10
    distance: CodeDistance | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.k < len(self.table) - 1:
            raise ValueError(
                f"expected from 1 to {len(self.table) - 2} neighbours among {len(self.table)} codes, got {self.k}"
            )

    def of(self, z: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the distances (N,) and their percentiles (N,), from 0 to 100, of codes (N, d)."""
        codes = self._precise(z.detach().cpu())
        near = nearest_neighbours(codes, self._codes, self.k + 1, self._measure).distances.numpy()
        own = near[:, 0] <= SAME * self.known[len(self.known) // 2]
        far = np.where(own, near[:, self.k], near[:, self.k - 1])
        return far, 100 * np.searchsorted(self.known, far, side="left") / len(self.known)

    @cached_property
    def known(self) -> NDArray[np.float64]:
        """The distances of codes of the table, in order."""
        codes = self._codes
        if self.sample is None or self.sample >= len(codes):
            near = nearest_neighbours(codes, None, self.k, self._measure).distances
        else:
            rows = np.sort(np.random.default_rng(self.seed).permutation(len(codes))[: self.sample])
            near = nearest_neighbours(codes[torch.from_numpy(rows)], codes, self.k + 1, self._measure).distances
        return np.sort(near[:, -1].numpy())

    @cached_property
    def _codes(self) -> Tensor:
        return self._precise(self.table.tensor())

    def _precise(self, z: Tensor) -> Tensor:
        """Return codes in double precision, in which those of single precision do not lie on a curved manifold."""
        return self.table.manifold.retraction(z.double())

    @property
    def _measure(self) -> CodeDistance:
        return distance_on(self.table.manifold) if self.distance is None else self.distance
