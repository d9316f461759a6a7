"""Cells of a feature space: what lies nearest to each of the centres that k-means finds in training features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor

__all__ = ["as_array", "cells_of"]


def cells_of(train: Tensor, *others: Tensor, cells: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Return the cell, 0 .. cells - 1, of every row of the training features and of further features.

    Args:
        train: features (N, m) that k-means is fitted to; no cell is empty of them.
        others: features (M, m) each.
        cells: number of cells.
        seed: seed of the first centres.

    Raises:
        ValueError: fewer than one cell, or fewer different training features than cells.

    """
    x = as_array(train)
    different = len(np.unique(x, axis=0)) if cells > 1 else 1
    if not 1 <= cells <= different:
        raise ValueError(f"expected between 1 and {different} cells of as many different features, got {cells}")
    fitted = KMeans(cells, n_init=1, random_state=seed).fit(x)
    return [fitted.labels_.astype(np.int64), *(fitted.predict(as_array(part)).astype(np.int64) for part in others)]


def as_array(features: Tensor) -> NDArray[np.float64]:
    """Return features (N, m) as an array in double precision.

    Raises:
        ValueError: they are no matrix, there are none, or a number is not finite.

    """
    if features.ndim != 2 or not features.numel() or not bool(features.isfinite().all()):
        raise ValueError(f"expected finite features of shape (N, m), got {tuple(features.shape)} or a NaN among them")
    array: NDArray[np.float64] = features.detach().double().cpu().numpy()
    return array
