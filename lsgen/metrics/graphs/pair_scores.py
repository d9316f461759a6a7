"""Scores of pairs of nodes, greater for more probable links: from their codes, or from what a model says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from lsgen.latent import Codes
from lsgen.latent.distances import ChordDistance, CodeDistance, CosineDistance, distance_on

__all__ = ["CodeScores", "LinkScores", "PairScores", "Similarity"]

Similarity = Literal["distance", "cosine", "dot"]
PAIRS, ENTRIES = 2**18, 2**22


class PairScores(ABC):
    """Abstract scores of pairs of N nodes.

    Attributes:
        nodes: the number N.

    """

    nodes: int

    @abstractmethod
    def of_pairs(self, pairs: Tensor) -> Tensor:
        """Return the scores of pairs (P, 2), float64 (P,)."""

    @abstractmethod
    def to_all(self, source: Tensor) -> Tensor:
        """Return scores (B, N), from nodes (B,) to every node, that order the pairs of each row as `of_pairs` does."""


class CodeScores(PairScores):
    """Scores of pairs from the codes of nodes: minus their distance on the manifold, the cosine or the dot product.

    Args:
        codes: one code of each node, (N, d).
        by: which of these.

    Raises:
        ValueError: there is no such score, or a code has no direction for a cosine.

    """

    def __init__(self, codes: Codes, by: Similarity = "distance") -> None:
        if by not in get_args(Similarity):
            raise ValueError(f"expected scores by {', '.join(get_args(Similarity))}, got {by!r}")
        self.nodes = len(codes)
        self._distance: CodeDistance | None = None
        if by != "dot":
            self._distance = CosineDistance() if by == "cosine" else distance_on(codes.manifold)
        z = codes.tensor().double()
        self._features = z if self._distance is None else self._distance.features(z).double()
        self._ends, self._weights = self._features, None
        if isinstance(self._distance, ChordDistance):
            self._ends, self._weights = self._distance.chord(self._features)

    def of_pairs(self, pairs: Tensor) -> Tensor:
        """Return the scores of pairs (P, 2), float64 (P,)."""
        parts = [self._between(*self._features[part.T]) for part in pairs.split(PAIRS)]
        return torch.cat(parts) if parts else pairs.new_zeros(0, dtype=torch.float64)

    def to_all(self, source: Tensor) -> Tensor:
        """Return scores (B, N) that order the pairs of each row as `of_pairs` does."""
        if self._distance is None:
            return self._features[source] @ self._features.T
        if not isinstance(self._distance, ChordDistance):
            return -self._distance.pairwise(self._features[source], self._features)
        chord = torch.cdist(self._ends[source], self._ends, compute_mode="donot_use_mm_for_euclid_dist")
        return chord.neg_() if self._weights is None else chord.square_().mul_(self._weights).neg_()

    def _between(self, a: Tensor, b: Tensor) -> Tensor:
        if self._distance is None:
            return (a * b).sum(-1)
        return (1.0 if isinstance(self._distance, CosineDistance) else 0.0) - self._distance.between(a, b).double()


class LinkScores(PairScores):
    """Scores of pairs that functions of their numbers return.

    Args:
        scores: pairs (P, 2) -> their scores (P,).
        nodes: the number N of nodes.
        rows: nodes (B,) -> the scores (B, N) of their pairs with every node; by `scores` unless given.

    """

    def __init__(
        self, scores: Callable[[Tensor], Tensor], nodes: int, rows: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self._scores, self.nodes, self._rows = scores, nodes, rows

    def of_pairs(self, pairs: Tensor) -> Tensor:
        """Return the scores of pairs (P, 2), float64 (P,)."""
        parts = [self._scores(part).double() for part in pairs.split(PAIRS)]
        return torch.cat(parts) if parts else pairs.new_zeros(0, dtype=torch.float64)

    def to_all(self, source: Tensor) -> Tensor:
        """Return the scores (B, N) of the pairs of nodes (B,) and every node."""
        if self._rows is not None:
            return self._rows(source).double()
        every = torch.arange(self.nodes, device=source.device)
        return self.of_pairs(torch.cartesian_prod(source, every)).reshape(len(source), self.nodes)
