r"""Measures of a ranked list of gallery items, averaged over all orders of items that are equally far away.

A query has R relevant items among n, the i-th of which has relevance y_i in {0, 1} and gain g_i. Cut off after k items,

    precision at k       1/k sum_{i <= k} y_i                     hit rate at k    whether a relevant one is among them
    recall at k          1/R sum_{i <= k} y_i                     MRR              1 / (place of the first relevant one)
    R-precision          precision at R                           MAP@R            1/R sum_{i <= R} y_i (precision at i)
    nDCG at k            sum_{i <= k} g_i / log2(i + 1), over that of the best order

Items at one distance come in no order: each value is its mean over all their orders, in closed form. Of m tied items of
which r are relevant, after A relevant ones and at the places s + 1, ..., s + m, it has

    E y_i = r/m,    E y_i (precision at i) = r/m (A + 1 + (j - 1)(r - 1)/(m - 1)) / i        for i = s + j,

    P(no relevant one up to i | A = 0) = prod_{l <= j} (m - r - l + 1)/(m - l + 1).

So codes that have collapsed onto one another score exactly what a random order does, which is the level of chance.

Reference: McSherry & Najork, "Computing information retrieval performance measures efficiently in the presence of tied
scores" (2008), https://doi.org/10.1007/978-3-540-78646-7_38; Musgrave, Belongie & Lim, "A metric learning reality
check" (2020), https://arxiv.org/abs/2003.08505, for R-precision and MAP@R; Jarvelin & Kekalainen, "Cumulated gain-based
evaluation of IR techniques" (2002), with linear gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Ties", "chance_values", "measure_names", "ranked_values", "ties"]

ENTRIES = 2**20


class Ties(NamedTuple):
    """For every place of ranked lists (B, K) what is known of the items that are tied with it, float64.

    Attributes:
        size: their number m.
        relevant: the number r of relevant ones.
        gain: their mean gain.
        place: j, the place among them, from 1.
        before: the number A of relevant items that are nearer.

    """

    size: Tensor
    relevant: Tensor
    gain: Tensor
    place: Tensor
    before: Tensor


def measure_names(ks: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the measures in the order of the columns of values."""
    cut = [f"{name}_at_{k}" for name in ("precision", "recall", "hit_rate", "ndcg") for k in ks]
    return (*cut, "r_precision", "map_at_r", "mrr")


def ties(distances: Tensor, gains: Tensor) -> Ties:
    """Return the ties of lists, by distances in ascending order and gains of their items, (B, K) both."""
    new = torch.ones_like(distances, dtype=torch.bool)
    new[:, 1:] = distances[:, 1:] != distances[:, :-1]
    places = torch.arange(distances.shape[1], device=distances.device).expand_as(new)
    start = torch.where(new, places, 0).cummax(1).values
    group, y = new.cumsum(1) - 1, (gains > 0).double()

    def summed(x: Tensor) -> Tensor:
        return torch.zeros_like(y).scatter_add_(1, group, x).gather(1, group)

    size = summed(torch.ones_like(y))
    before = (y.cumsum(1) - y).gather(1, start)
    return Ties(size, summed(y), summed(gains) / size, (places - start + 1).double(), before)


def ranked_values(tied: Ties, total: Tensor, ideal: Tensor, ks: Sequence[int]) -> Tensor:
    """Return the measures of lists (B, K), float64 (B, M); lists reach beyond every place that a measure needs.

    Args:
        tied: see `ties`.
        total: number R >= 1 of relevant items of each, (B,).
        ideal: the greatest gains of each, greatest first, (B, max(ks)).
        ks: places at which lists are cut.

    """
    m, r, gain, j, before = tied
    i = torch.arange(1, m.shape[1] + 1, device=m.device, dtype=m.dtype)
    found, own = (r / m).cumsum(1), i <= total[:, None]
    missed = ((m - r - j + 1) / (m - j + 1)).clamp(min=0).cumprod(1)
    first = torch.cat([torch.ones_like(missed[:, :1]), missed[:, :-1]], 1) - missed
    precision = r / m * (before + 1 + (j - 1) * (r - 1) / (m - 1).clamp(min=1)) / i
    discount = 1 / (i + 1).log2()
    best = (ideal * discount[: ideal.shape[1]]).cumsum(1)
    dcg, last = (gain * discount).cumsum(1), [k - 1 for k in ks]
    columns = [
        *(found[:, k] / (k + 1) for k in last),
        *(found[:, k] / total for k in last),
        *(1 - missed[:, k] for k in last),
        *(dcg[:, k] / best[:, k] for k in last),
        (r / m * own).sum(1) / total,
        (precision * own).sum(1) / total,
        (first / i).sum(1),
    ]
    return torch.stack(columns, 1)


def chance_values(items: int, total: Tensor, mass: Tensor, ideal: Tensor, ks: Sequence[int]) -> Tensor:
    """Return the measures of n items in random order, float64 (Q, M): all of them tied.

    Args:
        items: number n of the gallery.
        total: number R >= 1 of relevant items of each query, (Q,).
        mass: sum of their gains, (Q,).
        ideal: see `ranked_values`.
        ks: places at which lists are cut.

    """
    kinds, which = torch.cat([total[:, None].double(), mass[:, None], ideal], 1).unique(dim=0, return_inverse=True)
    places, parts = torch.arange(1, items + 1, device=total.device).double(), []
    for part in kinds.split(max(1, ENTRIES // items)):
        wide = torch.ones(len(part), items, dtype=torch.float64, device=total.device)
        tied = Ties(wide * items, wide * part[:, :1], wide * part[:, 1:2] / items, wide * places, wide * 0)
        parts.append(ranked_values(tied, part[:, 0], part[:, 2:], ks))
    return torch.cat(parts)[which]
