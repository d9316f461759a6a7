"""`lsgen table`: many runs side by side."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lsgen.cli.entry import OK
from lsgen.cli.errors import UsageError
from lsgen.cli.schema import close_to
from lsgen.runs import find_runs, index

__all__ = ["columns_of", "rows_of", "run"]

_USAGE = """usage: lsgen table RUNS ... [--columns KEY,KEY,...] [--sort [-]KEY] [--format rich|csv|md]

Compare runs. RUNS are run directories, directories of runs, or quoted patterns such as 'runs/**'.

  --columns   config keys and metrics to show, separated by commas; unless given, the config keys in which the runs
              differ and the main metrics
  --sort      the column to sort by; -KEY for the largest first
  --format    rich (default), csv, or md (Markdown)

  lsgen table runs --columns model.objective.beta,seed,test/elbo --sort -test/elbo"""
_METRICS = ("val/elbo", "test/elbo", "test/reconstruction", "test/kl", "test/active_units")
_UNBOUNDED = 10_000
_NOT_SETTINGS = ("run", "id", "state", "created", "overrides", "error", "step", "epoch")


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    options, patterns = _options(arguments)
    found = index(find_runs(patterns))
    keys = {key for row in found for key in row}
    columns = _known(options["columns"].split(","), keys) if "columns" in options else columns_of(found)
    if "sort" in options:
        found = _sorted(found, options["sort"], keys)
    _WRITERS[options.get("format", "rich")](["run", *columns], rows_of(found, ["run", *columns]))
    return OK


def columns_of(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the state, the settings in which the runs differ, and the main metrics that some run has.

    Of settings that always go together, such as `seed` and `data.seed`, one is shown: the one that was set on a
    command line, else the shortest. Of callbacks, only what was set on a command line is shown.
    """
    keys = list(dict.fromkeys(key for row in found for key in row))
    settings = [key for key in keys if "/" not in key and key not in _NOT_SETTINGS]
    settings = [key for key in settings if not key.startswith(("run.", "logger."))]
    typed = " ".join(str(row.get("overrides", "")) for row in found)
    settings = [key for key in settings if not key.startswith("callbacks.") or f"{key}=" in typed]
    distinct: dict[tuple[str, ...], str] = {}
    for key in sorted(settings, key=lambda key: (f"{key}=" not in typed, len(key))):
        values = tuple(repr(row.get(key)) for row in found)
        if len(set(values)) > 1:
            distinct.setdefault(values, key)
    shown = [key for key in settings if key in distinct.values()]
    return ["state", *shown[:12], *(key for key in _METRICS if any(key in row for row in found))]


def rows_of(found: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of a table, as text; empty where a run lacks a key."""
    return [[_cell(row.get(column)) for column in columns] for row in found]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    patterns: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, separator, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--"):
            patterns.append(argument)
        elif name in ("columns", "sort", "format"):
            options[name] = value if separator else next(rest, "")
        else:
            raise UsageError(f"expected --columns, --sort or --format, got {argument}")
    if options.get("format", "rich") not in _WRITERS:
        raise UsageError(f"expected --format {', '.join(_WRITERS)}, got {options['format']!r}")
    if not patterns:
        raise UsageError("expected run directories or patterns such as 'runs/**', got none")
    return options, patterns


def _known(columns: Sequence[str], keys: set[str]) -> list[str]:
    for column in columns:
        if column not in keys:
            raise UsageError(f"no run has {column!r}{close_to(column, keys)}")
    return [column for column in columns if column != "run"]


def _sorted(found: Sequence[dict[str, Any]], key: str, keys: set[str]) -> list[dict[str, Any]]:
    (column,) = _known([key.removeprefix("-")], keys)
    having = [row for row in found if row.get(column) is not None]
    lacking = [row for row in found if row.get(column) is None]
    numeric = all(isinstance(row[column], int | float) for row in having)
    ordered = sorted(having, key=lambda row: row[column] if numeric else str(row[column]), reverse=key.startswith("-"))
    return ordered + lacking


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = max(
            console.width, console.measure(table, options=console.options.update(width=_UNBOUNDED)).maximum
        )
    console.print(table)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([columns, *rows])


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


_WRITERS = {"rich": _rich, "csv": _csv, "md": _markdown}
