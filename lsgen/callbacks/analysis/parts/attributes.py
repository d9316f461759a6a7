"""Directions of codes along which classes and factors change, with how far each can be relied on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lsgen.analysis.directions import Direction, Resampling, attribute_direction, compare_directions
from lsgen.analysis.tangents import tangent_space
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import CLASSES, Subject
from lsgen.latent.columns import is_text

__all__ = ["directions"]


def directions(subject: Subject, found: Findings) -> None:
    """Log reliability, permutation p-value and cross-validated AUC of the direction of every class and factor.

    Vectors and the cosines between them, corrected for noise, are written as arrays.
    """
    known = {}
    for name, direction in _found(subject, found):
        key = f"analysis/direction/{name}"
        found.add(f"{key}/reliability", direction.reliability)
        found.add(f"{key}/auc", direction.auc)
        found.numbers({f"{key}/p": direction.p_value})
        known[name] = direction
    if known:
        arrays = {"names": np.array(list(known)), "vectors": np.stack([one.vector for one in known.values()])}
        if len(known) > 1:
            alike = compare_directions(subject.codes, list(known.values()))
            arrays |= {"cosines": alike.corrected, "intervals": alike.intervals, "shared": alike.shared}
        found.sink.arrays("analysis/directions", **arrays)


def _found(subject: Subject, found: Findings) -> Iterator[tuple[str, Direction]]:
    """Yield the direction of every class of a column of up to 20, and of every column of numbers, by name."""
    codes, resampling, space = subject.codes, Resampling(seed=subject.seed), tangent_space(subject.codes)
    for column in subject.columns():
        values = codes.columns[column]
        known = [value for value in values.tolist() if value is not None and value == value]
        classes = sorted(set(known)) if is_text(values) or values.dtype.kind in "biu" else []
        if not 3 <= len(classes) <= CLASSES:
            classes = [None]
        for value in classes:
            name = column if value is None else f"{column}_{value}".replace("/", "_")
            try:
                yield name, attribute_direction(codes, column, value, resampling=resampling, space=space)
            except ValueError as error:
                found.left_out[f"direction of {name}"] = str(error)
