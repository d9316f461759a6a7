r"""Whether a direction orders codes that it was not found from: the area under the ROC curve, by cross-validation.

    C = sum c_ij / P,    c_ij = 1, 1/2 or 0 as the scores of i and j are in the order of their attributes, tied, or not,

over the P pairs of codes with different attributes in one fold, scored by the direction of the other folds. For two
groups it is the AUC. Its variance is that of Hoeffding's projection, sum_u (sum_{i in u} sum_j (c_ij - C) / P)^2.

Reference: DeLong, DeLong & Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
characteristic curves" (1988), of which this is the general form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from lsgen.analysis.directions.noise import difference_of_pairs, regression
from lsgen.analysis.intervals import mean_interval
from lsgen.analysis.statistic import Statistic

__all__ = ["cross_validated_auc", "cross_validated_order"]

Array = NDArray[Any]
ENTRIES = 2**22


def cross_validated_auc(vectors: Array, attribute: Array, units: Array, folds: int, seed: int) -> Statistic:
    """Return how well directions order the attributes of codes they were not found from; NaN where none can.

    Args:
        vectors: (n, d).
        attribute: (n,).
        units: a number for each unit, (n,), whose codes are in one fold.
        folds: number of folds; as many as there are units where these are fewer.
        seed: seed of the folds.

    """
    fold = _folds(attribute, units, folds, np.random.default_rng(seed))
    right, pairs = np.zeros(len(attribute)), np.zeros(len(attribute))
    for number in range(int(fold.max()) + 1):
        held = np.flatnonzero(fold == number)
        rest = np.flatnonzero(fold != number)
        if len(rest) < 2 or np.ptp(attribute[rest]) == 0 or np.ptp(attribute[held]) == 0:
            continue
        direction = regression(vectors[rest], attribute[rest], units[rest]).vector
        right[held], pairs[held] = _placements(vectors[held] @ direction, attribute[held])
    total = pairs.sum() / 2
    if total == 0:
        return Statistic(float("nan"), len(attribute), None, 0.5, seed)
    value = float(right.sum() / 2 / total)
    parts = np.bincount(np.unique(units, return_inverse=True)[1], (right - value * pairs) / total)
    half = float(ndtri(0.975) * np.sqrt(np.square(parts).sum()))
    return Statistic(value, len(attribute), (max(value - half, 0.0), min(value + half, 1.0)), 0.5, seed)


def cross_validated_order(differences: Array, units: Array, folds: int, seed: int) -> Statistic:
    """Return the share of pairs that the direction of other pairs puts in order, ties half; NaN of a single unit."""
    fold = _folds(np.ones(len(differences)), units, folds, np.random.default_rng(seed))
    right = np.full(len(differences), np.nan)
    for number in range(int(fold.max()) + 1):
        held = fold == number
        if (~held).any():
            scores = differences[held] @ difference_of_pairs(differences[~held], units[~held]).vector
            right[held] = (1 + np.sign(scores)) / 2
    _, place = np.unique(units, return_inverse=True)
    of_units = np.bincount(place, right) / np.bincount(place)
    return Statistic(float(right.mean()), len(right), mean_interval(of_units, bounds=(0, 1)), 0.5, seed)


def _folds(attribute: Array, units: Array, folds: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of every code, (n,): units in random order of equal attributes are dealt out one by one."""
    _, place = np.unique(units, return_inverse=True)
    means = np.bincount(place, attribute) / np.bincount(place)
    order = np.lexsort((random.random(len(means)), means))
    dealt = np.empty(len(means), dtype=np.int64)
    dealt[order] = np.arange(len(means)) % min(folds, len(means))
    return dealt[place]


def _placements(scores: Array, attribute: Array) -> tuple[Array, Array]:
    """Return for each code the number of pairs with others that are in order, ties half, and of pairs, (m,) each."""
    if len(values := np.unique(attribute)) == 2:
        return _placements_of_groups(scores, attribute == values[1])
    size = max(1, ENTRIES // len(scores))
    right, pairs = np.zeros(len(scores)), np.zeros(len(scores))
    for first in range(0, len(scores), size):
        rows = slice(first, first + size)
        sign = np.sign(attribute[rows, None] - attribute)
        agree = sign * np.sign(scores[rows, None] - scores)
        pairs[rows] = np.abs(sign).sum(1)
        right[rows] = (pairs[rows] + agree.sum(1)) / 2
    return right, pairs


def _placements_of_groups(scores: Array, second: Array) -> tuple[Array, Array]:
    """Return the same for two groups, by sorting."""
    right = np.empty(len(scores))
    low, high = np.sort(scores[~second]), np.sort(scores[second])
    below = np.searchsorted(low, scores[second], "left") + np.searchsorted(low, scores[second], "right")
    above = np.searchsorted(high, scores[~second], "left") + np.searchsorted(high, scores[~second], "right")
    right[second], right[~second] = below / 2, len(high) - above / 2
    return right, np.where(second, len(low), len(high)).astype(float)
