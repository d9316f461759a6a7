r"""Directions of an attribute that means nothing: permutations of it, and flips of pairs.

Where every unit, such as the copies of one code, has one value of the attribute, units exchange theirs; where values
differ within units, they are exchanged within units alone. The differences of pairs change sign, all those of a unit
together. The p-value is (1 + number of |D*|^2 >= |D|^2) / (1 + B).

Reference: Phipson & Smyth, "Permutation p-values should never be zero" (2010), https://doi.org/10.2202/1544-6115.1585.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["flipped_lengths", "p_value", "permuted_lengths"]

Array = NDArray[Any]
ENTRIES = 2**22


def permuted_lengths(
    vectors: Array, attribute: Array, units: Array, permutations: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return |D|^2 of permuted attributes, (B,).

    Args:
        vectors: (n, d).
        attribute: (n,).
        units: a number for each unit, (n,).
        permutations: number B.
        random: source of the permutations.

    """
    centred = vectors - vectors.mean(0)
    found = []
    for size in _sizes(permutations, len(attribute)):
        x = _permuted(attribute, units, size, random)
        x = x - x.mean(1, keepdims=True)
        total = np.square(x).sum(1)
        found.append(np.square(x @ centred).sum(1) / np.where(total > 0, total, np.inf) ** 2)
    return np.concatenate(found)


def flipped_lengths(
    differences: Array, units: Array, permutations: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return |D|^2 of pairs whose order is random, (B,); all pairs of a unit are turned together."""
    _, place = np.unique(units, return_inverse=True)
    found = []
    for size in _sizes(permutations, len(differences)):
        signs = random.choice([-1.0, 1.0], size=(size, place.max() + 1))[:, place]
        found.append(np.square(signs @ differences / len(differences)).sum(1))
    return np.concatenate(found)


def p_value(square: float, null: Array) -> float:
    """Return the share of permutations with a direction at least as long, rounding aside."""
    return float(1 + (null >= square * (1 - 1e-9)).sum()) / (1 + len(null))


def _permuted(attribute: Array, units: Array, size: int, random: np.random.Generator) -> Array:
    numbers, first, place = np.unique(units, return_index=True, return_inverse=True)
    if len(numbers) == len(units):
        return random.permuted(np.tile(attribute, (size, 1)), axis=1)
    own = attribute[first]
    if (own[place] == attribute).all():
        return random.permuted(np.tile(own, (size, 1)), axis=1)[:, place]
    order = np.argsort(place, kind="stable")
    keys = random.random((size, len(units)))
    shuffled = np.lexsort((keys, np.broadcast_to(place, keys.shape)), axis=1)
    found = np.empty((size, len(units)))
    found[:, order] = attribute[shuffled]
    return found


def _sizes(permutations: int, n: int) -> Iterator[int]:
    size = max(1, ENTRIES // n)
    return (min(size, permutations - first) for first in range(0, permutations, size))
