"""The table of a sweep as text and as Parquet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lsgen.cli.errors import UsageError
from lsgen.runs import csv_text
from lsgen.runs.seed_statistics import Group, SweepTable

__all__ = ["FORMATS", "legend", "parquet"]

_ALL = "mean ± standard deviation [95 % confidence interval of the mean]"
_MEANINGS = {
    "mean": "mean",
    "std": "standard deviation",
    "ci_low": "lower end of the mean's 95 % confidence interval",
    "ci_high": "its upper end",
    "min": "smallest value",
    "max": "largest value",
}
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _text(value: Any, digits: int = 10) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def as_csv(table: SweepTable) -> str:
    """Return the table as comma-separated values, numbers with ten digits."""
    return csv_text([table.columns, *([_text(value) for value in row] for row in table.rows())])


def as_markdown(table: SweepTable) -> str:
    """Return the table as Markdown, the best rows in bold."""
    lines = [table.columns, ["---"] * len(table.columns)]
    for place, row in enumerate(table.rows()):
        cells = [_text(value, 6).replace("|", "\\|") for value in row]
        lines.append([f"**{cell}**" if cell else cell for cell in cells] if place in table.best else cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_rich(table: SweepTable) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows in rich's markup, one column for each metric, the best rows in bold."""
    from rich.markup import escape

    rows = []
    for place, group in enumerate(table.groups):
        if table.asked:
            cells = [_text(value, 6) for value in table.rows()[place]]
        else:
            cells = [_text(value, 6) for value in (*group.keys.values(), group.n, group.failed)]
            cells += [_statistics(group, metric) for metric in table.metrics]
        cells = [escape(cell) for cell in cells]
        rows.append([f"[bold]{cell}[/bold]" for cell in cells] if place in table.best else cells)
    return table.columns if table.asked else [*table.keys, "n", "failed", *table.metrics], rows


def legend(table: SweepTable) -> str:
    """Return a sentence that explains the cells of `as_rich`."""
    judged = f"; bold: the best {table.judge}, and what paired t-tests do not tell from it" if table.judge else ""
    shown = ", ".join(map(_MEANINGS.__getitem__, table.statistics)) if table.asked else _ALL
    return f"{shown} over {table.over}{judged}"


def _statistics(group: Group, metric: str) -> str:
    found = group.statistics(metric)
    if found.mean != found.mean:
        return ""
    if found.std != found.std:
        return f"{found.mean:.4g}"
    return f"{found.mean:.4g} ± {found.std:.2g} [{found.ci_low:.4g}, {found.ci_high:.4g}]"


def as_latex(table: SweepTable) -> str:
    """Return the table for LaTeX's booktabs: mean and standard deviation, and the interval, of every metric."""
    head = [*table.keys, "n", "failed", *(name for metric in table.metrics for name in (metric, "95 % CI"))]
    kinds = "rc" * len(table.metrics)
    if table.asked:
        head, kinds = table.columns, "r" * len(table.metrics) * len(table.statistics)
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{'l' * len(table.keys)}rr{kinds}}}",
        r"\toprule",
        " & ".join(map(_escaped, head)) + r" \\",
        r"\midrule",
    ]
    for place, group in enumerate(table.groups):
        cells = [_escaped(_text(group.keys[key], 6)) for key in table.keys] + [str(group.n), str(group.failed)]
        for metric in table.metrics:
            bold = place in table.best and metric == table.judge
            cells += _latex_numbers(group, metric, table, bold) if table.asked else _latex_cells(group, metric, bold)
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.judge:
        lines.append(f"% bold: the best {_escaped(table.judge)}, and what paired t-tests do not tell from it")
    return "\n".join(lines) + "\n"


def _latex_cells(group: Group, metric: str, bold: bool) -> list[str]:
    found = group.statistics(metric)
    if found.mean != found.mean:
        return ["", ""]
    mean = f"{found.mean:.4g}"
    mean = rf"\mathbf{{{mean}}}" if bold else mean
    if found.std != found.std:
        return [f"${mean}$", ""]
    return [rf"${mean} \pm {found.std:.2g}$", f"$[{found.ci_low:.4g}, {found.ci_high:.4g}]$"]


def _latex_numbers(group: Group, metric: str, table: SweepTable, bold: bool) -> list[str]:
    """Return a cell for each statistic that was asked for, the mean of a best row in bold."""
    found = group.statistics(metric)
    numbers = [(name, getattr(found, name)) for name in table.statistics]
    cells = [(name, "" if value != value else f"{value:.4g}") for name, value in numbers]
    marked = [rf"\mathbf{{{cell}}}" if bold and cell and name == "mean" else cell for name, cell in cells]
    return [f"${cell}$" if cell else "" for cell in marked]


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL.get(found[0], f"\\{found[0]}"), text)


def parquet(table: SweepTable, file: Path) -> None:
    """Write the table as Parquet, atomically; a setting that mixes kinds of values is written as text.

    Raises:
        UsageError: pyarrow is not installed, or the file cannot be written.

    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError("--format parquet needs pyarrow: pip install 'lsgen[parquet]'") from error
    columns = dict(zip(table.columns, map(list, zip(*table.rows(), strict=True)), strict=True))
    numbers = set(table.columns[len(table.keys) + 2 :])
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        if name not in numbers and (len(kinds) > 1 or kinds & {list, dict}):
            columns[name] = [None if value is None else str(value) for value in values]
    schema = [(name, pyarrow.float64()) if name in numbers else name for name in columns]
    arrays = [
        pyarrow.array(columns[entry[0]], entry[1]) if isinstance(entry, tuple) else pyarrow.array(columns[entry])
        for entry in schema
    ]
    partial = file.with_name(f".{file.name}.part")
    try:
        pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(columns)), partial)
        os.replace(partial, file)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error}") from error


FORMATS: Mapping[str, Callable[[SweepTable], Any]] = {
    "csv": as_csv,
    "md": as_markdown,
    "latex": as_latex,
    "rich": as_rich,
}
