"""`lsgen table`: compare many runs in one table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import OK, UsageError
from lsgen.runs import find_runs, index
from lsgen.runs.keys import main_metrics

__all__ = ["columns_of", "rows_of", "run"]

_USAGE = """usage: lsgen table SWEEP [--by KEY,...] [--over KEY] [--metrics KEY,...] [--best [-]KEY] [--plot KEY]
                   [--statistics NAME,...] [--format rich|csv|md|latex|parquet] [--output FILE]
       lsgen table RUNS ... [--columns KEY,...] [--sort [-]KEY] [--format rich|csv|md] [--runs]

The first form has a row for each setting of a sweep: the swept keys, the number of runs that finished (n) and failed,
then of every metric mean, standard deviation, and a 95 % confidence interval of the mean by Student's t: in one column
on the screen, in four (METRIC_mean, METRIC_std, METRIC_ci_low, METRIC_ci_high) for machines.

  --by        the settings that tell rows apart; what the sweep sets to different values, unless given
  --over      what is aggregated over (default seed); tests pair runs by it
  --metrics   metrics to show; the main ones unless given. scaling_efficiency where the sweep varies the number of
              processes: images per second over those of as many single processes
  --statistics  what is told of every metric, a column each: mean, std, min, max, ci_low, ci_high
  --best      the metric that decides which row is best (-KEY: the smallest); the ELBO, or the first, unless given. Bold
              in rich, md and latex are the best row and those that paired t-tests over seeds, with Holm's correction
              at 5 %, do not tell from it
  --plot      draw the metrics against this setting, seeds as points, into SWEEP/figures or the --output
  --format    rich (default), csv, md (Markdown), latex (booktabs), or parquet
  --output    a file; unless given, Parquet goes to SWEEP/table.parquet and the other formats are printed

The second form has a row for each run. RUNS are run directories, directories of runs, or quoted patterns such as
'runs/**'; a SWEEP too with --runs.

  --columns   config keys and metrics to show, separated by commas; unless given, the config keys in which the runs
              differ and the main metrics
  --sort      the column to sort by; -KEY for the largest first

  lsgen table sweeps/beta --metrics test/elbo --format latex
  lsgen table runs --columns model.objective.beta,seed,test/elbo --sort -test/elbo"""
_OF_SWEEPS = ("by", "over", "metrics", "statistics", "best", "plot")
_OPTIONS = ("columns", "sort", "format", "output", *_OF_SWEEPS)
_KINDS = ("rich", "csv", "md", "latex", "parquet")
_NOT_SETTINGS = ("run", "id", "state", "created", "overrides", "error", "step", "epoch")


def run(arguments: Sequence[str]) -> int:
    """Run the verb and return the exit code."""
    if not arguments or "-h" in arguments or "--help" in arguments:
        print(_USAGE)
        return OK
    options, patterns = _options(arguments)
    if len(patterns) == 1 and "runs" not in options and (Path(patterns[0]) / "sweep.json").is_file():
        return _sweep(patterns[0], options)
    _refuse(options, (*_OF_SWEEPS, "output"), "goes with one SWEEP")
    if options.get("format") in ("latex", "parquet"):
        raise UsageError(f"--format {options['format']} goes with one SWEEP: expected rich, csv or md")
    found = index(find_runs(patterns))
    keys = {key for row in found for key in row}
    columns = _known(options["columns"].split(","), keys) if "columns" in options else columns_of(found)
    if "sort" in options:
        found = _sorted(found, options["sort"], keys)
    _WRITERS[options.get("format", "rich")](["run", *columns], rows_of(found, ["run", *columns]))
    return OK


def _sweep(place: str, options: Mapping[str, str]) -> int:
    """Print or write the table of a sweep, or a plot."""
    from lsgen.cli.output.table_formats import FORMATS, legend, parquet
    from lsgen.cli.sweeps.tabulation import draw, sweep_table
    from lsgen.runs import write_atomically

    _refuse(options, ("columns", "sort"), "goes with --runs")
    table = sweep_table(place, options)
    output, kind = options.get("output"), options.get("format", "rich")
    if "plot" in options:
        from lsgen.viz import png

        file = Path(output or Path(place) / "figures" / f"{options['plot'].replace('/', '_')}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(draw(table, options["plot"])))
        print(f"plot     {file}")
    elif kind == "parquet":
        file = Path(output or Path(place) / "table.parquet")
        parquet(table, file)
        print(f"table    {file}")
    elif kind == "rich":
        from lsgen.cli.output.tables import print_table

        print_table(*FORMATS[kind](table), keys=len(table.keys), markup=True)
        print(legend(table))
    else:
        text = FORMATS[kind](table)
        if output:
            write_atomically(Path(output).absolute(), text)
        else:
            print(text, end="")
    return OK


def _refuse(options: Mapping[str, str], names: Sequence[str], why: str) -> None:
    for name in names:
        if name in options:
            raise UsageError(f"--{name} {why}")


def columns_of(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the state, the settings in which the runs differ, and the main metrics that some run has, else the losses.

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
    known = [key for key in main_metrics() if any(key in row for row in found)]
    losses = [key for key in ("val/loss", "test/loss") if any(key in row for row in found)]
    return ["state", *shown[:12], *(known or losses)]


def rows_of(found: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of a table, as text; empty if a run lacks a key."""
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
        elif name == "runs":
            options[name] = ""
        elif name in _OPTIONS:
            given = value if separator else next(rest, "")
            if not given or given.startswith("--"):
                raise UsageError(f"expected --{name} VALUE, got {given or 'nothing'} after it")
            if name in options:
                raise UsageError(f"--{name} is given twice: {options[name]} and {given}")
            options[name] = given
        else:
            raise UsageError(f"expected --{', --'.join((*_OPTIONS, 'runs'))}, got {argument}")
    if options.get("format", "rich") not in _KINDS:
        raise UsageError(f"expected --format {', '.join(_KINDS)}, got {options['format']!r}")
    if not patterns:
        raise UsageError("expected run directories or patterns such as 'runs/**', got none")
    return options, patterns


def _known(columns: Sequence[str], keys: set[str]) -> list[str]:
    for column in columns:
        if column not in keys:
            raise UsageError(f"no run has {column!r}{did_you_mean(column, keys)}")
    return [column for column in columns if column != "run"]


def _sorted(found: Sequence[dict[str, Any]], key: str, keys: set[str]) -> list[dict[str, Any]]:
    (column,) = _known([key.removeprefix("-")], keys)
    having = [row for row in found if row.get(column) is not None]
    lacking = [row for row in found if row.get(column) is None]
    numeric = all(isinstance(row[column], int | float) for row in having)
    ordered = sorted(having, key=lambda row: row[column] if numeric else str(row[column]), reverse=key.startswith("-"))
    return ordered + lacking


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from lsgen.cli.output.tables import print_table

    print_table(columns, rows)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([columns, *rows])


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


_WRITERS = {"rich": _rich, "csv": _csv, "md": _markdown}
