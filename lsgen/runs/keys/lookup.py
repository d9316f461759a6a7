"""Look up log keys in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from lsgen.runs.keys.entry import LEVELS, Entry
from lsgen.runs.keys.registry import ENTRIES

__all__ = ["Match", "find", "logged_by_default", "main_metrics", "watchable"]

_DEFAULT_LEVELS = ("q05", "q50", "q95")
_SPACES = {"w": "W", "w_plus": "W+"}
_SPACED = ("traversal", "interpolation", "geometry", "curvature")  # families that also look at W and W+


class Match(NamedTuple):
    """An entry that describes a key.

    Attributes:
        entry: the entry.
        fields: the parts of the key that stand in the fields of the pattern.
        name: what the key is called.

    """

    entry: Entry
    fields: dict[str, str]
    name: str


@cache
def find(key: str) -> Match | None:
    """Return the entry whose pattern matches a key, in any stage, level, number or style space; None without one."""
    family, _, rest = key.partition("/")
    part, _, tail = rest.partition("/")
    space = _SPACES.get(part) if family in _SPACED and tail else None
    plain = f"{family}/{tail}" if space else key
    for entry in ENTRIES:
        if (found := entry.regex.fullmatch(plain)) is not None:
            fields = found.groupdict()
            shown = {name: str(int(text)) if text.isdecimal() else text for name, text in fields.items()}
            return Match(entry, fields, entry.name.format(**shown) + (f" in {space}" if space else ""))
    return None


def logged_by_default(values: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers that a logger gets by default.

    Of a distribution these are the median, the 5 % and the 95 % quantile, and the number of values that are not finite
    where there are any. Keys that are not registered are kept.
    """
    return {key: value for key, value in values.items() if _is_default(key, value)}


def _is_default(key: str, value: float) -> bool:
    match = find(key)
    if match is None:
        return True
    last = key.rpartition("/")[2]
    if match.entry.kind == "distribution" and (last in LEVELS or last == "not_finite"):
        return match.entry.default and (value != 0 if last == "not_finite" else last in _DEFAULT_LEVELS)
    return match.entry.default


def main_metrics() -> list[str]:
    """Return the metrics that tables of runs show if no others are asked for."""
    return [f"{stage}/{entry.pattern}" for entry in ENTRIES for stage in entry.table]


def watchable(source: str) -> list[str]:
    """Return patterns of the keys logged by a class of this name that callbacks may monitor."""
    return [glob for entry in ENTRIES if entry.source == source for glob in entry.globs(entry.watched)]
