r"""The gap between two views of the same observations: codes of either lie in regions of their own.

With codes a_n and b_n of N observations, d_n = a_n - b_n and Delta = mean_n d_n,

    gap        |Delta|                      by chance sqrt(tr Cov(d) / N), if the means were the same
    centred    the same of directions of a_n - mean a and b_n - mean b
    pairs      mean_n <a_n, b_n>,           others   mean over n != m of <a_n, b_m>

The gap is there before training, as each encoder maps into a cone of its own, and the loss keeps it where the
temperature is low. How the loss would change if it were closed is seen by moving the views towards one another,

    a_n(t) ~ a_n - t Delta/2,    b_n(t) ~ b_n + t Delta/2,    t from 0, as they are, to 1, where their means meet,

directions again, at several temperatures.

Reference: Liang et al., "Mind the gap: understanding the modality gap in multi-modal contrastive representation
learning" (2022), https://arxiv.org/abs/2203.02053, section 4 for the loss on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.metrics.retrieval.scores import bootstrap_means, percentiles
from lsgen.models.multimodal.contrastive import InfoNCE

__all__ = ["ModalityGap", "centred_directions", "losses_along_gap"]


class ModalityGap(Metric):
    """The distance between the mean codes of two views, and how alike pairs are, in codes that are directions.

    Args:
        level: probability that an interval covers.
        draws: bootstrap samples of the observations.
        seed: of them.

    Raises:
        ValueError: the level is not in (0, 1), or there is no draw.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    first: list[Tensor]
    second: list[Tensor]

    def __init__(self, level: float = 0.95, draws: int = 500, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < level < 1 or draws < 1:
            raise ValueError(f"expected a level in (0, 1) and at least 1 draw, got {level} and {draws}")
        self.level, self.draws, self.seed = level, draws, seed
        self.add_state("first", [], dist_reduce_fx="cat")
        self.add_state("second", [], dist_reduce_fx="cat")

    def update(self, codes: Tensor, others: Tensor) -> None:
        """Add the codes of both views of observations, (B, d) each; their lengths do not count.

        Raises:
            ValueError: shapes do not fit.

        """
        if codes.ndim != 2 or codes.shape != others.shape:
            raise ValueError(f"expected two views of codes (B, d), got {tuple(codes.shape)} and {tuple(others.shape)}")
        self.first.append(codes.detach())
        self.second.append(others.detach())

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return "distance", "centred", "pairs" and "others", each its `value`; the first with interval and `chance`.

        Raises:
            ValueError: there are fewer than two observations, or a code is zero or not finite.

        """
        a, b = (dim_zero_cat(part).double() for part in (self.first, self.second))
        if len(a) < 2:
            raise ValueError(f"expected at least two observations, got {len(a)}")
        if not bool((a.isfinite() & b.isfinite()).all() & a.any(1).all() & b.any(1).all()):
            raise ValueError("expected finite codes that have a direction, got others")
        a, b = normalize(a, dim=1), normalize(b, dim=1)
        apart, n = a - b, len(a)
        chance = ((apart - apart.mean(0)).square().sum() / (n - 1) / n).sqrt()
        drawn = torch.linalg.vector_norm(bootstrap_means(apart, self.draws, self.seed), dim=1, keepdim=True)
        low, high = percentiles(drawn, self.level)[:, 0]
        total, pairs = a.sum(0) @ b.sum(0), (a * b).sum()
        centred = centred_directions(a).mean(0) - centred_directions(b).mean(0)
        gap = torch.linalg.vector_norm(apart.mean(0))
        return {
            "distance": {"value": gap, "low": low, "high": high, "chance": chance},
            "centred": {"value": torch.linalg.vector_norm(centred)},
            "pairs": {"value": pairs / n},
            "others": {"value": (total - pairs) / (n * (n - 1))},
        }


def centred_directions(codes: Tensor) -> Tensor:
    """Return the directions (N, d) of codes about their mean."""
    return normalize(codes - codes.mean(0), dim=1)


@torch.no_grad()
def losses_along_gap(a: Tensor, b: Tensor, shifts: Sequence[float], temperatures: Sequence[float]) -> Tensor:
    """Return the InfoNCE loss of two views that are moved towards one another, (temperatures, shifts), in nats.

    Args:
        a: unit codes of one view, (N, d).
        b: unit codes of the other view of the same observations, (N, d).
        shifts: shares t of the gap by which they are moved; negative ones widen it.
        temperatures: of the loss.

    Raises:
        ValueError: a temperature is not positive.

    """
    gap, rows = a.mean(0) - b.mean(0), []
    losses = [InfoNCE(temperature, most=inf).to(a) for temperature in temperatures]
    for t in shifts:
        x, y = normalize(a - t / 2 * gap, dim=1), normalize(b + t / 2 * gap, dim=1)
        rows.append(torch.stack([loss(x, y) for loss in losses]))
    return torch.stack(rows, 1)
