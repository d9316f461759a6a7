r"""Dependence between ground-truth factors, which most disentanglement scores take to be independent.

With the counts n_ab of two factors with K1 and K2 values among N observations, and e_ab = n_a. n_.b / N,

    X^2 = sum_ab (n_ab - e_ab)^2 / e_ab ,      V = sqrt( X^2 / (N (min(K1, K2) - 1)) )      (Cramér's V, 0 to 1)

and factors are called dependent where X^2 exceeds what it is for independent ones by six standard deviations,
(K1 - 1)(K2 - 1) + 6 sqrt(2 (K1 - 1)(K2 - 1)). A code that knows one of two dependent factors knows about the other:
gaps and modularity fall, and what is concentrated is spread, though nothing is entangled but the data.
"""

from __future__ import annotations

from itertools import combinations
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.information import recode

__all__ = ["DependentPair", "dependent_pairs"]

DEVIATIONS = 6


class DependentPair(NamedTuple):
    """The columns of two factors that are not independent, and their Cramér's V."""

    first: int
    second: int
    strength: float


def dependent_pairs(factors: Tensor) -> list[DependentPair]:
    """Return the pairs of factors, integers (N, k), that are not independent; none where k is 0 or 1."""
    if factors.shape[1] < 2:
        return []
    values, sizes = recode(factors)
    found = []
    for i, j in combinations(range(len(sizes)), 2):
        if min(sizes[i], sizes[j]) < 2:
            continue
        counts = torch.bincount(values[:, i] * sizes[j] + values[:, j], minlength=sizes[i] * sizes[j])
        table = counts.double().view(sizes[i], sizes[j])
        expected = table.sum(1, keepdim=True) * table.sum(0) / len(values)
        statistic = float(((table - expected) ** 2 / expected).sum())
        freedom = (sizes[i] - 1) * (sizes[j] - 1)
        if statistic > freedom + DEVIATIONS * sqrt(2 * freedom):
            found.append(DependentPair(i, j, sqrt(statistic / (len(values) * (min(sizes[i], sizes[j]) - 1)))))
    return found
