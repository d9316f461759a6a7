"""Measures of retrieval of every query, by exact search of as many of the nearest items as they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.latent.distances import CodeDistance
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.retrieval.ranking import chance_values, measure_names, ranked_values, ties
from lsgen.metrics.retrieval.relevance import Relevance

__all__ = ["QueryValues", "query_values"]

ENTRIES = 2**20


class QueryValues(NamedTuple):
    """Measures of the queries that have a relevant item.

    Attributes:
        names: of the M measures, see `lsgen.metrics.retrieval.ranking`.
        values: of each query, float64 (Q', M).
        chance: what a random order of the gallery gives on average, float64 (Q', M).
        queries: which of the queries these are, (Q',).

    """

    names: tuple[str, ...]
    values: Tensor
    chance: Tensor
    queries: Tensor


@torch.no_grad()
def query_values(
    queries: Tensor,
    gallery: Tensor | None,
    relevance: Relevance,
    ks: Sequence[int] = (1, 5, 10),
    distance: CodeDistance | None = None,
) -> QueryValues:
    """Return precision, recall, hit rate and nDCG at k, R-precision, MAP@R and MRR of every query.

    Queries without any relevant item are left out. Items at the same distance count by the mean over their orders.

    Args:
        queries: codes (Q, d), float32 or float64.
        gallery: codes (N, d) of the same type; None for the queries themselves, none of which is its own item.
        relevance: of the gallery to the queries.
        ks: places at which lists are cut.
        distance: what is near; Euclidean unless given.

    Raises:
        TypeError, ValueError: see `lsgen.latent.neighbours.nearest_neighbours`.
        ValueError: a place is not among those of the gallery, or no query has a relevant item.

    """
    codes = queries if gallery is None else gallery
    n = len(codes) - (gallery is None)
    if not ks or not all(1 <= k <= n for k in ks):
        raise ValueError(f"expected places k from 1 to {n}, the number of items that each query has, got {list(ks)}")
    if relevance.total.shape != queries.shape[:1]:
        raise ValueError(f"expected relevance to {len(queries)} queries, got that to {len(relevance.total)}")
    kept = (relevance.total > 0).nonzero()[:, 0]
    if not len(kept):
        raise ValueError(f"expected a query with a relevant item, got none among {len(queries)}")
    total, ideal = relevance.total, relevance.ideal(max(ks))
    names = measure_names(ks)
    values = torch.zeros(len(queries), len(names), dtype=torch.float64, device=codes.device)
    waiting, factor = kept[total[kept].argsort(stable=True)], 1
    while len(waiting):
        late = []
        for rows in _blocks(waiting, total, n, max(ks), factor):
            need = total[rows].clamp(min=max(ks))
            k = min(n, factor * (int(need.max()) + 1))
            lengths, items = _nearest(queries, codes, rows, k, gallery is None, distance)
            gains = relevance.gains(rows, items)
            done = torch.ones_like(rows, dtype=torch.bool) if k == n else _complete(lengths, gains, need)
            tied = ties(lengths[done], gains[done])
            values[rows[done]] = ranked_values(tied, total[rows[done]], ideal[rows[done]], ks)
            late.append(rows[~done])
        waiting, factor = torch.cat(late), 2 * factor
    chance = chance_values(n, total[kept], relevance.mass[kept], ideal[kept], ks)
    return QueryValues(names, values[kept], chance, kept)


def _blocks(rows: Tensor, total: Tensor, n: int, least: int, factor: int) -> list[Tensor]:
    """Return queries, sorted by their number of relevant items, in blocks of limited size."""
    found, first = [], 0
    while first < len(rows):
        k = min(n, factor * (max(least, int(total[rows[first]])) + 1))
        block = rows[first : first + max(1, ENTRIES // k)]
        block = block[total[block] <= max(least, 2 * int(total[block[0]]))]
        found.append(block)
        first += len(block)
    return found


def _nearest(
    queries: Tensor, codes: Tensor, rows: Tensor, k: int, apart: bool, distance: CodeDistance | None
) -> tuple[Tensor, Tensor]:
    """Return distances and items (B, k) of queries; a query is not its own item where they are apart."""
    found = nearest_neighbours(queries[rows], codes, k + apart, distance)
    if not apart:
        return found.distances, found.indices
    own = found.indices == rows[:, None]
    own[~own.any(1), -1] = True  # it is behind as many duplicates
    return found.distances[~own].reshape(-1, k), found.indices[~own].reshape(-1, k)


def _complete(distances: Tensor, gains: Tensor, need: Tensor) -> Tensor:
    """Return whether lists hold all items that are tied with the place needed last and with the first relevant one."""
    end, far = distances[:, -1], distances.gather(1, need[:, None] - 1)[:, 0]
    return (far < end) & ((gains > 0) & (distances < end[:, None])).any(1)
