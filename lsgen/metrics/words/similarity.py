r"""Correlation of the similarities of words with how similar people find them.

Pearson's r of n pairs, and Spearman's rho, which is r of their ranks, the mean rank where values are equal. Intervals
are those of Fisher's z,

    tanh(artanh r +- q / sqrt(n - 3))                                Pearson
    tanh(artanh rho +- q sqrt((1 + rho^2 / 2) / (n - 3)))            Spearman

q the quantile of the normal distribution; they take pairs as independent, which pairs with a word in common are not
quite. What to do with pairs of which a word is not known is a choice that changes the number: they are left out
("drop"), or have the similarity 0 ("zero"), as gensim's `dummy4unknown` has it. Both are given.

Reference: Bonett & Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations" (2000).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["SimilarityCorrelation"]


class SimilarityCorrelation(Metric):
    """Correlations of similarities with ratings, with intervals, without unknown pairs and with 0 for them.

    `update(similarity, rating)` takes both (N,), the similarity NaN where a word is not known, as `pair_similarities`
    gives it; `compute()` returns under "drop" and "zero" the numbers `spearman`, `pearson`, and their ends
    `spearman_low`, `spearman_high`, `pearson_low`, `pearson_high`, all NaN where there are too few pairs or one side
    does not vary; and `known`, `pairs`, the numbers of pairs.

    Args:
        level: probability that an interval covers.

    Raises:
        ValueError: the level is not in (0, 1).

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    similarities: list[Tensor]
    known: list[Tensor]
    ratings: list[Tensor]

    def __init__(self, level: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < level < 1:
            raise ValueError(f"expected a level in (0, 1), got {level}")
        self.level = level
        for name in ("similarities", "known", "ratings"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, similarity: Tensor, rating: Tensor) -> None:
        """Add pairs.

        Raises:
            ValueError: the shapes are not (N,), or a rating is not finite.

        """
        if similarity.ndim != 1 or similarity.shape != rating.shape:
            raise ValueError(
                f"expected similarities and ratings (N,), got {tuple(similarity.shape)} and {tuple(rating.shape)}"
            )
        if not bool(rating.isfinite().all()):
            raise ValueError(f"expected finite ratings, got {int((~rating.isfinite()).sum())} that are not")
        known = ~similarity.isnan()
        self.similarities.append(similarity.detach().double().where(known, 0.0))
        self.known.append(known)
        self.ratings.append(rating.detach().double())

    def compute(self) -> dict[str, Any]:
        """Return the correlations of both policies, and the numbers of pairs."""
        x, known, y = (dim_zero_cat(state) for state in (self.similarities, self.known, self.ratings))
        return {
            "drop": self._correlations(x[known], y[known]),
            "zero": self._correlations(x, y),
            "known": known.sum(),
            "pairs": torch.tensor(len(x)),
        }

    def _correlations(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        q, n = NormalDist().inv_cdf((1 + self.level) / 2), len(x)
        found = dict[str, Tensor]()
        for name, value in (("spearman", _pearson(_ranks(x), _ranks(y))), ("pearson", _pearson(x, y))):
            spread = 1 + value.square() / 2 if name == "spearman" else torch.ones_like(value)
            half = q * (spread / (n - 3)).sqrt() if n > 3 else torch.full_like(value, torch.nan)
            centre = value.atanh()
            ends = {"": value, "_low": (centre - half).tanh(), "_high": (centre + half).tanh()}
            found |= {f"{name}{end}": one for end, one in ends.items()}
        return found


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    """Return Pearson's correlation; NaN where there is none."""
    if len(x) < 2:
        return x.new_tensor(torch.nan)
    a, b = (one - one.mean() for one in (x, y))
    norm = a.norm() * b.norm()
    flat = bool((x == x[0]).all()) or bool((y == y[0]).all())
    return x.new_tensor(torch.nan) if flat else (a @ b / norm).clamp(-1, 1)


def _ranks(x: Tensor) -> Tensor:
    """Return ranks, the mean of their places for equal values."""
    _, place, counts = x.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[place]
