"""Analogies between groups of codes: from one value of an attribute to another, at two values of a second attribute.

The items are the averages (on a curved manifold the Frechet means) of the codes with each pair of values. The question
is: what (x, u) is to (y, u), (x, v) is to what? The answer (y, v) is right if moving from x to y does the same to codes
with v as to codes with u.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.analogies.evaluation import AnalogyEvaluation, evaluate_analogies
from lsgen.analysis.tangents import tangent_space
from lsgen.latent import Codes
from lsgen.latent.columns import rows_with
from lsgen.latent.manifolds.manifold import Euclidean
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["attribute_analogies"]


def attribute_analogies(
    codes: Codes,
    first: str,
    second: str,
    method: str | None = None,
    *,
    least: int = 2,
    questions: int = 2000,
    seed: int = 0,
) -> AnalogyEvaluation:
    """Return how many analogies the averages of the groups of two attributes answer.

    Args:
        codes: the codes (N, d), with both columns.
        first: column of the attribute that changes within a pair; codes for which it is missing are left out.
        second: column of the attribute that differs between the two pairs of a question.
        method: a name in `ANALOGY_METHODS`; `offset` for flat codes and `transport` for others unless given.
        least: number of codes of a group, below which it is left out.
        questions: of more, as many are drawn at random.
        seed: seed of that draw.

    Raises:
        ValueError: there is no such column, codes cannot be averaged, or there are fewer than five groups or no two
            values of each column with all four groups.

    """
    if not codes.manifold.continuous and not isinstance(codes.manifold, Simplex):
        raise ValueError(f"expected codes that have an average, got isolated points on {codes.manifold}")
    averages, cells = _averages(codes, first, second, least)
    rows, columns = cells.max(0) + 1 if len(cells) else (0, 0)
    there = np.zeros((rows, columns), dtype=bool)
    there[tuple(cells.T)] = True
    asked = [
        ((x, u), (y, u), (x, v), (y, v))
        for x, y in permutations(range(rows), 2)
        for u, v in permutations(range(columns), 2)
        if there[x, u] and there[y, u] and there[x, v] and there[y, v]
    ]
    if len(averages) < 5 or not asked:
        raise ValueError(
            f"expected at least 5 groups of {least} codes or more by {first!r} and {second!r}, two values of each "
            f"together, got {len(averages)} groups and {len(asked)} questions"
        )
    if len(asked) > questions:
        chosen = np.random.default_rng(seed).choice(len(asked), questions, replace=False)
        asked = [asked[i] for i in np.sort(chosen).tolist()]
    place = {tuple(cell): name for cell, name in zip(cells.tolist(), averages.ids.tolist(), strict=True)}
    flat = isinstance(codes.manifold, Euclidean)
    chosen_method = ("offset" if flat else "transport") if method is None else method
    return evaluate_analogies(averages, [[place[cell] for cell in one] for one in asked], None, chosen_method)


def _averages(codes: Codes, first: str, second: str, least: int) -> tuple[Codes, NDArray[Any]]:
    """Return the averages of all groups that are large enough, and the numbers of their two values, (G, 2)."""
    known, numbers, names = np.ones(len(codes), dtype=bool), [], []
    for column in (first, second):
        if column not in codes.columns:
            raise ValueError(f"expected a column out of {', '.join(codes.columns) or 'none'}, got {column!r}")
        known &= ~rows_with(column, codes.columns[column], None)
    for column in (first, second):
        values, place = np.unique(codes.columns[column][known].astype(str), return_inverse=True)
        numbers.append(place)
        names.append([f"{column} = {value}" for value in values])
    rows = np.flatnonzero(known)
    cells, place, sizes = np.unique(np.stack(numbers, 1), axis=0, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(sizes >= least)
    place = place.ravel()
    zero = np.zeros((1, codes.dim))
    means = [tangent_space(codes.select(rows[place == cell])).codes(zero)[0] for cell in kept]
    ids = [f"{names[0][cells[cell, 0]]}, {names[1][cells[cell, 1]]}" for cell in kept]
    if not means:
        raise ValueError(f"expected groups of {least} codes or more by {first!r} and {second!r}, got none")
    return Codes(np.stack(means), ids, codes.manifold), cells[kept]
