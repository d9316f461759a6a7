"""Relevance of gallery items to queries: by labels, or as a table of gains."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["LabelRelevance", "Relevance", "TableRelevance"]


class Relevance(ABC):
    """Abstract relevance of N gallery items to Q queries; a gain above 0 is relevant.

    Attributes:
        total: number of relevant items of each query, int64 (Q,).
        mass: the sum of their gains, float64 (Q,).

    """

    total: Tensor
    mass: Tensor

    @abstractmethod
    def gains(self, rows: Tensor, items: Tensor) -> Tensor:
        """Return the gains, float64 (B, k), of gallery items (B, k) for queries (B,)."""

    @abstractmethod
    def ideal(self, size: int) -> Tensor:
        """Return the greatest gains of each query, greatest first, float64 (Q, size)."""


class LabelRelevance(Relevance):
    """Items of the label of the query are relevant, with gain 1.

    Args:
        queries: labels of the queries, integers (Q,).
        gallery: labels of the gallery, integers (N,); None where the queries are the gallery, and no item is its own.

    """

    def __init__(self, queries: Tensor, gallery: Tensor | None = None) -> None:
        self._queries, self._gallery = queries, queries if gallery is None else gallery
        values, counts = self._gallery.unique(return_counts=True)
        place = torch.searchsorted(values, queries).clamp(max=len(values) - 1)
        self.total = torch.where(values[place] == queries, counts[place], 0) - int(gallery is None)
        self.mass = self.total.double()

    def gains(self, rows: Tensor, items: Tensor) -> Tensor:
        """Return 1 where labels agree, else 0."""
        return (self._gallery[items] == self._queries[rows][:, None]).double()

    def ideal(self, size: int) -> Tensor:
        """Return ones, as many as there are relevant items, then zeros."""
        return (torch.arange(size, device=self.total.device) < self.total[:, None]).double()


class TableRelevance(Relevance):
    """Gains are given for every pair.

    Args:
        table: gains of at least 0, (Q, N), as numbers or truth values.

    Raises:
        ValueError: it is no matrix, or a gain is negative or not finite.

    """

    def __init__(self, table: Tensor) -> None:
        self._table = table.double()
        if table.ndim != 2 or not bool((self._table >= 0).all() & self._table.isfinite().all()):
            raise ValueError(f"expected gains (Q, N) of at least 0, got {tuple(table.shape)}, or others among them")
        self.total, self.mass = (table > 0).sum(1), self._table.sum(1)

    def gains(self, rows: Tensor, items: Tensor) -> Tensor:
        """Return the entries of the table."""
        return self._table[rows[:, None], items]

    def ideal(self, size: int) -> Tensor:
        """Return the greatest entries of every row."""
        return self._table.topk(size, dim=1).values
