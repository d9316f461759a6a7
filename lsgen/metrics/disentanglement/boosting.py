r"""Gradient-boosted classification trees on histograms, all classes of all factors at once.

For one label with K classes, F_c(x) starts at the log frequency of class c and grows by one tree in each round,

    F_c <- F_c + rate sum_leaves 1[x in leaf] (K-1)/K  sum_leaf r_c / sum_leaf p_c (1 - p_c),    r_c = [y = c] - p_c ,

with p the softmax of F (one tree and the logistic function for K = 2). A node of n observations with residual sum S is
split where

    gain = S_left^2 / n_left + S_right^2 / n_right - S^2 / n

is largest; the importance of a code is the sum of its gains over all trees. Codes are cut into bins of equal counts
first; with no more distinct values than bins, splits are those of the exact algorithm.

Reference: Friedman, "Greedy function approximation: a gradient boosting machine" (Annals of Statistics 2001),
algorithm 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Boosting", "quantile_bins"]


@dataclass(frozen=True)
class Boosting:
    """Settings of boosted trees.

    Attributes:
        rounds: trees for each class.
        depth: splits from the root to a leaf.
        rate: learning rate.
        bins: largest number of bins of a code.

    """

    rounds: int = 100
    depth: int = 3
    rate: float = 0.1
    bins: int = 64

    def fit(self, codes: Tensor, labels: Tensor, sizes: list[int], train: Tensor) -> tuple[Tensor, Tensor]:
        """Grow trees on some of the observations and predict all of them.

        Args:
            codes: (N, d).
            labels: classes (N, k), numbered from 0 in each column.
            sizes: number of classes of each column, at least 2.
            train: indices of the observations to learn from.

        Returns:
            Importances, columns of sum 1 (or 0 where no split gains), (d, k); predicted classes (N, k).

        """
        grower = _Grower(quantile_bins(codes, train, self.bins), train, self.depth)
        state = _Scores(labels, sizes, train)
        gains = torch.zeros(len(state.column), codes.shape[1], dtype=torch.float64, device=codes.device)
        for _ in range(self.rounds):
            residual, curvature = state.gradient()
            leaf, gain = grower.grow(residual)
            gains += gain
            state.step(leaf, residual, curvature, self.rate, 2**self.depth)
        total = torch.zeros(len(sizes), codes.shape[1], dtype=torch.float64, device=codes.device)
        total.index_add_(0, state.column, gains)
        importance = total / total.sum(1, keepdim=True).clamp(min=torch.finfo(total.dtype).tiny)
        return importance.T, state.predict()


def quantile_bins(codes: Tensor, train: Tensor, bins: int) -> Tensor:
    """Cut each code into at most `bins` bins with equally many observations of the training part, int64 (N, d)."""
    columns = []
    for column in codes.T.contiguous():
        values, counts = torch.unique(column[train], return_counts=True)
        if len(values) > bins:
            share = (counts.cumsum(0) - counts) * bins // counts.sum()
            values = values[torch.nn.functional.pad(share.diff(), (1, 0), value=1) > 0]
        columns.append(torch.searchsorted(values, column, right=True).sub_(1).clamp_(min=0))
    return torch.stack(columns, dim=1)


class _Scores:
    """The functions F (C, N), one row for each class of each label, or one for a label with two classes."""

    def __init__(self, labels: Tensor, sizes: list[int], train: Tensor) -> None:
        self.train = train
        self.rows = [size if size > 2 else 1 for size in sizes]
        self.sizes = sizes
        self.column = torch.arange(len(sizes), device=labels.device).repeat_interleave(
            torch.tensor(self.rows, device=labels.device)
        )
        share = torch.tensor([(size - 1) / size if size > 2 else 1.0 for size in sizes], device=labels.device)
        self.share = share[self.column]
        one_hot = [torch.nn.functional.one_hot(y, size).T[-rows:] for y, size, rows in self._labels(labels)]
        self.target = torch.cat(one_hot).to(torch.float32)
        prior = self.target[:, train].double().mean(1).clamp(1e-12, 1 - 1e-12)
        single = torch.tensor(self.rows, device=labels.device)[self.column] == 1
        start = torch.where(single, torch.logit(prior), torch.log(prior)).to(torch.float32)
        self.scores = start[:, None].repeat(1, len(labels))

    def _labels(self, labels: Tensor) -> list[tuple[Tensor, int, int]]:
        return list(zip(labels.unbind(1), self.sizes, self.rows, strict=True))

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Return residuals r and p (1 - p) of the training part, (C, N_train)."""
        blocks = self.scores[:, self.train].split(self.rows)
        p = torch.cat([block.sigmoid() if len(block) == 1 else block.softmax(0) for block in blocks])
        return self.target[:, self.train] - p, p * (1 - p)

    def step(self, leaf: Tensor, residual: Tensor, curvature: Tensor, rate: float, leaves: int) -> None:
        """Add the values of the leaves that all observations (C, N) fall into."""
        fitted = leaf[:, self.train]
        sums = torch.zeros(2, len(leaf), leaves, dtype=torch.float64, device=leaf.device)
        numerator = sums[0].scatter_add_(1, fitted, residual.double())
        denominator = sums[1].scatter_add_(1, fitted, curvature.double())
        value = torch.where(denominator > 1e-30, numerator / denominator.clamp(min=1e-30), 0.0)
        value = rate * self.share[:, None] * value.to(torch.float32)
        self.scores += value.gather(1, leaf)

    def predict(self) -> Tensor:
        """Return the most probable class of every observation, (N, k)."""
        named = [
            (block[0] > 0).long() if len(block) == 1 else block.argmax(0) for block in self.scores.split(self.rows)
        ]
        return torch.stack(named, dim=1)


class _Grower:
    """Grows one tree for each row of residuals, level by level, from histograms made by matrix products."""

    def __init__(self, bins: Tensor, train: Tensor, depth: int) -> None:
        self.bins, self.train, self.depth = bins, train, depth
        self.size = int(bins.max()) + 1
        self.columns = bins.T.contiguous()
        one_hot = torch.nn.functional.one_hot(bins[train], self.size).flatten(1)
        self.one_hot = one_hot.to(torch.float32)

    def grow(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the leaf of every observation (C, N) and the gains per code (C, d)."""
        trees, d = len(residual), self.bins.shape[1]
        node = torch.zeros(trees, len(self.bins), dtype=torch.int64, device=residual.device)
        gains = torch.zeros(trees, d, dtype=torch.float64, device=residual.device)
        sums = (residual @ self.one_hot).double().view(trees, 1, d, self.size)
        counts = self.one_hot.sum(0).double().view(1, 1, d, self.size).expand(trees, -1, -1, -1)
        for level in range(self.depth):
            gain, code, cut = _best_split(sums, counts)
            gains.scatter_add_(1, code, gain)
            code_here, cut_here = code.gather(1, node), cut.gather(1, node)
            right = self.columns.gather(0, code_here) > cut_here
            node = node.mul_(2).add_(right)
            if level + 1 < self.depth:
                sums, counts = self._children(sums, counts, residual, node[:, self.train])
        return node, gains

    def _children(self, sums: Tensor, counts: Tensor, residual: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
        """Return histograms (C, nodes, d, bins) of all children: those on the left, and what remains for the right."""
        left = torch.stack([node == 2 * parent for parent in range(sums.shape[1])], dim=1).to(torch.float32)
        left_counts = (left.flatten(0, 1) @ self.one_hot).double().view_as(sums)
        left_sums = ((left * residual[:, None]).flatten(0, 1) @ self.one_hot).double().view_as(sums)
        pairs = [torch.stack([part, whole - part], dim=2) for part, whole in ((left_sums, sums), (left_counts, counts))]
        return pairs[0].flatten(1, 2), pairs[1].flatten(1, 2)


def _best_split(sums: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return gain, code and last bin on the left of the best split of each node, (C, nodes); gain 0 splits nothing."""
    left, n_left = sums.cumsum(-1), counts.cumsum(-1)
    total, n = left[..., -1:], n_left[..., -1:]
    right, n_right = total - left, n - n_left
    possible = (n_left > 0.5) & (n_right > 0.5)
    gain = left**2 / n_left.clamp(min=1) + right**2 / n_right.clamp(min=1) - total**2 / n.clamp(min=1)
    best, where = torch.where(possible, gain, 0.0).flatten(2).max(2)
    size = sums.shape[-1]
    code, cut = where // size, where % size
    nothing = best <= 0
    return torch.where(nothing, 0.0, best), code, torch.where(nothing, size, cut)
