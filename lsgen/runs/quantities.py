"""Logged numbers as the rows of a table: under their names, quantiles of one quantity side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lsgen.runs.keys import ENTRIES, LEVELS, find

__all__ = ["Quantity", "grouped", "in_reading_order", "named", "share_measured"]


@dataclass
class Quantity:
    """A row of a table of logged numbers.

    Attributes:
        key: what the logged keys have in common.
        name: what it is called.
        unit: its unit; empty where it has none, or where that is not known.
        levels: level -> value, of `LEVELS`, where quantiles were logged.
        not_finite: how many values were in no quantile; None where no quantiles were logged.
        values: the values themselves where they were logged: one, or one for each number NN of KEY/NN.

    """

    key: str
    name: str
    unit: str
    levels: dict[str, float] = field(default_factory=dict)
    not_finite: float | None = None
    values: list[float] = field(default_factory=list)


def named(key: str) -> tuple[str, str]:
    """Return the name of a logged quantity and its unit; the key itself, and no unit, if it is not registered."""
    return (key, "") if (found := find(key)) is None else (found.name, found.entry.unit)


def share_measured(config: Mapping[str, Any]) -> str:
    """Return the share of the validation and test sets that a run was measured on, in words; empty if all of them.

    Args:
        config: the run's config, whose trainer may limit batches: a whole number counts them, a fraction is a share.

    """
    trainer = config.get("trainer")
    found = []
    for stage in ("val", "test"):
        limit = trainer.get(f"limit_{stage}_batches") if isinstance(trainer, Mapping) else None
        if isinstance(limit, float) and limit < 1:
            found.append(f"{stage} over {limit:.4g} of its batches")
        elif isinstance(limit, int):
            found.append(f"{stage} over {limit} batches")
    return ", ".join(found)


def in_reading_order(keys: Iterable[str]) -> list[str]:
    """Return keys in the order of the registry, those that it does not have last, each once."""
    places = {entry.pattern: place for place, entry in enumerate(ENTRIES)}

    def place(key: str) -> int:
        return len(places) if (found := find(key)) is None else places[found.entry.pattern]

    return sorted(dict.fromkeys(keys), key=place)


def grouped(metrics: Mapping[str, float]) -> list[Quantity]:
    """Return logged numbers in rows, in their order: quantiles of one quantity together, numbered values together."""
    rows: dict[str, Quantity] = {}
    counted = {key.rpartition("/")[0] for key in metrics if key.rpartition("/")[2] in (*LEVELS, "not_finite")}
    for key, value in metrics.items():
        stem, _, last = key.rpartition("/")
        together = stem if stem in counted or last.isdecimal() else key
        row = rows.setdefault(together, Quantity(together, *named(together)))
        if stem not in counted:
            row.values.append(value)
        elif last == "not_finite":
            row.not_finite = value
        else:
            row.levels[last] = value
    for stem in counted:
        if rows[stem].not_finite is None:
            rows[stem].not_finite = 0.0  # loggers get it only if there are any
    return list(rows.values())
