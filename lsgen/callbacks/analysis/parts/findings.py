"""What an analysis of codes has found: statistics, and the parts that were left out, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from numpy.typing import NDArray

from lsgen.analysis import Statistic
from lsgen.callbacks.logging.sink import Sink

__all__ = ["Findings"]

COLUMNS = ("statistic", "value", "lower end", "upper end", "by chance", "n", "seed")


@dataclass
class Findings:
    """Statistics of one turn, which go to the log as they come.

    Attributes:
        sink: where numbers and figures go.
        statistics: by key.
        columns: of each code, by name; they are written with the codes.
        left_out: by part, why it was left out.

    """

    sink: Sink
    statistics: dict[str, Statistic] = field(default_factory=dict)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, found: Statistic) -> None:
        """Log a statistic: its value under its key, the ends of its interval under KEY_low and KEY_high.

        What is no finite number is left out.
        """
        if not isfinite(found.value):
            self.left_out[key] = "it is no finite number"
            return
        self.statistics[key] = found
        ends = {} if found.interval is None else {f"{key}_low": found.interval[0], f"{key}_high": found.interval[1]}
        self.numbers({key: found.value, **ends})

    def numbers(self, values: Mapping[str, float]) -> None:
        """Log numbers by key, those that are finite."""
        self.sink.scalars({key: value for key, value in values.items() if isfinite(value)})

    def table(self, key: str) -> None:
        """Log all statistics as a table."""
        rows = [
            [name, one.value, *(one.interval or (None, None)), one.baseline, one.n, one.seed]
            for name, one in self.statistics.items()
        ]
        self.sink.table(key, COLUMNS, rows)
