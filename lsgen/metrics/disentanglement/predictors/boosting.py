r"""Gradient-boosted classification trees, all classes of all factors at once.

For one label with K classes, F_c(x) starts at the log frequency of class c and grows by one tree in each round,

    F_c <- F_c + rate sum_leaves 1[x in leaf] (K-1)/K  sum_leaf r_c / sum_leaf p_c (1 - p_c),    r_c = [y = c] - p_c ,

with p the softmax of F (one tree and the logistic function for K = 2). The importance of a code is the sum of the gains
of its splits over all trees; see `lsgen.metrics.disentanglement.predictors.tree_splits` for where trees split.

Reference: Friedman, "Greedy function approximation: a gradient boosting machine" (Annals of Statistics 2001),
algorithm 6; defaults and importances as in scikit-learn's GradientBoostingClassifier.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.predictors.tree_splits import ExactTrees, HistogramTrees, Trees, quantile_bins

__all__ = ["Boosting"]


@dataclass(frozen=True)
class Boosting:
    """Settings of boosted trees.

    Attributes:
        rounds: trees for each class.
        depth: splits from the root to a leaf.
        rate: learning rate.
        bins: largest number of bins of equal counts that a code is cut into, which is faster; None splits at exact
            thresholds.
        seed: seed of the draws among equally good splits.

    Raises:
        ValueError: fewer than 1 round, split or bin, or a rate that is not positive.

    """

    rounds: int = 100
    depth: int = 3
    rate: float = 0.1
    bins: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.rounds, self.depth, 1 if self.bins is None else self.bins) < 1 or not self.rate > 0:
            raise ValueError(f"expected at least 1 round, split and bin and a rate above 0, got {self}")

    def fit(self, codes: Tensor, labels: Tensor, sizes: list[int], train: Tensor) -> tuple[Tensor, Tensor]:
        """Grow trees on some of the observations and predict all of them.

        Args:
            codes: (N, d).
            labels: classes (N, k), numbered from 0 in each column; only those to learn from are read.
            sizes: number of classes of each column; nothing is learnt where it is 1.
            train: indices of the observations to learn from.

        Returns:
            Importances, columns of sum 1 (or 0 where no split gains), (d, k); predicted classes (N, k).

        """
        others = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
        others[train] = False
        arranged = torch.cat([train, others.nonzero().squeeze(1)])
        trees = self._trees(codes[arranged].T.contiguous(), len(train))
        state = _Scores(labels[arranged], sizes, len(train))
        gains = torch.zeros(len(state.column), codes.shape[1], dtype=torch.float64, device=codes.device)
        for _ in range(self.rounds):
            residual, curvature = state.gradient()
            leaf, gain = trees.grow(residual)
            gains += gain
            state.step(leaf, residual, curvature, self.rate)
        total = torch.zeros(len(sizes), codes.shape[1], dtype=torch.float64, device=codes.device)
        total.index_add_(0, state.column, gains)
        importance = total / total.sum(1, keepdim=True).clamp(min=torch.finfo(total.dtype).tiny)
        return importance.T, state.predict()[arranged.argsort()]

    def _trees(self, columns: Tensor, fitted: int) -> Trees:
        if self.bins is None:
            return ExactTrees(columns, fitted, self.depth, self.seed)
        return HistogramTrees(quantile_bins(columns, fitted, self.bins), fitted, self.depth, self.seed)


class _Scores:
    """The functions F (C, N), one row for each class of each label, or one for a label with two classes."""

    def __init__(self, labels: Tensor, sizes: list[int], fitted: int) -> None:
        self.fitted, self.sizes = fitted, sizes
        self.rows = [size if size > 2 else 1 for size in sizes]
        rows = torch.tensor(self.rows, device=labels.device)
        self.column = torch.arange(len(sizes), device=labels.device).repeat_interleave(rows)
        share = torch.tensor([(size - 1) / size if size > 2 else 1.0 for size in sizes], device=labels.device)
        self.share = share[self.column]
        labelled = zip(labels[:fitted].unbind(1), sizes, self.rows, strict=True)
        one_hot = [torch.nn.functional.one_hot(y, size).T[-rows:] for y, size, rows in labelled]
        self.target = torch.cat(one_hot).double()
        prior = self.target.mean(1).clamp(1e-12, 1 - 1e-12)
        start = torch.where(rows[self.column] == 1, torch.logit(prior), torch.log(prior))
        self.scores = start[:, None].repeat(1, len(labels))

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Return residuals r and p (1 - p) of the fitted part, (C, n)."""
        blocks = self.scores[:, : self.fitted].split(self.rows)
        p = torch.cat([block.sigmoid() if len(block) == 1 else block.softmax(0) for block in blocks])
        return self.target - p, p * (1 - p)

    def step(self, leaf: Tensor, residual: Tensor, curvature: Tensor, rate: float) -> None:
        """Add the values of the leaves that all observations (C, N) fall into."""
        fitted, leaves = leaf[:, : self.fitted], int(leaf.max()) + 1
        numerator, denominator = (
            torch.zeros(len(leaf), leaves, dtype=torch.float64, device=leaf.device).scatter_add_(1, fitted, part)
            for part in (residual, curvature)
        )
        value = torch.where(denominator > 1e-150, numerator / denominator.clamp(min=1e-150), 0.0)
        self.scores += (rate * self.share[:, None] * value).gather(1, leaf)

    def predict(self) -> Tensor:
        """Return the most probable class of every observation, (N, k)."""
        named = [
            (block[0] >= 0).long() * (size - 1) if len(block) == 1 else block.argmax(0)
            for block, size in zip(self.scores.split(self.rows), self.sizes, strict=True)
        ]
        return torch.stack(named, dim=1)
