"""Retrieval by codes: how well the items of a class are found by the nearest codes, with intervals and chance.

Intervals are percentiles of a bootstrap over queries: the gallery is taken as given.

Reference: Efron & Tibshirani, "An introduction to the bootstrap" (1993), section 13.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.latent.distances import CodeDistance
from lsgen.metrics.retrieval.ranking import measure_names
from lsgen.metrics.retrieval.relevance import LabelRelevance
from lsgen.metrics.retrieval.search import query_values

__all__ = ["Retrieval", "Role", "bootstrap_interval", "bootstrap_means", "percentiles"]

Role = Literal["both", "query", "gallery"]
ENTRIES = 2**22


class Retrieval(Metric):
    """Precision, recall, hit rate and nDCG at k, R-precision, MAP@R and MRR of items with labels.

    Every item is a query, and all others are its gallery, unless `update` says which are which. The relevant items of a
    query are those of its label. What has the label -1, which is not known, takes no part.

    Args:
        ks: places at which lists of the nearest items are cut.
        distance: what is near, see `lsgen.latent.distances.distance_on`; Euclidean unless given.
        level: probability that an interval covers.
        draws: bootstrap samples of the queries; 0 for no intervals.

    Raises:
        ValueError: a place, the level or the number of draws is out of its range.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    codes: list[Tensor]
    labels: list[Tensor]
    roles: list[Tensor]

    def __init__(
        self,
        ks: Sequence[int] = (1, 5, 10),
        distance: CodeDistance | None = None,
        level: float = 0.95,
        draws: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not ks or min(ks) < 1 or not 0 < level < 1 or draws < 0:
            got = f"{list(ks)}, {level} and {draws}"
            raise ValueError(f"expected places of at least 1, a level in (0, 1) and at least 0 draws, got {got}")
        self.ks, self.distance, self.level, self.draws = tuple(ks), distance, level, draws
        for name in ("codes", "labels", "roles"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the measures."""
        return measure_names(self.ks)

    def update(self, codes: Tensor, label: Tensor, role: Role = "both") -> None:
        """Add items.

        Args:
            codes: one row for each, (B, d).
            label: their labels, integers (B,); -1 where one is not known.
            role: whether they are queries, the gallery or both.

        Raises:
            ValueError: shapes do not fit, labels are no integers, or there is no such role.

        """
        if codes.ndim != 2 or label.shape != codes.shape[:1] or label.is_floating_point():
            raise ValueError(
                f"expected codes (B, d) and integer labels (B,), got {tuple(codes.shape)} and {tuple(label.shape)} of "
                f"{label.dtype}"
            )
        if role not in get_args(Role):
            raise ValueError(f'expected role "both", "query" or "gallery", got {role!r}')
        self.codes.append(codes.detach())
        self.labels.append(label.detach().to(torch.int64))
        self.roles.append(torch.full_like(self.labels[-1], get_args(Role).index(role)))

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return for each measure its `value`, the level of `chance` and the ends `low` and `high` of its interval.

        The values of a single query say nothing of others, and have no interval. Under "queries", "left_out" counts
        queries without any relevant item, and "value" all others.

        Raises:
            ValueError: see `lsgen.metrics.retrieval.search.query_values`; some items are both and others not.

        """
        codes, labels, roles = dim_zero_cat(self.codes), dim_zero_cat(self.labels), dim_zero_cat(self.roles)
        known = labels >= 0
        codes, labels, roles = codes[known], labels[known], roles[known]
        if codes.dtype not in (torch.float32, torch.float64):
            codes = codes.float()
        together = bool((roles == 0).any())
        if together and bool(roles.any()):
            raise ValueError('expected all items in the role "both", or none of them, got some')
        query = roles < 2
        if not bool(query.any()):
            raise ValueError("expected queries whose labels are known, got none")
        if not together and bool(query.all()):
            raise ValueError("expected a gallery with known labels, got queries alone")
        others = (None, None) if together else (codes[~query], labels[~query])
        relevance = LabelRelevance(labels[query], others[1])
        found = query_values(codes[query], others[0], relevance, self.ks, self.distance)
        several = self.draws > 0 and len(found.queries) > 1
        interval = bootstrap_interval(found.values, self.level, self.draws) if several else None
        chance = found.chance.mean(0)
        scores = {
            name: {"value": found.values[:, i].mean(), "chance": chance[i]}
            | ({} if interval is None else {"low": interval[0, i], "high": interval[1, i]})
            for i, name in enumerate(found.names)
        }
        used = len(found.queries)
        counts = {"value": torch.tensor(used), "left_out": torch.tensor(int(query.sum()) - used)}
        return {**scores, "queries": counts}


def bootstrap_interval(values: Tensor, level: float = 0.95, draws: int = 1000, seed: int = 0) -> Tensor:
    """Return the ends (2, M) of the intervals of means of values (Q, M) over queries, by percentiles.

    Args:
        values: of each query.
        level: probability that they cover.
        draws: samples of Q queries with replacement.
        seed: of the draws.

    Raises:
        ValueError: there are fewer than 2 queries, whose mean never varies.

    """
    if len(values) < 2:
        raise ValueError(f"expected the values of at least 2 queries for an interval, got {len(values)}")
    return percentiles(bootstrap_means(values, draws, seed), level)


def bootstrap_means(values: Tensor, draws: int = 1000, seed: int = 0) -> Tensor:
    """Return the means (draws, M) of samples of Q queries, drawn with replacement, of values (Q, M)."""
    q, generator = len(values), torch.Generator().manual_seed(seed)
    means = []
    for size in torch.ones(draws).split(max(1, ENTRIES // q)):
        chosen = torch.randint(q, (len(size), q), generator=generator)
        counts = torch.zeros(len(size), q, dtype=torch.float64)
        counts.scatter_add_(1, chosen, torch.ones_like(counts))
        means.append(counts.to(values.device) @ values / q)
    return torch.cat(means)


def percentiles(drawn: Tensor, level: float) -> Tensor:
    """Return the ends (2, M) of the intervals that hold a level of samples (S, M), in float64, with equal tails."""
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64, device=drawn.device)
    return drawn.quantile(ends, dim=0)
