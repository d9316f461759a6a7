"""Tables on a terminal, in which no number is broken over two lines.

A table wider than the terminal goes on below, in blocks of columns, each after the columns that tell its rows apart.
Only text is folded, and only where it alone is wider than the terminal. Where no terminal limits the width, nothing is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lsgen.runs.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["console_of_any_width", "number", "print_table"]

_UNBOUNDED = 10_000
_FRAME = 3  # what a column takes beside its text: a space on either side, and a line
_NUMBER = re.compile(r"(?:[^A-Za-z]|(?<=\d)e(?=[-+\d])|nan|inf)*", re.IGNORECASE)  # or several, with their signs


def number(value: float | None, digits: int = 6) -> str:
    """Return a number as the text of a cell; empty text for None."""
    return "" if value is None else f"{value:,.{digits}g}"


def console_of_any_width() -> Console:
    """Return a console on standard output, as wide as its terminal, or unbounded without one."""
    console = Terminal()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNBOUNDED
    return console


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", keys: int = 1, markup: bool = False
) -> None:
    """Print a table on standard output.

    Args:
        columns: their heads.
        rows: the cells, as text.
        title: stands above it.
        keys: how many of the first columns tell the rows apart.
        markup: whether cells hold rich's markup.

    """
    console = console_of_any_width()
    cells = [[Text.from_markup(cell) if markup else Text(cell) for cell in row] for row in rows]
    heads = [Text(column) for column in columns]
    whole = [heads, *cells]
    widths = [max(row[i].cell_len for row in whole) for i in range(len(columns))]
    numeric = [all(_NUMBER.fullmatch(row[i].plain) for row in cells) for i in range(len(columns))]
    for place, block in enumerate(_blocks(widths, keys, console.width)):
        table = Table(title=escape(title) if title and not place else None, title_justify="left")
        for i in block:
            table.add_column(heads[i], overflow="fold", no_wrap=numeric[i] and bool(cells))
        for row in cells:
            table.add_row(*(row[i] for i in block))
        console.print(table)


def _blocks(widths: Sequence[int], keys: int, available: int) -> Iterator[list[int]]:
    """Yield the columns of each block: the keys, and as many others as fit beside them."""
    first, others = list(range(min(keys, len(widths)))), list(range(keys, len(widths)))
    taken = 1 + sum(widths[i] + _FRAME for i in first)
    widest = max((widths[i] + _FRAME for i in others), default=0)
    room = max(available - taken, min(widest, available // 2))
    while others:
        fitting, used = 0, 0
        while fitting < len(others) and used + widths[others[fitting]] + _FRAME <= room:
            used += widths[others[fitting]] + _FRAME
            fitting += 1
        yield first + others[: max(fitting, 1)]
        others = others[max(fitting, 1) :]
    if len(widths) <= keys:
        yield first
