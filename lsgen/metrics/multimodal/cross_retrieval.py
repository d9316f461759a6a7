r"""Retrieval across views: whether the code of one view of an observation finds its other view in a gallery, both ways.

A gallery holds both views of n observations. Those of observation j are a hit for query i if j is identical to i in one
of the views: captions that agree word for word cannot be told apart, nor can images that do. With P_i(k) the
probability that a hit is among the k nearest,

    recall at k      H(k) = mean_i P_i(k)                  (one hit is enough, as in the literature on captions)
    median rank      the least k with H(k) >= 1/2

Items at one distance count by all their orders, in closed form, so that codes which have collapsed score exactly what a
random order does, the level of chance. The oracle knows the attributes of every observation and those that a caption
tells of, and puts all captions that are true of an image first, and all images of which a caption is true: no code can
know better which of them is meant.

Galleries are drawn several times. Of an observation the mean over the galleries that held it counts, and intervals are
percentiles of a bootstrap over observations.

Reference: Karpathy & Fei-Fei, "Deep visual-semantic alignments for generating image descriptions" (2015), section 4.2,
for recall at k and the median rank; see `lsgen.metrics.retrieval.ranking` for ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.latent.distances import AngularDistance, CodeDistance
from lsgen.metrics.retrieval import TableRelevance, query_values
from lsgen.metrics.retrieval.ranking import measure_names, ranked_values, ties
from lsgen.metrics.retrieval.scores import bootstrap_means, percentiles

__all__ = ["CrossRetrieval"]

HALF = 0.5 - 1e-12  # with room for the rounding of sums of probabilities


class CrossRetrieval(Metric):
    """Recall at k and the median rank of the views of observations, both ways.

    Args:
        gallery: observations in a gallery.
        ks: places at which lists of the nearest are cut.
        galleries: how many are drawn.
        distance: what is near; the angle unless given.
        names: of the views.
        level: probability that an interval covers.
        draws: bootstrap samples of the observations.
        seed: of all draws.

    Raises:
        ValueError: a place, the level or a number is out of its range.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    first: list[Tensor]
    second: list[Tensor]
    identities: list[Tensor]
    attributes: list[Tensor]
    told: list[Tensor]

    def __init__(
        self,
        gallery: int = 100,
        ks: Sequence[int] = (1, 5, 10),
        galleries: int = 5,
        distance: CodeDistance | None = None,
        names: tuple[str, str] = ("first", "second"),
        level: float = 0.95,
        draws: int = 1000,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not ks or not 1 <= min(ks) <= max(ks) <= gallery:
            raise ValueError(f"expected places from 1 to {gallery}, the observations of a gallery, got {list(ks)}")
        if gallery < 2 or galleries < 1 or draws < 1 or not 0 < level < 1:
            raise ValueError(
                "expected a gallery of at least 2, at least 1 gallery and draw, and a level in (0, 1), got "
                f"{gallery}, {galleries}, {draws} and {level}"
            )
        self.gallery, self.ks, self.galleries, self.names = gallery, tuple(ks), galleries, tuple(names)
        self.distance = AngularDistance() if distance is None else distance
        self.level, self.draws, self.seed = level, draws, seed
        for name in ("first", "second", "identities", "attributes", "told"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self,
        codes: Tensor,
        others: Tensor,
        identities: Tensor,
        attributes: Tensor | None = None,
        told: Tensor | None = None,
    ) -> None:
        """Add observations.

        Args:
            codes: of their first view, (B, d).
            others: of their second view, (B, d).
            identities: a number for what each view shows, the same for identical ones, integers (B, 2).
            attributes: what an oracle knows of each, integers (B, K); all updates have them, or none.
            told: which of them the second view tells of, integers (B, K): the value that it gives, or -1.

        Raises:
            ValueError: shapes do not fit, or numbers are not whole.

        """
        if codes.ndim != 2 or codes.shape != others.shape:
            raise ValueError(f"expected two views of codes (B, d), got {tuple(codes.shape)} and {tuple(others.shape)}")
        whole = [identities, *(part for part in (attributes, told) if part is not None)]
        if identities.shape != (len(codes), 2) or any(part.is_floating_point() for part in whole):
            raise ValueError(f"expected integers ({len(codes)}, 2) as identities, got {tuple(identities.shape)}")
        if (attributes is None) != (told is None) or (
            attributes is not None and told is not None and attributes.shape != told.shape
        ):
            raise ValueError("expected attributes and what is told of them, (B, K) both, or neither, got one of them")
        self.first.append(codes.detach())
        self.second.append(others.detach())
        self.identities.append(identities.detach().long())
        if attributes is not None and told is not None:
            self.attributes.append(attributes.detach().long())
            self.told.append(told.detach().long())

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return for each measure of either way its `value`, `chance`, interval and, with attributes, `oracle`.

        Measures are called "A_to_B/recall_at_K" and "A_to_B/median_rank". Under "gallery" and "queries" stand the
        number of observations of a gallery, and of those that were in one.

        Raises:
            ValueError: there are fewer observations than a gallery has, or only some of them have attributes.

        """
        first, second, identities = (dim_zero_cat(part) for part in (self.first, self.second, self.identities))
        known = [dim_zero_cat(part) for part in (self.attributes, self.told)] if self.attributes else None
        if known is not None and len(known[0]) != len(first):
            raise ValueError(f"expected attributes of all {len(first)} observations, got those of {len(known[0])}")
        rows = self._drawn(len(first))
        same = [_same(identities[part]) for part in rows]
        a, b = self.names
        scores: dict[str, dict[str, Tensor]] = {}
        for way, x, y in ((f"{a}_to_{b}", first, second), (f"{b}_to_{a}", second, first)):
            found, chance = zip(
                *(self._searched(x[part], y[part], hits) for part, hits in zip(rows, same, strict=True)), strict=True
            )
            parts = {"value": list(found), "chance": list(chance)}
            if known is not None:
                true = [_true(known[0][part], known[1][part]) for part in rows]
                forth = x is first
                parts["oracle"] = [_curves(t if forth else t.T, h) for t, h in zip(true, same, strict=True)]
            scores |= self._named(way, {name: _averaged(of, rows) for name, of in parts.items()})
        used = len(torch.cat(rows).unique())
        return scores | {
            "gallery": {"value": torch.tensor(self.gallery)},
            "queries": {"value": torch.tensor(used)},
        }

    def _drawn(self, n: int) -> list[Tensor]:
        """Return the observations of each gallery; of one alone where there is a single choice."""
        if n < self.gallery:
            raise ValueError(f"expected at least {self.gallery} observations, one gallery, got {n}")
        generator = torch.Generator().manual_seed(self.seed)
        count = 1 if n == self.gallery else self.galleries
        return [torch.randperm(n, generator=generator)[: self.gallery].to(self.device) for _ in range(count)]

    def _searched(self, queries: Tensor, gallery: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
        """Return P_i(k) of all queries and places, (n, n), and the same by chance."""
        n = len(queries)
        kind = torch.promote_types(queries.dtype, torch.float32)
        found = query_values(
            queries.to(kind), gallery.to(kind), TableRelevance(hits), tuple(range(1, n + 1)), self.distance
        )
        columns = [found.names.index(f"hit_rate_at_{k}") for k in (1, n)]
        return found.values[:, columns[0] : columns[1] + 1], found.chance[:, columns[0] : columns[1] + 1]

    def _named(self, way: str, curves: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Return the measures of curves P_i(k), (Q, n), and the interval of the value."""
        named: dict[str, dict[str, Tensor]] = {f"{way}/recall_at_{k}": {} for k in self.ks}
        named[f"{way}/median_rank"] = {}
        for part, curve in curves.items():
            for name, number in zip(named, self._measures(curve.mean(0, keepdim=True))[0], strict=True):
                named[name][part] = number
        drawn = self._measures(bootstrap_means(curves["value"], self.draws, self.seed))
        low, high = percentiles(drawn, self.level)
        for name, *ends in zip(named, low, high, strict=True):
            named[name] |= dict(zip(("low", "high"), ends, strict=True))
        return named

    def _measures(self, means: Tensor) -> Tensor:
        """Return recall at each k and the median rank of mean curves H(k), (S, n), float64 (S, M)."""
        median = (means >= HALF).double().argmax(1) + 1
        return torch.cat([means[:, [k - 1 for k in self.ks]], median[:, None].double()], 1)


def _same(identities: Tensor) -> Tensor:
    """Return which observations are identical in a view, bool (n, n)."""
    return (identities[:, None] == identities).any(-1)


def _true(attributes: Tensor, told: Tensor) -> Tensor:
    """Return of which observation i what is told of j is true, bool (n, n)."""
    return ((attributes[:, None] == told) | (told < 0)).all(-1)


def _curves(ahead: Tensor, hits: Tensor) -> Tensor:
    """Return P_i(k), (n, n), of an order in which some items are ahead and all others follow, tied both."""
    n = len(ahead)
    distances, order = (~ahead).double().sort(1)
    tied = ties(distances, hits.double().gather(1, order))
    ks = tuple(range(1, n + 1))
    first = measure_names(ks).index("hit_rate_at_1")
    values = ranked_values(tied, hits.sum(1), torch.ones_like(distances), ks)
    return values[:, first : first + n]


def _averaged(curves: list[Tensor], rows: list[Tensor]) -> Tensor:
    """Return the mean curve (Q, n) of each observation over the galleries that held it."""
    items, place = torch.cat(rows).unique(return_inverse=True)
    stacked = torch.cat(curves)
    total = torch.zeros(len(items), stacked.shape[1], dtype=stacked.dtype, device=stacked.device)
    counts = torch.bincount(place, minlength=len(items))
    return total.index_add_(0, place, stacked) / counts[:, None]
