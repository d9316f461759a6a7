r"""Directions of an attribute that means nothing: permutations of it, and flips of pairs.

Where every unit, such as the copies of one code, has one value of the attribute, units exchange theirs; where values
differ within units, they are exchanged within units alone. The differences of pairs change sign, all those of a unit
together.

What is compared is |D|^2 / T, the squared length over its expectation from noise (`lsgen.analysis.directions.noise`),
so that groups of unequal size and spread are no direction: for 10 codes of standard deviation 3 and 60 of 1 in 16
dimensions, without a difference of their means, |D|^2 alone has p <= 0.05 in 94 % of 200 draws, the ratio in 4 %. The
p-value is (1 + number of permutations with at least that ratio) / (1 + B).

Reference: Phipson & Smyth, "Permutation p-values should never be zero" (2010), https://doi.org/10.2202/1544-6115.1585;
Chung & Romano, "Exact and asymptotically robust permutation tests" (2013), https://doi.org/10.1214/13-AOS1090, for the
ratio.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.directions.noise import regression

__all__ = ["Null", "flipped_directions", "p_value", "permuted_directions", "ratio"]

Array = NDArray[Any]
ENTRIES, LARGEST = 2**21, 1e12


class Null(NamedTuple):
    """Directions of permutations.

    Attributes:
        squares: |D|^2, (B,).
        ratios: |D|^2 / T, (B,).

    """

    squares: NDArray[np.float64]
    ratios: NDArray[np.float64]


def permuted_directions(
    vectors: Array, attribute: Array, units: Array, permutations: int, random: np.random.Generator
) -> Null:
    """Return squared lengths of the directions of permuted attributes, as they are and over their noise.

    Args:
        vectors: (n, d).
        attribute: (n,).
        units: a number for each unit, (n,).
        permutations: number B.
        random: source of the permutations.

    """
    centred = vectors - vectors.mean(0)
    alone = len(np.unique(units)) == len(units)
    squares, noises = [], []
    for size in _sizes(permutations, len(attribute)):
        drawn = _permuted(attribute, units, size, random)
        if alone:
            square, noise = _squares_and_noises(centred, drawn)
        else:
            each = [regression(centred, y, units) for y in drawn]
            square = np.array([one.vector @ one.vector for one in each])
            noise = np.array([one.noise for one in each])
        squares.append(square)
        noises.append(noise)
    square, noise = np.concatenate(squares), np.concatenate(noises)
    return Null(square, ratio(square, noise))


def flipped_directions(differences: Array, units: Array, permutations: int, random: np.random.Generator) -> Null:
    """Return the same of pairs whose order is random; all pairs of a unit are turned together."""
    numbers, place = np.unique(units, return_inverse=True)
    sums = np.zeros((len(numbers), differences.shape[1]))
    np.add.at(sums, place, differences)
    n, squares = len(differences), []
    for size in _sizes(permutations, len(numbers)):
        signs = random.choice([-1.0, 1.0], size=(size, len(numbers)))
        squares.append(np.square(signs @ sums / n).sum(1))
    square = np.concatenate(squares)
    # T = (sum of squares - |D|^2 U) / (U - 1), up to units of unequal size, falls as |D|^2 grows: the order is the same
    noise = np.square(sums / n).sum() - square / len(numbers)
    return Null(square, ratio(square, noise * len(numbers) / max(len(numbers) - 1, 1)))


def ratio(square: Any, noise: Any) -> NDArray[np.float64]:
    """Return |D|^2 / T, at most 1e12, as T may be rounding; 0 where there is no direction."""
    square, noise = np.asarray(square, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    found = np.divide(square, noise, out=np.full(square.shape, LARGEST), where=noise > square / LARGEST)
    return np.where(square > 0, found, 0.0)


def p_value(observed: float, null: Array) -> float:
    """Return the share of permutations with at least the ratio that was observed, rounding aside."""
    return float(1 + (null >= observed * (1 - 1e-9)).sum()) / (1 + len(null))


def _squares_and_noises(centred: Array, drawn: Array) -> tuple[Array, Array]:
    """Return |D|^2 and T of attributes (B, n) of codes that are independent of each other."""
    x = drawn - drawn.mean(1, keepdims=True)
    total = np.square(x).sum(1, keepdims=True)
    direction = x @ centred / total
    square = np.square(direction).sum(1)
    residual = np.square(centred).sum(1) - 2 * x * (direction @ centred.T) + x**2 * square[:, None]
    leverage = 1 / x.shape[1] + x**2 / total
    left = np.where(leverage > 1 - 1e-12, np.inf, 1 / np.maximum(1 - leverage, 1e-12))
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isinf(left), np.inf, x**2 * np.maximum(residual, 0) * left)
    return square, (terms / total**2).sum(1)


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
