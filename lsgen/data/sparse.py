"""Counts that are mostly zero, kept sparse until they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.data.batches import Observations

__all__ = ["SparseCounts"]


class SparseCounts:
    """A source of rows of a sparse matrix.

    Args:
        counts: scipy's matrix or array in rows (CSR), (N, D).
        entries: what belongs to the rows, such as "label" and "factors", (N, ...).

    """

    def __init__(self, counts: Any, **entries: Tensor) -> None:
        self.counts, self.entries = counts, entries

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def __call__(self, rows: Tensor) -> Observations:
        """Return dense rows."""
        x = torch.from_numpy(self.counts[rows.numpy()].toarray().astype(np.float32))
        return {"x": x, **{name: values[rows] for name, values in self.entries.items()}}
