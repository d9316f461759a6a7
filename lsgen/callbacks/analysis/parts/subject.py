"""What is analysed: the codes of a model and what they are codes of."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lsgen.callbacks.analysis.collection import Collected
from lsgen.callbacks.analysis.options import AnalysisDetail
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.latent import Codes, Space
from lsgen.latent.columns import is_text

__all__ = ["LeftOutError", "Part", "Subject", "computed", "unused"]

SCORES = ("elbo", "reconstruction_error", "prior_nll", "split")
COMPUTED = ("cluster", "occurrences", "overlap_", "p_", "shift_", "trust_")  # from the codes, by an analysis
CLASSES = 20


class LeftOutError(Exception):
    """A part of the analysis does not apply, for the reason it says."""


@dataclass(frozen=True)
class Subject:
    """The codes of a model and what they are codes of.

    Attributes:
        module: the model; None of codes alone.
        space: its latent space, in evaluation mode; None of codes alone.
        collected: its codes with their observations.
        detail: how they are analysed.
        seed: seed of all random numbers.
        others: other codes of the same observations, by name.

    """

    module: nn.Module | None
    space: Space | None
    collected: Collected
    detail: AnalysisDetail
    seed: int = 0
    others: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def codes(self) -> Codes:
        """The codes."""
        return self.collected.codes

    def check(self) -> Subject:
        """Return the same.

        Raises:
            ValueError: a column that was asked for is not there.

        """
        try:
            self._asked()
        except LeftOutError as error:
            raise ValueError(str(error)) from error
        return self

    def _asked(self) -> list[str]:
        """Return the columns that were asked for; none where all are."""
        asked = list(self.detail.columns or ())
        if missing := [name for name in asked if name not in self.codes.columns]:
            known = ", ".join(self.codes.columns) or "none"
            raise LeftOutError(f"expected columns out of {known}, got {missing[0]!r}")
        return asked

    def columns(self) -> list[str]:
        """Return the columns that are predicted and drawn: those that were asked for, or the label and the factors.

        What was computed of the codes, such as their scores, places on maps, clusters and p-values, is not among these.

        Raises:
            LeftOutError: there is none that varies.

        """
        whole = [name for name in self.codes.columns if not computed(name)]
        names = whole if self.detail.columns is None else self._asked()
        varying = [name for name in names if len(np.unique(_text(self.codes.columns[name]))) > 1]
        if not varying:
            raise LeftOutError("no label and no factor varies")
        return varying

    def known(self, column: str) -> list[Any]:
        """Return the values of a column that are not missing."""
        return [value for value in self.codes.columns[column].tolist() if value is not None and value == value]

    def distinct_columns(self) -> list[str]:
        """Return those columns without any that is another one under other names, as a label that is also a factor.

        Raises:
            LeftOutError: none varies.

        """
        kept: dict[str, NDArray[np.int64]] = {}
        for name in self.columns():
            place = np.unique(_text(self.codes.columns[name]), return_inverse=True)[1]
            if not any(_renamed(place, other) for other in kept.values()):
                kept[name] = place
        return list(kept)

    def classes(self) -> tuple[str, NDArray[np.str_]]:
        """Return the first column of from 2 to 20 classes that every code has, and its values as text.

        Raises:
            LeftOutError: there is none.

        """
        for name in self.columns():
            column = self.codes.columns[name]
            values = _text(column)
            known = column.dtype.kind in "biu" or (is_text(column) and None not in column.tolist())
            if known and len(np.unique(values)) <= CLASSES:
                return name, values
        raise LeftOutError(f"no column has from 2 to {CLASSES} classes")

    def groups(self) -> NDArray[Any] | None:
        """Return the column that maps are coloured by; None where there is none."""
        try:
            return self.codes.columns[self.columns()[0]]
        except LeftOutError:
            return None


Part = Callable[[Subject, Findings], None]


def unused(name: str, taken: Container[str]) -> str:
    """Return a name as a part of a log key; with a number, from 2 on, where another has it."""
    part = name.replace("/", "_")
    return part if part not in taken else next(other for n in count(2) if (other := f"{part}_{n}") not in taken)


def computed(name: str) -> bool:
    """Return whether a column is a score of the model, or was computed from the codes by an analysis or for a page."""
    return name in SCORES or name.startswith(COMPUTED) or "/" in name


def _renamed(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Return whether two columns of places (N,) among their values are one under other names."""
    first, second = int(one.max()) + 1, int(other.max()) + 1
    return first == second == len(np.unique(one * second + other))


def _text(column: NDArray[Any]) -> NDArray[np.str_]:
    return column.astype(str)
