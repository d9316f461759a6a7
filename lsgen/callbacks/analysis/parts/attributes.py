"""Directions of codes along which classes and factors change: how far to rely on each, what moving along it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen import viz
from lsgen.analysis import Statistic
from lsgen.analysis.directions import (
    Direction,
    Leakage,
    Resampling,
    attribute_direction,
    attribute_probes,
    compare_directions,
    leakage,
    pair_alignment,
)
from lsgen.analysis.tangents import tangent_space
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import CLASSES, Subject, unused
from lsgen.latent import Euclidean
from lsgen.latent.columns import is_text

__all__ = ["directions"]

ALIGNED = 100  # codes of a group whose pairs are aligned


def directions(subject: Subject, found: Findings) -> None:
    """Log reliability, permutation p-value and cross-validated AUC of the direction of every class and factor.

    Beside them stand the score of Latent Space Cartography, and what moving codes along each direction changes of its
    own and of the other attributes. Vectors and the cosines between them, corrected for noise, are written as arrays.
    """
    known: dict[str, Direction] = {}
    columns: dict[str, str] = {}
    for column, name, direction in _found(subject, found):
        key = f"analysis/direction/{name}"
        found.add(f"{key}/reliability", direction.reliability)
        found.add(f"{key}/auc", direction.auc)
        found.numbers({f"{key}/p": direction.p_value})
        if isinstance(subject.codes.manifold, Euclidean) and set(direction.attribute.tolist()) == {0.0, 1.0}:
            found.add(f"{key}/pair_alignment", _alignment(subject, direction))
        known[name], columns[name] = direction, column
    if not known:
        return
    arrays = {"names": np.array(list(known)), "vectors": np.stack([one.vector for one in known.values()])}
    if len(known) > 1:
        alike = compare_directions(subject.codes, list(known.values()))
        arrays |= {"cosines": alike.corrected, "intervals": alike.intervals, "shared": alike.shared}
        arrays |= _leakage(subject, found, known, columns)
    found.sink.arrays("analysis/directions", **arrays)


def _alignment(subject: Subject, direction: Direction) -> Statistic:
    """Return the score of Latent Space Cartography of two groups, of up to 100 codes of each."""
    random = np.random.default_rng(subject.seed)
    groups = [direction.rows[direction.attribute == side] for side in (0.0, 1.0)]
    chosen = [random.choice(group, min(len(group), ALIGNED), replace=False) for group in groups]
    return pair_alignment(subject.codes, chosen[0], chosen[1], subject.seed)


def _leakage(
    subject: Subject, found: Findings, known: dict[str, Direction], columns: dict[str, str]
) -> dict[str, NDArray[Any]]:
    """Log what moving half of the codes by a standard deviation changes of probes that are fitted to the others."""
    codes = subject.codes
    order = np.random.default_rng(subject.seed).permutation(len(codes))
    fitted, moved = np.sort(order[: len(codes) // 2]), np.sort(order[len(codes) // 2 :])
    of: dict[str, str] = {}
    distinct = subject.distinct_columns()
    for name, direction in known.items():
        if columns[name] not in distinct:
            continue
        if len(np.unique(direction.attribute[np.isin(direction.rows, fitted)])) > 1:
            of[name] = columns[name]
        else:
            found.left_out[f"leakage of {name}"] = "half of the codes have one value of it"
    if len(of) < 2:
        return {}
    names, chosen = list(of), [known[name] for name in of]
    changed = leakage(codes.select(moved), chosen, attribute_probes(codes, chosen, fitted))
    several = len(set(of.values())) > 1
    for i, name in enumerate(names):
        found.add(f"analysis/leakage/{name}/own", replace(_change(changed, i, i, subject.seed), baseline=0.0))
        others = [j for j, other in enumerate(names) if j != i and (of[other] != of[name] or not several)]
        most = max(others, key=lambda j: np.nan_to_num(abs(changed.change[i, j]), nan=-1.0))
        found.add(f"analysis/leakage/{name}/others", _change(changed, i, most, subject.seed))
    title = "Moving one SD along a row changes a column by so many SD"
    found.sink.image("analysis/leakage", viz.change_matrix(changed.change, names, title))
    return {
        "leakage": changed.change,
        "leakage_intervals": changed.intervals,
        "leakage_names": np.array(names),
    }


def _change(changed: Leakage, i: int, j: int, seed: int) -> Statistic:
    """Return how much moving along a direction changes a probe; of another attribute, without its sign."""
    value, (low, high) = float(changed.change[i, j]), changed.intervals[i, j].tolist()
    if i != j and value < 0:
        value, low, high = -value, -high, -low
    return Statistic(value, changed.n, (low, high), None, seed)


def _found(subject: Subject, found: Findings) -> Iterator[tuple[str, str, Direction]]:
    """Yield column, name and direction of every class of a column of up to 20, and of every column of numbers."""
    codes, resampling, space = subject.codes, Resampling(seed=subject.seed), tangent_space(subject.codes)
    names: list[str] = []
    for column in subject.columns():
        values = codes.columns[column]
        classes = sorted(set(subject.known(column))) if is_text(values) or values.dtype.kind in "biu" else []
        if not 3 <= len(classes) <= CLASSES:
            classes = [None]
        for value in classes:
            name = unused(column if value is None else f"{column}_{value}", names)
            names.append(name)
            try:
                yield column, name, attribute_direction(codes, column, value, resampling=resampling, space=space)
            except ValueError as error:
                found.left_out[f"direction of {name}"] = str(error)
