r"""The splits of regression trees, and the choice among equally good ones.

A node of n observations with residual sum S is split where

    gain = S_left^2 / n_left + S_right^2 / n_right - S^2 / n = ( S_left - S n_left / n )^2  n / (n_left n_right)

is largest. Two ways of looking for it share one rule for ties:

    exact       every threshold halfway between neighbouring values of a code; values are float32, and those that are
                less than 1e-7 apart are one
    histogram   thresholds between bins of equal counts, all trees of a round at once

Codes whose best gains agree up to rounding are equally good splits, and one of them is drawn at random: twins share
their importance. Within a code the lowest threshold is taken. A node ends where its residuals are all equal or no code
varies in it.

Reference: Breiman et al., "Classification and regression trees" (1984); thresholds, float32 and the draw as in the
trees of scikit-learn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["ExactTrees", "HistogramTrees", "Trees", "quantile_bins"]

SAME = 1e-7  # values of a code this close are one
TIE = 1e-10  # gains this close, in units of the largest that a node can have, are equally good
SINGLE = 1e-5  # the same for sums in float32, in units of the best gain
REPEAT = 0.01  # share of equal neighbours among sorted values above which values are said to repeat
PURE = 1e-15  # mean square of residuals around their mean below which a node is not split


class Trees(ABC):
    """Abstract builder of trees, one for each row of residuals.

    Args:
        columns: codes (d, N), those of the n fitted observations first.
        fitted: n.
        depth: splits from the root to a leaf.
        seed: seed of the draws among equally good splits.

    """

    def __init__(self, columns: Tensor, fitted: int, depth: int, seed: int) -> None:
        self.columns, self.fitted, self.depth = columns, fitted, depth
        self.generator = torch.Generator().manual_seed(seed)

    @abstractmethod
    def grow(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the leaf of every observation, int64 (C, N), and the gains per code (C, d); residual is (C, n)."""

    def _preference(self, *nodes: int) -> Tensor:
        """Return an order of codes for each node, (*nodes, d): that with the largest number wins a tie."""
        draws = torch.rand(*nodes, len(self.columns), dtype=torch.float64, generator=self.generator)
        return draws.to(self.columns.device)


class ExactTrees(Trees):
    """Trees whose thresholds are exact: codes are sorted once, and nodes keep their observations in that order."""

    def __init__(self, columns: Tensor, fitted: int, depth: int, seed: int) -> None:
        super().__init__(columns.to(torch.float32).double(), fitted, depth, seed)
        self.values = self.columns[:, :fitted].contiguous()
        self.order = self.values.argsort(dim=1, stable=True)
        self.place = torch.arange(fitted, device=columns.device)
        equal = self.values.gather(1, self.order).diff(dim=1) <= SAME
        self.repeat = bool(equal.double().mean() > REPEAT)

    def grow(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the leaf of every observation (C, N) and the gains per code (C, d)."""
        trees, d = len(residual), len(self.columns)
        leaf = torch.zeros(trees, self.columns.shape[1], dtype=torch.int64, device=residual.device)
        gains = torch.zeros(trees, d, dtype=torch.float64, device=residual.device)
        for tree, preference in enumerate(self._preference(trees, 2**self.depth)):
            nodes = {1: self.order}  # node k has the children 2 k and 2 k + 1
            leaf[tree] = 1
            while nodes:
                nodes = self._next(nodes, residual[tree], preference, leaf[tree], gains[tree])
        return leaf, gains

    def _next(
        self, nodes: dict[int, Tensor], residual: Tensor, preference: Tensor, leaf: Tensor, gains: Tensor
    ) -> dict[int, Tensor]:
        """Split nodes, each given by its sorted observations, and return the sorted observations of their children.

        Where observations go and what was gained is noted in leaf (N,) and gains (d,).
        """
        children: dict[int, Tensor] = {}
        for node, order in nodes.items():
            found = self._best(order, residual, preference[node])
            if found is None:
                continue
            code, threshold, gain = found
            gains[code] += gain
            right = self.columns[code] > threshold
            leaf += (leaf == node) * (right + node)
            if 2 * node < 2**self.depth:
                children |= self._children(order, right[: self.fitted], node)
        return children

    def _best(self, order: Tensor, residual: Tensor, preference: Tensor) -> tuple[int, float, float] | None:
        """Return code, threshold and gain of the best split of a node, whose observations are sorted (d, m)."""
        d, m = order.shape
        if m < 2:
            return None
        sums = residual.index_select(0, order.view(-1)).view(d, m)
        spread = float(sums[0].square().sum() - sums[0].sum() ** 2 / m)
        if spread <= PURE * m:
            return None
        sums.cumsum_(1)
        left = self.place[1:m].double()
        gain = sums[:, :-1].addr_(sums[:, -1].clone(), left / m, alpha=-1).square_().mul_(m / (left * (m - left)))
        # Where values hardly ever repeat, cuts between equal ones are looked for only if one of them is found best.
        for excluded in (True,) if self.repeat else (False, True):
            if excluded:
                gain.masked_fill_(self.values.gather(1, order).diff(dim=1) <= SAME, -torch.inf)
            best = gain.amax(1)
            least = best.max() - TIE * spread
            code = int(torch.where(best >= least, preference, -1.0).argmax())
            cut = int((gain[code] >= least).to(torch.int8).argmax())
            below, above = self.values[code, order[code, cut : cut + 2]].tolist()
            if above - below > SAME:
                return code, (below + above) / 2, float(gain[code, cut])
        return None

    def _children(self, order: Tensor, right: Tensor, node: int) -> dict[int, Tensor]:
        """Return the sorted observations of both children of a node."""
        d, m = order.shape
        side = right.to(torch.int32).index_select(0, order.view(-1)).view(d, m)
        rank = side.cumsum(1, dtype=torch.int64)
        lower = m - int(rank[0, -1])
        target = torch.where(side > 0, rank + (lower - 1), self.place[:m] - rank)
        order = torch.empty_like(order).scatter_(1, target, order)
        return {2 * node: order[:, :lower].contiguous(), 2 * node + 1: order[:, lower:].contiguous()}


class HistogramTrees(Trees):
    """Trees whose thresholds lie between bins, grown level by level from histograms made by matrix products.

    Args:
        columns: bins from 0, int64 (d, N).
        fitted: see `Trees`.
        depth: see `Trees`.
        seed: see `Trees`.

    """

    def __init__(self, columns: Tensor, fitted: int, depth: int, seed: int) -> None:
        super().__init__(columns, fitted, depth, seed)
        self.size = int(columns.max()) + 1
        one_hot = torch.nn.functional.one_hot(columns[:, :fitted].T, self.size).flatten(1)
        self.one_hot = one_hot.to(torch.float32)

    def grow(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the leaf of every observation (C, N) and the gains per code (C, d)."""
        residual = residual.to(torch.float32)
        trees, d = len(residual), len(self.columns)
        node = torch.zeros(trees, self.columns.shape[1], dtype=torch.int64, device=residual.device)
        gains = torch.zeros(trees, d, dtype=torch.float64, device=residual.device)
        sums = (residual @ self.one_hot).double().view(trees, 1, d, self.size)
        counts = self.one_hot.sum(0).double().view(1, 1, d, self.size).expand(trees, -1, -1, -1)
        for level in range(self.depth):
            gain, code, cut = _best_splits(sums, counts, self._preference(trees, 2**level))
            gains.scatter_add_(1, code, gain)
            code_here, cut_here = code.gather(1, node), cut.gather(1, node)
            right = self.columns.gather(0, code_here) > cut_here
            node = node.mul_(2).add_(right)
            if level + 1 < self.depth:
                sums, counts = self._children(sums, counts, residual, node[:, : self.fitted])
        return node, gains

    def _children(self, sums: Tensor, counts: Tensor, residual: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
        """Return histograms (C, nodes, d, bins) of all children: those on the left, and what remains for the right."""
        left = torch.stack([node == 2 * parent for parent in range(sums.shape[1])], dim=1).to(torch.float32)
        left_counts = (left.flatten(0, 1) @ self.one_hot).double().view_as(sums)
        left_sums = ((left * residual[:, None]).flatten(0, 1) @ self.one_hot).double().view_as(sums)
        pairs = [torch.stack([part, whole - part], dim=2) for part, whole in ((left_sums, sums), (left_counts, counts))]
        return pairs[0].flatten(1, 2), pairs[1].flatten(1, 2)


def quantile_bins(columns: Tensor, fitted: int, bins: int) -> Tensor:
    """Cut each code, (d, N), into at most `bins` bins with equally many of the first `fitted` observations.

    Returns:
        Bins from 0 in the order of the values, int64 (d, N).

    """
    rows = []
    for column in columns.contiguous():
        values, counts = torch.unique(column[:fitted], return_counts=True)
        if len(values) > bins:
            share = (counts.cumsum(0) - counts) * bins // counts.sum()
            values = values[torch.nn.functional.pad(share.diff(), (1, 0), value=1) > 0]
        rows.append(torch.searchsorted(values, column, right=True).sub_(1).clamp_(min=0))
    return torch.stack(rows)


def _best_splits(sums: Tensor, counts: Tensor, preference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return gain, code and last bin on the left of the best split of each node, (C, nodes); gain 0 splits nothing.

    Histograms are (C, nodes, d, bins); the preference among equally good codes is (C, nodes, d).
    """
    left, n_left = sums.cumsum(-1), counts.cumsum(-1)
    total, n = left[..., -1:], n_left[..., -1:]
    right, n_right = total - left, n - n_left
    possible = (n_left > 0.5) & (n_right > 0.5)
    gain = left**2 / n_left.clamp(min=1) + right**2 / n_right.clamp(min=1) - total**2 / n.clamp(min=1)
    gain = torch.where(possible, gain, 0.0)
    least = gain.amax((2, 3)) * (1 - SINGLE)
    best, cut = (gain >= least[..., None, None]).max(-1)
    code = torch.where(best, preference, -1.0).argmax(-1)
    cut = cut.gather(2, code[..., None]).squeeze(2)
    nothing = least <= 0
    return torch.where(nothing, 0.0, least), code, torch.where(nothing, sums.shape[-1], cut)
