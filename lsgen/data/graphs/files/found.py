"""What is found in a file of a network, before it is checked."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

__all__ = ["WHOLE", "ColumnChoice", "FoundGraph", "FoundNodes", "as_values", "unpacked"]

WHOLE = re.compile(r"[+-]?\d+")
"""A whole number as text."""

_NAMES = ("name", "label")


@dataclass(frozen=True)
class ColumnChoice:
    """Which columns of a file hold the parts of links: by name, or by number from 1.

    Attributes:
        source: the first ends; "auto" for what the file calls so.
        target: the second ends; "auto" likewise.
        weight: the weights; "auto" for the column that is called so, where there is one; None for none.
        time: the times; "auto" and None likewise.

    """

    source: str | int = "auto"
    target: str | int = "auto"
    weight: str | int | None = "auto"
    time: str | int | None = "auto"


@dataclass(frozen=True)
class FoundNodes:
    """The nodes that a file lists.

    Attributes:
        keys: by which links call them.
        columns: metadata (N,) by name.

    """

    keys: Sequence[str]
    columns: Mapping[str, Any] = field(default_factory=dict)

    def named(self) -> tuple[Sequence[str], Mapping[str, Any]]:
        """Return the names of the nodes and their other columns.

        They are called what a column "name" or "label" says if it has another text for each of them; else by their
        keys.
        """
        for column, values in self.columns.items():
            texts = {value for value in values if isinstance(value, str) and value.strip()}
            if column.lower() in _NAMES and len(texts) == len(self.keys):
                return list(values), {name: other for name, other in self.columns.items() if name != column}
        return self.keys, self.columns


@dataclass(frozen=True)
class FoundGraph:
    """Links, and what a file says about them.

    Attributes:
        edges: numbers of the two ends of each, (E, 2).
        nodes: what the ends are numbers of.
        directed: whether links have a direction, where the file says so.
        weights: of each link, if any, (E,).
        times: of each link, if any, (E,).
        features: of the nodes, a sparse array of scipy (N, F), if any.

    """

    edges: Any
    nodes: FoundNodes
    directed: bool | None = None
    weights: Any = None
    times: Any = None
    features: Any = None


def as_values(cells: Sequence[str]) -> list[Any]:
    """Return the cells of a column as numbers if all that are not empty are, else as text; None for an empty one."""
    known = [cell for cell in cells if cell]
    if known and all(WHOLE.fullmatch(cell) for cell in known):
        return [int(cell) if cell else None for cell in cells]
    try:
        return [float(cell) if cell else None for cell in cells]
    except ValueError:
        return [cell or None for cell in cells]


def unpacked(path: Path) -> BinaryIO:
    """Return a file that is open for reading, unpacked if its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")
