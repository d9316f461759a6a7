r"""How much of a column the neighbours of codes explain, in one number for classes and for numbers.

    1 - sum_i e_i / sum_i e_i^0

e_i is the error of item i: of a class, whether it is not the most frequent one among its k nearest other codes (of
several, the first in their order); of a number, the square of what it is off their mean. e^0 is that of the plainest
guess, the most frequent class or the mean of all. 1 is everything, 0 no more than that guess; it is negative where
neighbours mislead. As no item is its own neighbour, nothing is fitted to what it is judged by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.intervals import mean_interval
from lsgen.analysis.probing.curves import column_of
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["explained_columns"]


def explained_columns(
    codes: Codes, columns: Sequence[str] | None = None, k: int = 10, points: int = 2000, seed: int = 0
) -> dict[str, Statistic]:
    """Return how much of each column the k nearest other codes explain, the most explained first.

    Args:
        codes: the codes (N, d), compared by the distance of their manifold.
        columns: names of columns; all unless given. Those that are no classes or numbers, do not vary, or have more
            than one class for every five items are left out.
        k: number of neighbours.
        points: of more codes, as many are drawn at random.
        seed: seed of that draw.

    Returns:
        By name 1 - (error over that of the plainest guess), whose interval takes the latter as known; by chance 0.

    Raises:
        ValueError: there are not more than k codes, or k is not positive.

    """
    if not 1 <= k < len(codes):
        raise ValueError(f"expected from 1 to {len(codes) - 1} neighbours among {len(codes)} codes, got {k}")
    drawn = seed if len(codes) > points else None
    if drawn is not None:
        codes = codes.select(np.sort(np.random.default_rng(seed).choice(len(codes), points, replace=False)))
    near = nearest_neighbours(codes.tensor(), None, k, distance_on(codes.manifold)).indices.numpy()
    found = {}
    for name in codes.columns if columns is None else columns:
        errors = _errors(codes, name, near)
        if errors is not None:
            own, plain = errors
            low, high = mean_interval(own) or (np.nan, np.nan)
            interval = (1 - high / plain, min(1.0, 1 - low / plain))
            found[name] = Statistic(1 - float(own.mean()) / plain, len(own), interval, 0.0, drawn)
    return dict(sorted(found.items(), key=lambda one: -one[1].value))


def _errors(codes: Codes, name: str, near: NDArray[np.int64]) -> tuple[NDArray[np.float64], float] | None:
    """Return the errors (n,) of the items that have a value, and that of the plainest guess; None where none varies."""
    try:
        values, kind, rows = column_of(codes, name)
    except ValueError:
        return None
    known = np.zeros(len(codes), dtype=bool)
    known[rows] = True
    rows = rows[known[near[rows]].any(1)]
    place = np.full(len(codes), -1)
    place[np.flatnonzero(known)] = np.arange(len(values))
    others = place[near[rows]]
    if kind == "regression":
        shown = np.where(others >= 0, values[others], np.nan)
        own = np.square(values[place[rows]] - np.nanmean(shown, axis=1)) if len(rows) else np.empty(0)
        plain = float(np.var(values[place[rows]])) if len(rows) else 0.0
        return (own, plain) if plain > 0 else None
    names, numbers = np.unique(values, return_inverse=True)
    if len(names) < 2 or len(names) > len(values) / 5:
        return None
    counts = np.zeros((len(rows), len(names)))
    for column in others.T:
        there = column >= 0
        np.add.at(counts, (np.flatnonzero(there), numbers[column[there]]), 1)
    truth = numbers[place[rows]]
    plain = 1 - float(np.bincount(truth, minlength=len(names)).max()) / max(len(rows), 1)
    return ((counts.argmax(1) != truth).astype(float), plain) if plain > 0 else None
