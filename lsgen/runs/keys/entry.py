"""Entries of the registry of log keys.

A pattern is a key in which `{field}` stands for one part between slashes and `{field...}` for one or several. The first
entry that matches a key describes it. A key that no entry matches, such as one of a user's own callback, is logged as
well and is shown under its own name.

| kind         | what is logged                                                                              |
|--------------|---------------------------------------------------------------------------------------------|
| scalar       | a number                                                                                    |
| distribution | KEY/q05, /q25, /q50, /q75, /q95: quantiles of the finite values; KEY/not_finite: the others |
| numbered     | KEY/00, KEY/01, ...: numbers                                                                |
| others       | image, animation, sound, histogram, table, npz                                              |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

__all__ = ["LEVELS", "Chart", "Entry", "Kind", "ends", "figure"]

Kind = Literal["scalar", "distribution", "numbered", "image", "animation", "sound", "histogram", "table", "npz"]

LEVELS = ("q05", "q25", "q50", "q75", "q95")


class Chart(NamedTuple):
    """A chart of a report that several keys may share.

    Attributes:
        title: its title.
        unit: of its y axis.
        series: name of the line; the name of the stage where it is empty.

    """

    title: str
    unit: str
    series: str = ""


@dataclass(frozen=True)
class Entry:
    """Name, unit, section and uses of the keys of one pattern.

    Attributes:
        pattern: the key, without its stage and without what its kind adds.
        name: what it is called; it may use the fields of the pattern. The caption of a figure.
        unit: its unit; empty where it has none, or where that is not known.
        section: which of `SECTIONS` it belongs to.
        kind: what is logged.
        meaning: what it measures or shows, for the documentation.
        stages: stages it is logged in, the first part of the key, "" for none; empty where it never has one.
        default: whether loggers get it unless everything is asked for.
        better: which values are better, "higher" or "lower"; empty where neither is.
        source: name of the class that logs it, where others may watch it.
        watched: stages in which others may watch it: monitors, schedules, searches.
        table: stages under which `lsgen table` shows it where no columns are asked for.
        summary: whether it stands in the summary that closes a run, and in that of `lsgen geometry`.
        card: title and unit of its card in a report; of a stage key the value on validation data is shown.
        chart: the chart of a report it is drawn in at once.

    """

    pattern: str
    name: str
    unit: str = ""
    section: str = ""
    kind: Kind = "scalar"
    meaning: str = ""
    stages: tuple[str, ...] = ()
    default: bool = True
    better: str = ""
    source: str = ""
    watched: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    summary: bool = False
    card: tuple[str, str] | None = None
    chart: Chart | None = None

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The pattern as a regular expression with a group for each field."""
        parts = re.split(r"\{(\w+)(\.\.\.)?\}", self.pattern)
        text = "".join(
            re.escape(literal) + (f"(?P<{name}>{'.+' if many else '[^/]+'})" if name else "")
            for literal, name, many in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True)
        )
        stage = f"(?:(?:{'|'.join(filter(None, self.stages))})/)?" if self.stages else ""
        added = {"distribution": f"(?:/(?:{'|'.join(LEVELS)}|not_finite))?", "numbered": r"(?:/\d+)?"}
        return re.compile(f"{stage}{text}{added.get(self.kind, '')}")

    def globs(self, stages: tuple[str, ...]) -> Iterator[str]:
        """Yield its keys of some stages as patterns of `fnmatch`."""
        body = self.pattern.replace("{axis}", "[0-9][0-9]")
        body = re.sub(r"\{\w+(\.\.\.)?\}", "*", body)
        yield from (f"{stage}/{body}" for stage in stages if stage in self.stages)


def ends(pattern: str, name: str, unit: str, section: str) -> Iterator[Entry]:
    """Yield the entries of the two ends of the 95 % interval of a number."""
    for end, words in (("low", "lower end"), ("high", "upper end")):
        yield Entry(
            f"{pattern}_{end}", f"{name}, {words}", unit, section, meaning="of its 95 % interval", default=False
        )


def figure(pattern: str, caption: str, section: str, meaning: str, kind: Kind = "image") -> Entry:
    """Return the entry of a picture, or of what else is kept in a file."""
    return Entry(pattern, caption, section=section, kind=kind, meaning=meaning)
