r"""Directions of attributes: from one group of codes to another, along a value, from one code of a pair to the other.

All are found in the tangent space at the Frechet mean of the codes, which for flat codes is flat space itself, so that
directions of one table can be compared.

    groups    average of the second less average of the first
    values    slope of the regression of codes on the value, times its standard deviation
    pairs     average of the second of each pair less the first

Each has its reliability (`lsgen.analysis.directions.noise`), a permutation p-value, which says whether there is
a direction at all, and the AUC of held-out codes, which says whether one direction separates them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.directions.cross_validation import cross_validated_auc, cross_validated_order
from lsgen.analysis.directions.direction import Direction, Resampling
from lsgen.analysis.directions.noise import (
    Contributions,
    difference_of_pairs,
    regression,
    reliability,
    reliability_interval,
)
from lsgen.analysis.directions.permutations import flipped_directions, p_value, permuted_directions, ratio
from lsgen.analysis.statistic import Statistic
from lsgen.analysis.tangents import TangentSpace, tangent_space
from lsgen.latent import Codes
from lsgen.latent.columns import is_text, rows_with

__all__ = ["attribute_direction", "contributions_of", "group_direction", "pair_direction", "value_direction"]

Array = NDArray[Any]
FEW = 5


class _Sample(NamedTuple):
    """Rows, an attribute of each, and the units that they belong to."""

    rows: NDArray[np.int64]
    attribute: NDArray[np.float64]
    units: NDArray[np.int64]


def attribute_direction(
    codes: Codes,
    column: str,
    value: Any = None,
    *,
    units: Any = None,
    resampling: Resampling = Resampling(),
    space: TangentSpace | None = None,
) -> Direction:
    """Return the direction along which a column of metadata changes.

    Args:
        codes: the codes, with the column.
        column: its name; codes for which it is missing are left out.
        value: what the second group has and the first has not. Unless given, a column of two values gives two groups,
            in their order, and one of more numbers is regressed on.
        units: what codes that are not independent of each other have in common, (N,).
        resampling: numbers of permutations and folds, and the seed.
        space: the tangent space; that at the Frechet mean of all codes unless given.

    Raises:
        ValueError: there is no such column, it has no or only that value, or text of more than two values.

    """
    if column not in codes.columns:
        raise ValueError(f"expected a column out of {', '.join(codes.columns) or 'none'}, got {column!r}")
    values = codes.columns[column]
    missing = rows_with(column, values, None)
    present = np.unique(values[~missing].astype(str) if is_text(values) else values[~missing])
    if value is not None or len(present) == 2:
        wanted = present[1] if value is None else value
        second = (values == wanted) & ~missing
        name = f"{column} = {wanted}"
        return group_direction(
            codes, ~second & ~missing, second, name=name, units=units, resampling=resampling, space=space
        )
    if len(present) < 2:
        raise ValueError(f"expected a column of at least two values, got {column!r} with {len(present)}")
    if values.dtype.kind not in "iuf":
        raise ValueError(
            f"expected a value of the column {column!r}, which has {len(present)} that are no numbers, got none"
        )
    return value_direction(codes, values, name=column, units=units, resampling=resampling, space=space)


def group_direction(
    codes: Codes,
    first: Any,
    second: Any,
    *,
    name: str = "groups",
    units: Any = None,
    resampling: Resampling = Resampling(),
    space: TangentSpace | None = None,
) -> Direction:
    """Return the direction from the average of one group of codes to that of another.

    Args:
        codes: the codes (N, d).
        first: a mask (N,) or rows of the first group, at least two.
        second: those of the second.
        name: what the attribute is called.
        units: what codes that are not independent of each other have in common, such as copies of one, (N,).
        resampling: numbers of permutations and folds, and the seed.
        space: the tangent space; that at the Frechet mean of all codes unless given.

    Raises:
        ValueError: a group has fewer than two codes, there is no such code, or a code is in both.

    """
    a, b = (_rows(group, len(codes)) for group in (first, second))
    if min(len(a), len(b)) < 2:
        raise ValueError(f"expected two groups of at least 2 codes each, got {len(a)} and {len(b)}")
    if shared := len(np.intersect1d(a, b)):
        raise ValueError(f"expected two groups without a code in common, got {shared} in both")
    rows = np.concatenate([a, b])
    attribute = np.repeat([0.0, 1.0], [len(a), len(b)])
    sample = _Sample(rows, attribute, _units(units, len(codes))[rows])
    remarks = [f"A group has {size} codes: take it as a hint." for size in (len(a), len(b)) if size < FEW]
    return _found(codes, sample, name, resampling, space, remarks)


def value_direction(
    codes: Codes,
    values: Any,
    *,
    name: str = "value",
    units: Any = None,
    resampling: Resampling = Resampling(),
    space: TangentSpace | None = None,
) -> Direction:
    """Return the direction in which codes move with a value, by one standard deviation of it.

    Args:
        codes: the codes (N, d).
        values: numbers (N,); codes with NaN are left out.
        name: what the value is called.
        units: what codes that are not independent of each other have in common, (N,).
        resampling: numbers of permutations and folds, and the seed.
        space: the tangent space; that at the Frechet mean of all codes unless given.

    Raises:
        ValueError: there are fewer than three values, they are all equal, infinite or of another number.

    """
    y = np.asarray(values, dtype=np.float64)
    if y.shape != (len(codes),) or np.isinf(y).any():
        raise ValueError(f"expected {len(codes)} finite values, NaN where one is missing, got shape {y.shape}")
    rows = np.flatnonzero(~np.isnan(y))
    if len(rows) < 3 or np.ptp(y[rows]) == 0:
        raise ValueError(f"expected at least 3 values that are not all equal, got {len(rows)}")
    standard = (y[rows] - y[rows].mean()) / y[rows].std()
    remarks = [f"There are {len(rows)} values: take it as a hint."] if len(rows) < 2 * FEW else []
    sample = _Sample(rows, standard, _units(units, len(codes))[rows])
    return _found(codes, sample, name, resampling, space, remarks)


def pair_direction(
    codes: Codes,
    pairs: Any,
    *,
    name: str = "pairs",
    units: Any = None,
    resampling: Resampling = Resampling(),
    space: TangentSpace | None = None,
) -> Direction:
    """Return the average difference of the second code of each pair and the first.

    Args:
        codes: the codes (N, d).
        pairs: rows of the first and the second code of each, (n, 2), at least two pairs.
        name: what the attribute is called.
        units: what pairs that are not independent of each other have in common, (n,).
        resampling: numbers of permutations and folds, and the seed.
        space: the tangent space; that at the Frechet mean of all codes unless given.

    Raises:
        ValueError: there are fewer than two pairs, there is no such code, or a code is paired with itself.

    """
    rows = np.asarray(pairs)
    if rows.ndim != 2 or rows.shape[1] != 2 or len(rows) < 2 or rows.dtype.kind not in "iu":
        raise ValueError(f"expected rows of at least 2 pairs, (n, 2), got {rows.dtype} {rows.shape}")
    if not 0 <= int(rows.min()) <= int(rows.max()) < len(codes) or (rows[:, 0] == rows[:, 1]).any():
        raise ValueError(f"expected pairs of different rows from 0 to {len(codes) - 1}, got others")
    sample = _Sample(rows.astype(np.int64), np.ones(len(rows)), _units(units, len(rows)))
    remarks = [f"There are {len(rows)} pairs: take it as a hint."] if len(rows) < FEW else []
    if units is None and len(np.unique(rows)) < rows.size:
        remarks.append("Pairs have codes in common, and were taken as independent of each other.")
    return _found(codes, sample, name, resampling, space, remarks)


def contributions_of(vectors: Array, direction: Direction) -> Contributions:
    """Return a direction again from all tangent vectors (N, d), with what each of its units adds to its noise."""
    return _contributions(vectors, _Sample(direction.rows, direction.attribute, direction.units))


def _contributions(vectors: Array, sample: _Sample) -> Contributions:
    if sample.rows.ndim == 2:
        return difference_of_pairs(vectors[sample.rows[:, 1]] - vectors[sample.rows[:, 0]], sample.units)
    return regression(vectors[sample.rows], sample.attribute, sample.units)


def _found(
    codes: Codes,
    sample: _Sample,
    name: str,
    resampling: Resampling,
    space: TangentSpace | None,
    remarks: list[str],
) -> Direction:
    """Return the direction of a sample with all that is known of it."""
    space = tangent_space(codes) if space is None else space
    vectors, random = space.vectors(codes.z), np.random.default_rng(resampling.seed)
    found = _contributions(vectors, sample)
    rows, units, n = sample.rows, sample.units, len(sample.rows)
    options = resampling.folds, resampling.seed
    if rows.ndim == 2:
        differences = vectors[rows[:, 1]] - vectors[rows[:, 0]]
        null = flipped_directions(differences, units, resampling.permutations, random)
        auc = cross_validated_order(differences, units, *options)
    else:
        null = permuted_directions(vectors[rows], sample.attribute, units, resampling.permutations, random)
        auc = cross_validated_auc(vectors[rows], sample.attribute, units, *options)
    used = codes.z[np.unique(rows)]
    if len(np.unique(units)) == n and (copies := len(used) - len(np.unique(used, axis=0))):
        remarks = [*remarks, f"{copies} codes are copies of others, and were taken as independent: give units."]
    square = float(found.vector @ found.vector)
    along = vectors @ found.vector / (square**0.5 if square > 0 else 1)
    return Direction(
        name,
        found.vector,
        space,
        rows,
        sample.attribute,
        units,
        Statistic(reliability(found), n, reliability_interval(found, null.ratios), 0.0, resampling.seed),
        Statistic(square**0.5, n, None, float(null.squares.mean()) ** 0.5, resampling.seed),
        p_value(float(ratio(square, found.noise)), null.ratios),
        auc,
        float(along.std()),
        tuple(remarks),
    )


def _rows(group: Any, n: int) -> NDArray[np.int64]:
    """Return rows from a mask or rows, each once."""
    array = np.asarray(group)
    if array.dtype == bool and array.shape == (n,):
        return np.flatnonzero(array)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and not 0 <= array.min() <= array.max() < n):
        raise ValueError(f"expected a mask of {n} codes, or rows from 0 to {n - 1}, got {array.dtype} {array.shape}")
    return np.unique(array).astype(np.int64)


def _units(units: Any, n: int) -> NDArray[np.int64]:
    """Return a number for each unit; each code is one unless units are given."""
    if units is None:
        return np.arange(n)
    array = np.asarray(units)
    if array.shape != (n,):
        raise ValueError(f"expected the unit of each of {n}, got shape {array.shape}")
    return np.unique(array.astype(str) if array.dtype.kind == "O" else array, return_inverse=True)[1]
