r"""How well a score tells strange items from ordinary ones: AUROC, AUPR and FPR at 95 % TPR, with their intervals.

With scores sorted from the strangest down, ties together, TPR_i and FPR_i the shares of strange and of ordinary items
at or above threshold i, and P_i the share of strange ones among all there,

    AUROC = sum_i (FPR_i - FPR_{i-1}) (TPR_i + TPR_{i-1})/2,      = P(strange > ordinary) + P(equal)/2
    AUPR  = sum_i (TPR_i - TPR_{i-1}) P_i                         average precision
    FPR@95TPR = min { FPR_i : TPR_i >= 0.95 }.

By chance they are 1/2, the share of strange items, and 0.95. Intervals are quantiles over resamples of the strange and
of the ordinary items, apart from one another.

Reference: Hendrycks & Gimpel, "A baseline for detecting misclassified and out-of-distribution examples" (2017),
https://arxiv.org/abs/1610.02136; Davis & Goadrich, "The relationship between precision-recall and ROC curves" (2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsgen.analysis.intervals import check_level, percentile_interval
from lsgen.analysis.statistic import Statistic

__all__ = ["Detection", "detection"]

TPR = 0.95
ENTRIES = 2**22


@dataclass(frozen=True)
class Detection:
    """How well a score tells strange items from ordinary ones.

    Attributes:
        auroc: probability that a strange item has a greater score than an ordinary one, ties counted as half.
        aupr: average precision, strange items being what is sought.
        fpr95: share of ordinary items above the threshold that finds 95 % of the strange ones.
        fpr: shares of ordinary items at or above each threshold, from 0 to 1, (T,).
        tpr: shares of strange items there, (T,).

    """

    auroc: Statistic
    aupr: Statistic
    fpr95: Statistic
    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]


def detection(
    scores: ArrayLike, strange: ArrayLike, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Detection:
    """Return how well scores tell strange items from ordinary ones.

    Args:
        scores: one for each item, greater where it is stranger, (N,).
        strange: which items are strange, (N,).
        resamples: number of resamples for the intervals.
        seed: seed of the resamples.
        level: coverage of the intervals.

    Raises:
        ValueError: shapes differ, a score is NaN, or items are all strange or all ordinary.

    """
    check_level(level)
    values, mask = np.asarray(scores, dtype=float), np.asarray(strange)
    if values.ndim != 1 or values.shape != mask.shape or mask.dtype != bool:
        raise ValueError(f"expected scores and truth values (N,), got {values.shape} and {mask.dtype} {mask.shape}")
    if np.isnan(values).any():
        raise ValueError(f"expected scores that are numbers, got {int(np.isnan(values).sum())} NaN")
    if not 0 < (many := int(mask.sum())) < len(mask):
        raise ValueError(f"expected strange and ordinary items, got {many} and {len(mask) - many}")
    if resamples < 1:
        raise ValueError(f"expected one resample or more, got {resamples}")
    place = np.unique(-values, return_inverse=True)[1]
    counts = np.stack([np.bincount(place[side], minlength=place.max() + 1) for side in (mask, ~mask)])
    fpr, tpr = (np.concatenate([[0.0], np.cumsum(side) / side.sum()]) for side in (counts[1], counts[0]))
    found = [part[0] for part in _summaries(counts[0][None], counts[1][None])]
    drawn = _resampled(counts, resamples, np.random.default_rng(seed))
    chance = (0.5, many / len(mask), TPR)
    auroc, aupr, fpr95 = (
        Statistic(float(value), len(mask), percentile_interval(draws, level), baseline, seed, level)
        for value, draws, baseline in zip(found, drawn, chance, strict=True)
    )
    return Detection(auroc, aupr, fpr95, fpr, tpr)


def _summaries(
    strange: NDArray[np.int64], ordinary: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return AUROC, AUPR and FPR@95TPR (B,) of counts of items (B, T) at falling thresholds."""
    tp, fp = strange.cumsum(1), ordinary.cumsum(1)
    positive, negative = tp[:, -1:], fp[:, -1:]
    auroc = ((tp - strange / 2) * ordinary).sum(1) / (positive * negative)[:, 0]
    precision = tp / np.maximum(tp + fp, 1)
    aupr = (strange * precision).sum(1) / positive[:, 0]
    enough = (tp >= TPR * positive * (1 - 1e-12)).argmax(1)
    fpr = fp[np.arange(len(fp)), enough] / negative[:, 0]
    return auroc, aupr, fpr


def _resampled(counts: NDArray[np.int64], resamples: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return the three summaries (B,) of resamples of both kinds of items."""
    size = max(1, ENTRIES // counts.shape[1])
    parts = []
    for first in range(0, resamples, size):
        rows = min(size, resamples - first)
        drawn = [rng.multinomial(side.sum(), side / side.sum(), size=rows) for side in counts]
        parts.append(_summaries(drawn[0], drawn[1]))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]
