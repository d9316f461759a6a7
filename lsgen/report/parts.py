"""HTML elements of report pages: tables, cards, charts and folded sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from lsgen.report.run_contents import as_script
from lsgen.runs import RunError, named, write_atomically
from lsgen.version import __version__

__all__ = [
    "cards",
    "cell",
    "chart_section",
    "document",
    "fact_table",
    "folded",
    "label",
    "number",
    "plain",
    "problems",
    "table",
    "write",
]

_ROOM = 8  # characters of a number on a card


def write(path: Path, page: str) -> Path:
    """Write a page and return its path.

    Raises:
        RunError: it cannot be written.

    """
    try:
        write_atomically(path, page)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def document(name: str, sections: Iterable[str], charts: Sequence[Mapping[str, Any]]) -> str:
    """Return a page of sections without empty ones; `charts` fill the frames of `chart_section`."""
    return Template(asset("report.html")).substitute(
        name=escape(name),
        style=asset("report.css"),
        content="\n".join(section for section in sections if section),
        version=__version__,
        charts=as_script(charts),
        script=asset("report.js"),
    )


def cards(shown: Iterable[tuple[str, str, str]]) -> str:
    """Return cards of key figures, each with its name, value and unit."""
    body = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><small>{escape(unit)}</small></div>"
        for name, value, unit in shown
    )
    return f'<dl class="cards">{body}</dl>' if body else ""


def asset(name: str) -> str:
    """Return a file of this package."""
    return files("lsgen.report").joinpath(name).read_text(encoding="utf-8")


def problems(problems: Iterable[str]) -> str:
    """Return a line for each recorded problem."""
    return "".join(f'<p class="error">{escape(problem)}</p>' for problem in problems)


def number(value: float) -> str:
    """Return a number for a card, with up to four digits, as many as fit, and a true minus sign."""
    if 1000 <= abs(value) < 1e7:
        text = f"{value:,.0f}"
    else:
        written = [f"{value:.{digits}g}" for digits in (4, 3, 2)]
        text = next((text for text in written if len(text) <= _ROOM), written[-1])
    return text.replace("-", "−")


def label(key: str) -> str:
    """Return the name of a logged quantity with its unit, beside its key; the key alone if it is not registered."""
    name, unit = named(key)
    if name == key:
        return escape(key)
    return f"{escape(f'{name}, {unit}' if unit else name)} <code>{escape(key)}</code>"


def chart_section(title: str, drawn: list[dict[str, Any]], first: int, collapsed: bool = False) -> str:
    """Return a section with the frames that the script draws charts into, the first of them number `first`."""
    if not drawn:
        return ""
    body = "".join(f'<figure class="chart" data-chart="{first + i}"></figure>' for i in range(len(drawn)))
    body = f'<div class="charts">{body}</div>'
    if collapsed:
        return folded(title, body, f"{len(drawn)} charts")
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def cell(value: Any) -> str:
    """Return a value as the text of a table cell."""
    return f"{value:,.6g}" if isinstance(value, float) else escape(str(value))


def fact_table(facts: Mapping[str, Any]) -> str:
    """Return a table of names and values."""
    cells = ((escape(str(key)), escape(plain(value))) for key, value in facts.items())
    return table("".join(f"<tr><td>{key}</td><td>{value}</td></tr>" for key, value in cells), "facts")


def table(rows: str, kind: str = "values") -> str:
    """Return rows as a table that scrolls if it is wider than the page."""
    return f'<div class="wide"><table class="{kind}">{rows}</table></div>'


def plain(value: Any) -> str:
    """Return a value in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {plain(item)}" for key, item in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def folded(title: str, body: str, note: str = "", level: int = 2) -> str:
    """Return a part of the page that opens on a click."""
    return (
        f'<details class="level{level}"><summary><h{level}>{escape(title)}</h{level}><small>{escape(note)}</small>'
        f"</summary>{body}</details>"
    )
