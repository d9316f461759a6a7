"""Places in a space told by the real items that are nearest to them, where nothing decodes or decoding tells little."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.analysis.neighbours.surroundings import Surroundings
from lsgen.latent import Codes
from lsgen.latent.distances import CodeDistance, distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["Gallery", "Retrieved"]

ORDER, SAMPLE = 10, 2000


@dataclass(frozen=True, eq=False)
class Retrieved:
    """The k items nearest to each of some places, nearest first.

    Attributes:
        rows: rows of the gallery's table, (B, k); -1 for a place that is not finite.
        ids: names of the items, (B, k); empty text for such a place.
        distances: how far they are, (B, k); NaN for such a place.
        percentile: share of items that have fewer others around them, in per cent, (B,): above 99 a place is off the
            manifold of the items. NaN for fewer than 3 items, and for a place that is not finite.

    """

    rows: NDArray[np.int64]
    ids: NDArray[Any]
    distances: NDArray[np.float64]
    percentile: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gallery:
    """The items among which those near to a place are sought.

    The percentile of a place is that of the distance to its 10th nearest item, or to the last but one of fewer, among
    those of 2,000 items.

    Args:
        items: their codes, by name.
        distance: what is near; that of the manifold unless given.

    Raises:
        ValueError: there is no item.

    """

    items: Codes
    distance: CodeDistance | None = None

    def __post_init__(self) -> None:
        if not len(self.items):
            raise ValueError("expected at least one item to retrieve, got none")

    @torch.no_grad()
    def nearest(self, z: Tensor, k: int = 3) -> Retrieved:
        """Return the k items nearest to places (B, d), all where there are fewer.

        Raises:
            ValueError: k is not positive, the places have another dimension, or one is none that the distance knows.

        """
        if k < 1 or z.shape[-1] != self.items.dim:
            raise ValueError(
                f"expected places of dimension {self.items.dim} and k >= 1, got {tuple(z.shape)} and k = {k}"
            )
        flat, k = z.detach().cpu().reshape(-1, self.items.dim).to(self._codes.dtype), min(k, len(self.items))
        finite = flat.isfinite().all(1)
        rows, far = np.full((len(flat), k), -1), np.full((len(flat), k), np.nan)
        percentile, here = np.full(len(flat), np.nan), finite.numpy()
        if here.any():
            measure = distance_on(self.items.manifold) if self.distance is None else self.distance
            near = nearest_neighbours(flat[finite], self._codes, k, measure)
            rows[here], far[here] = near.indices.numpy(), near.distances.numpy()
            if self._surroundings is not None:
                percentile[here] = self._surroundings.of(flat[finite])[1]
        ids = np.where(rows >= 0, self.items.ids[rows].astype(object), "")
        shape = z.shape[:-1]
        return Retrieved(
            rows.reshape(*shape, k), ids.reshape(*shape, k), far.reshape(*shape, k), percentile.reshape(shape)
        )

    @cached_property
    def _codes(self) -> Tensor:
        return self.items.tensor()

    @cached_property
    def _surroundings(self) -> Surroundings | None:
        order = min(ORDER, len(self.items) - 2)
        return Surroundings(self.items, order, self.distance, SAMPLE) if order >= 1 else None
