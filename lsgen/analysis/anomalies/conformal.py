r"""Conformal p-values: how strange an item is among ordinary ones that a score was not fitted to.

    p = (1 + #{i : s_i >= s}) / (n + 1)

for the scores s_1, ..., s_n of calibration items. If the item is exchangeable with them, P(p <= a) <= a for every a,
whatever the score; p is uniform on 1/(n + 1), ..., 1 where no two scores are equal. The p-values of several items that
share the calibration items are dependent.

Reference: Vovk, Gammerman & Shafer, "Algorithmic learning in a random world" (2005); Bates, Candes, Lei, Romano &
Sesia, "Testing for outliers with conformal p-values" (2023), https://arxiv.org/abs/2104.08279.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsgen.analysis.intervals import share_interval
from lsgen.analysis.statistic import Statistic

__all__ = ["conformal_p_values", "false_alarms"]


def conformal_p_values(calibration: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Return the conformal p-values of scores, greater scores being stranger.

    Args:
        calibration: scores of ordinary items that the score was not fitted to, (n,).
        scores: scores of the items that are judged, of any shape.

    Returns:
        p-values of the shape of `scores`, of which none is below 1/(n + 1).

    Raises:
        ValueError: there is no calibration item, or a score is NaN.

    """
    known, judged = np.asarray(calibration, dtype=float), np.asarray(scores, dtype=float)
    if known.ndim != 1 or not len(known):
        raise ValueError(f"expected calibration scores (n,), one or more, got shape {known.shape}")
    if np.isnan(known).any() or np.isnan(judged).any():
        raise ValueError("expected scores that are numbers, got NaN")
    at_least = len(known) - np.searchsorted(np.sort(known), judged, side="left")
    p: NDArray[np.float64] = (1 + at_least) / (len(known) + 1)
    return p


def false_alarms(p_values: ArrayLike, calibrated_by: int, alpha: float = 0.05, seed: int | None = None) -> Statistic:
    """Return the share of ordinary items with p <= alpha, which should not exceed alpha.

    Its interval is the exact binomial one for the effective number of items 1/(1/m + 1/n): the n calibration items,
    which all of the m items share, are drawn as well.

    Args:
        p_values: of m ordinary items, (m,).
        calibrated_by: the number n of calibration items.
        alpha: the level.
        seed: of what the p-values depend on.

    Raises:
        ValueError: there are no items.

    """
    p = np.asarray(p_values, dtype=float)
    if not p.size or calibrated_by < 1:
        raise ValueError(f"expected ordinary and calibration items, got {p.size} and {calibrated_by}")
    share, effective = float((p <= alpha).mean()), 1 / (1 / p.size + 1 / calibrated_by)
    return Statistic(share, p.size, share_interval(share * effective, effective), alpha, seed)
