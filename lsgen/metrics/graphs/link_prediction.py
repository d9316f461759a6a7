r"""Link prediction: how well scores of pairs tell links from pairs that are none.

    AUC       P(score of a link > that of a non-link) + P(equal)/2
    AP        mean over the links of the precision of the list that ends with the link
    Hits@k    share of the links before the k-th non-link

Pairs with the same score come in no order: each number is its mean over all their orders, see
`lsgen.metrics.graphs.tied_orders`. So scores that are all equal give exactly the level of chance. (AP of scikit-learn
takes tied pairs as one step; it is the same where there is no tie.)

Intervals are percentiles of a bootstrap over the links and over the non-links, apart from one another: the network, the
split and the scores are taken as given, and pairs as independent.

Reference: Liben-Nowell & Kleinberg, "The link-prediction problem for social networks" (2007); Hu et al., "Open graph
benchmark" (2020), https://arxiv.org/abs/2005.00687, section 5, for Hits@k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.metrics.graphs.tied_orders import expected_hit, expected_precision
from lsgen.metrics.retrieval.scores import percentiles

__all__ = ["LinkPrediction"]

ENTRIES = 2**20


class LinkPrediction(Metric):
    """AUC, average precision and Hits@k of scores of pairs of nodes.

    `update(score, link)` takes scores (B,), greater for more probable links, and whether the pairs are links (B,).

    Args:
        ks: numbers of non-links that hits come before.
        level: probability that an interval covers.
        draws: bootstrap samples; 0 for no intervals.
        seed: of the samples.

    Raises:
        ValueError: a place, the level or the number of draws is out of its range.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    scores: list[Tensor]
    links: list[Tensor]

    def __init__(
        self, ks: Sequence[int] = (10, 50, 100), level: float = 0.95, draws: int = 1000, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if any(k < 1 for k in ks) or not 0 < level < 1 or draws < 0:
            got = f"{list(ks)}, {level} and {draws}"
            raise ValueError(f"expected places of at least 1, a level in (0, 1) and at least 0 draws, got {got}")
        self.ks, self.level, self.draws, self.seed = tuple(ks), level, draws, seed
        for name in ("scores", "links"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the measures."""
        return ("auc", "ap", *(f"hits_at_{k}" for k in self.ks))

    def update(self, score: Tensor, link: Tensor) -> None:
        """Add pairs.

        Raises:
            ValueError: the shapes are not (B,), what says which are links holds other numbers than 0 and 1, or a score
                is NaN.

        """
        if score.ndim != 1 or score.shape != link.shape:
            raise ValueError(f"expected scores and links (B,), got {tuple(score.shape)} and {tuple(link.shape)}")
        if link.dtype != torch.bool and not bool(((link == 0) | (link == 1)).all()):
            raise ValueError("expected links as truth values, or as 0 and 1, got other numbers")
        if bool((wrong := score.isnan()).any()):
            raise ValueError(f"expected scores that are numbers, got {int(wrong.sum())} NaN")
        self.scores.append(score.detach().double())
        self.links.append(link.detach().bool())

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return for each measure its `value`, the level of `chance` and the ends `low` and `high` of its interval.

        Under "pairs", "value" counts the links and "others" the non-links.

        Raises:
            ValueError: there are no links, or no non-links.

        """
        scores, links = dim_zero_cat(self.scores), dim_zero_cat(self.links)
        many, others = int(links.sum()), int((~links).sum())
        if not many or not others:
            raise ValueError(f"expected links and pairs that are none, got {many} and {others}")
        levels, place = (-scores).unique(return_inverse=True)
        counts = _Counts(*(torch.bincount(place[side], minlength=len(levels))[None] for side in (links, ~links)))
        values = _measures(counts, self.ks)[0]
        every = torch.ones(1, 1, dtype=torch.int64, device=scores.device)
        chance = _measures(_Counts(many * every, others * every), self.ks)[0]
        found = {name: {"value": values[i], "chance": chance[i]} for i, name in enumerate(self.names)}
        if self.draws:
            low, high = self._interval(counts)
            for i, name in enumerate(self.names):
                found[name] |= {"low": low[i], "high": high[i]}
        return {**found, "pairs": {"value": torch.tensor(many), "others": torch.tensor(others)}}

    def _interval(self, counts: _Counts) -> Tensor:
        """Return the ends (2, M) of the intervals of the measures."""
        generator, parts = torch.Generator().manual_seed(self.seed), []
        total = max(int(side.sum()) for side in counts)
        places = torch.arange(counts.links.shape[1], device=counts.links.device)
        owners = [places.repeat_interleave(side[0]) for side in counts]
        for size in torch.ones(self.draws).split(max(1, ENTRIES // total)):
            drawn = _Counts(*(_resampled(owner, len(places), len(size), generator) for owner in owners))
            parts.append(_measures(drawn, self.ks))
        return percentiles(torch.cat(parts), self.level)


class _Counts(NamedTuple):
    """Numbers of links and of non-links with each score, the greatest score first, int64 (S, T) in S samples."""

    links: Tensor
    others: Tensor


def _measures(counts: _Counts, ks: Sequence[int]) -> Tensor:
    """Return AUC, AP and Hits@k of every sample, float64 (S, M)."""
    r, u = counts
    total, others = r.sum(1), u.sum(1)
    sample, level = r.nonzero(as_tuple=True)
    a, t = ((side.cumsum(1) - side)[sample, level] for side in counts)
    r, u = r[sample, level], u[sample, level]

    def mean(values: Tensor) -> Tensor:
        return torch.zeros_like(total, dtype=torch.float64).scatter_add_(0, sample, r * values) / total

    auc = mean((others[sample] - t).double() - u.double() / 2) / others
    ap = mean(expected_precision(a + t, r + u, a, r))
    return torch.stack([auc, ap, *(mean(expected_hit(t, u, k)) for k in ks)], 1)


def _resampled(owner: Tensor, levels: int, draws: int, generator: torch.Generator) -> Tensor:
    """Return how many items of each of T levels are among as many as there are, drawn with replacement, (S, T)."""
    chosen = torch.randint(len(owner), (draws, len(owner)), generator=generator).to(owner.device)
    drawn = owner.new_zeros(draws, levels)
    return drawn.scatter_add_(1, owner[chosen], torch.ones_like(chosen))
