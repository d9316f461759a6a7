"""Tables of links and of nodes in text: a line for each, whose cells commas, semicolons, tabulators or spaces part.

Comments come before all other lines, and begin with "# " or "% "; where spaces part cells, they may come between lines
too. The last comment before the first line, or that line itself, may name the columns.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from math import inf, isfinite
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from lsgen.data.graphs.files.found import WHOLE, ColumnChoice, FoundGraph, FoundNodes, as_values

__all__ = ["read_link_table", "read_node_table"]

ENDS = (
    ("source", "target"), ("from", "to"), ("src", "dst"), ("fromnodeid", "tonodeid"), ("node1", "node2"), ("u", "v"),
    ("i", "j"),
)  # fmt: skip
"""What tables call the two ends of a link, in small letters without white space."""

_COMMENT = re.compile(r"[#%](\s|$)|%%")


@dataclass(frozen=True)
class _Table:
    """Lines as cells.

    Attributes:
        where: what the file is called.
        names: of the columns; None where they have none.
        first: the first line.
        rows: the number of each line, and its cells.

    """

    where: str
    names: list[str] | None
    first: list[str]
    rows: Iterator[tuple[int, list[str]]]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.first)

    def place(self, chosen: str | int, option: str) -> int:
        """Return the number of a column from 0.

        Raises:
            ValueError: there is no such column, or there are two.

        """
        if isinstance(chosen, int) and not isinstance(chosen, bool) and 1 <= chosen <= self.width:
            return chosen - 1
        if self.names is not None and self.names.count(str(chosen)) == 1 and isinstance(chosen, str):
            return self.names.index(chosen)
        there = f"numbered 1 to {self.width}" if self.names is None else ", ".join(map(repr, self.names))
        raise ValueError(f"expected data.graph.{option} to be one column of {self.where}, {there}, got {chosen!r}")

    def called(self, name: str) -> int | None:
        """Return the number of the column that has a name, or a like one."""
        return next((place for place, own in enumerate(self.names or ()) if _plain(own) == name), None)


def read_link_table(
    file: TextIO, where: str, choice: ColumnChoice, signed: bool, named: bool, nodes: FoundNodes | None = None
) -> FoundGraph:
    """Return the links of a table.

    Nodes are numbered as in a table of nodes; without one, by value where all of their names are whole numbers, else as
    they come first.

    Args:
        file: the text.
        where: what it is called.
        choice: which columns hold what.
        signed: whether weights may be negative.
        named: whether columns have names, unless they are chosen by number; else the first two may be the ends.
        nodes: the only nodes that there are.

    Raises:
        ValueError: a line or a column is not what was expected.

    """
    table = _table(file, where, [one for one in (choice.source, choice.target) if isinstance(one, str)])
    source, target = _ends(table, choice, named)
    weight, time = (_further(table, choice, option) for option in ("weight", "time"))
    _refuse_unclaimed(table, choice, {source, target, weight, time})
    known = {} if nodes is None else {name: number for number, name in enumerate(nodes.keys)}
    ends, weights, times = array("q"), array("d"), array("d")
    time_of: Callable[[str], float] | None = None
    for line, cells in table.rows:
        if len(cells) != table.width:
            raise ValueError(f"expected {table.width} columns in line {line} of {where}, got {len(cells)}")
        for name in (cells[source].strip(), cells[target].strip()):
            if nodes is not None and name not in known:
                raise ValueError(f"expected one of the {len(known)} nodes in line {line} of {where}, got {name!r}")
            if not name:
                raise ValueError(f"expected two nodes in line {line} of {where}, got one without a name")
            ends.append(known.setdefault(name, len(known)))
        if weight is not None:
            weights.append(_weight(cells[weight], signed, line, where))
        if time is not None:
            time_of = time_of or (_number if _is_number(cells[time]) else _date)
            times.append(_time(cells[time], time_of, line, where))
    if wrong := next((name for name in known if "\0" in name), None):
        raise ValueError(f"expected text in UTF-8 in {where}, got the name {wrong!r}")
    edges, listed = _numbered(np.array(ends, np.int64).reshape(-1, 2), known, nodes)
    given = (np.array(values) if place is not None else None for place, values in ((weight, weights), (time, times)))
    return FoundGraph(edges, listed, None, *given)


def read_node_table(file: TextIO, where: str) -> FoundNodes:
    """Return the nodes of a table whose columns have names: the first column has their keys.

    Columns whose name begins with _ are left out.

    Args:
        file: the text.
        where: what it is called.

    Raises:
        ValueError: a line has another number of columns, or two nodes have one key, or one has none.

    """
    table = _table(file, where, None)
    assert table.names is not None
    if any(_is_number(name) for name in table.names):
        raise ValueError(f"expected the first line of {where} to name its columns, got {', '.join(table.names)}")
    lines: dict[str, list[str]] = {}
    for line, cells in table.rows:
        if len(cells) != table.width:
            raise ValueError(f"expected {table.width} columns in line {line} of {where}, got {len(cells)}")
        key, *rest = (cell.strip() for cell in cells)
        if not key or key in lines:
            raise ValueError(f"expected another node in each line of {where}, got {key!r} in line {line}")
        lines[key] = rest
    if len(set(table.names)) < table.width:
        raise ValueError(f"expected a name of its own for each column of {where}, got {', '.join(table.names)}")
    columns = dict(zip(table.names[1:], zip(*lines.values(), strict=True), strict=False))
    return FoundNodes(list(lines), {name: as_values(cells) for name, cells in columns.items() if name[:1] != "_"})


def _table(file: TextIO, where: str, wanted: list[str] | None) -> _Table:
    """Return a table whose first line has the names of columns if it has names of ends, or wanted ones, or must."""
    comment, above = "", 0
    for first in file:
        above += 1
        if first.strip() and not _COMMENT.match(first):
            break
        if first.startswith("%%MatrixMarket"):
            raise ValueError(f"expected a table of links in {where}, got a matrix in the format of Matrix Market")
        comment = first if first.strip() else comment
    else:
        raise ValueError(f"expected lines in {where}, got none")
    mark = max(",;\t", key=first.count)
    mark = mark if mark in first else ""
    rows = _cells(chain([first], file), mark, above)
    start = next(rows)
    said = [cell.strip() for _, cells in _cells(iter([comment.lstrip("#% ")]), mark, 1) for cell in cells]
    for names, begun in ((said, [start]), ([cell.strip() for cell in start[1]], [])):
        if len(names) == len(start[1]) and (_names_ends(names) or (wanted and set(wanted) & set(names))):
            return _Table(where, names, start[1], chain(begun, rows))
    if wanted is None:
        names, begun = (said, [start]) if len(said) == len(start[1]) else ([cell.strip() for cell in start[1]], [])
        return _Table(where, names, start[1], chain(begun, rows))
    return _Table(where, None, start[1], chain([start], rows))


def _cells(lines: Iterator[str], mark: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of lines that are not empty, with their numbers."""
    if not mark:
        for number, line in enumerate(lines, first):
            cells = line.split()
            if cells and not (_COMMENT.match(line)):
                yield number, cells
        return
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True, strict=True)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            if _COMMENT.match(cells[0]) and reader.line_num > 1:
                raise ValueError(
                    f"expected comments before all other lines, got {cells[0]!r} in line {reader.line_num + first - 1}"
                )
            yield reader.line_num + first - 1, cells


def _plain(name: str) -> str:
    return "".join(name.split()).lower()


def _names_ends(names: list[str]) -> tuple[int, int] | None:
    """Return the places of two columns whose names are those of ends, in either order of the columns."""
    plain = [_plain(name) for name in names]
    return next(((plain.index(a), plain.index(b)) for a, b in ENDS if a in plain and b in plain), None)


def _ends(table: _Table, choice: ColumnChoice, named: bool) -> tuple[int, int]:
    if choice.source != "auto" or choice.target != "auto":
        source, target = table.place(choice.source, "source"), table.place(choice.target, "target")
        if source == target:
            raise ValueError(f"expected two columns of {table.where} as source and target, got {choice.source!r} twice")
        return source, target
    if (found := _names_ends(table.names or [])) is not None:
        twice = [name for name in map(_plain, table.names or []) if name in sum(ENDS, ())]
        if len(twice) > 2:
            raise ValueError(
                f"expected two columns of {table.where} that are called as ends of links, got {', '.join(twice)}: "
                "data.graph.source and data.graph.target say which they are"
            )
        return found
    if table.width < 2:
        raise ValueError(f"expected at least two columns in {table.where}, got {table.first[0]!r}")
    if named and not all(_is_number(cell) for cell in table.first):
        raise ValueError(
            f"expected the first line of {table.where} to call two columns source and target, got "
            f"{', '.join(map(repr, table.first[:8]))}: data.graph.source and data.graph.target say which they are, by "
            "name, or by number from 1 where there are no names"
        )
    return 0, 1


def _further(table: _Table, choice: ColumnChoice, option: str) -> int | None:
    chosen = getattr(choice, option)
    if chosen == "auto":
        return table.called(option)
    return None if chosen is None else table.place(chosen, option)


def _refuse_unclaimed(table: _Table, choice: ColumnChoice, claimed: set[int | None]) -> None:
    """Refuse columns without a name of which nobody has said what they are, or that they are nothing."""
    rest = set(range(table.width)) - claimed
    if table.names is None and rest and "auto" in (choice.weight, choice.time):
        raise ValueError(
            f"expected to know what column {min(rest) + 1} of {table.where} is, such as {table.first[min(rest)]!r}, "
            f"got no word: data.graph.weight={min(rest) + 1} or data.graph.time={min(rest) + 1} says so, null for both "
            "leaves it out"
        )


def _numbered(
    edges: NDArray[np.int64], known: dict[str, int], nodes: FoundNodes | None
) -> tuple[NDArray[np.int64], FoundNodes]:
    """Return links and nodes, in the order of their values where all names are whole numbers and none is listed."""
    names = list(known)
    if nodes is not None or not all(WHOLE.fullmatch(name) for name in names):
        return edges, nodes or FoundNodes(names)
    order = sorted(range(len(names)), key=lambda number: (int(names[number]), names[number]))
    place = np.argsort(np.array(order, np.int64))
    return place[edges], FoundNodes([names[number] for number in order])


def _number(text: str) -> float:
    if "_" in text:  # which Python takes for nothing
        raise ValueError
    return float(text)


def _date(text: str) -> float:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _weight(text: str, signed: bool, line: int, where: str) -> float:
    try:
        value = _number(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or (value <= 0 and not signed):
        hint = ": data.graph.signed=true takes negative ones" if -inf < value < 0 else ""
        above = "" if signed else " above 0"
        raise ValueError(
            f"expected a finite number{above} as weight in line {line} of {where}, got {text.strip()!r}{hint}"
        )
    return value


def _time(text: str, time_of: Callable[[str], float], line: int, where: str) -> float:
    try:
        value = time_of(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        kind = "number" if time_of is _number else "number, or date such as 2008-05-01,"
        raise ValueError(f"expected a {kind} as time in line {line} of {where}, got {text.strip()!r}")
    return value
