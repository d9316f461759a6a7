"""`lsgen table SWEEP`: a row for each setting of a sweep, with statistics over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from lsgen.cli.errors import UsageError
from lsgen.cli.schema import close_to
from lsgen.runs import RunDirectory, Sweep, index
from lsgen.runs.aggregate import Group, aggregate, best_groups

if TYPE_CHECKING:
    from lsgen.viz import Pixels
    from lsgen.viz.responses import Response

__all__ = ["SweepTable", "draw", "sweep_table"]

_STATISTICS = ("mean", "std", "ci_low", "ci_high")
_METRICS = ("val/elbo", "test/elbo", "test/reconstruction", "test/kl", "test/active_units")
_MAIN_STAGES = ("test/", "val/")
_SMALLEST = ("loss", "kl", "fid", "kid", "reconstruction", "nats_per_dimension", "bits_per_dimension", "error")


@dataclass(frozen=True)
class SweepTable:
    """Settings of a sweep and what became of them.

    Attributes:
        keys: the names of the settings.
        metrics: the names of the metrics.
        groups: one a setting.
        best: places in `groups` of the best setting and of those that the test does not tell from it.
        judge: the metric that decides on them; None where nothing was compared.
        over: what is aggregated over.

    """

    keys: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]
    best: frozenset[int]
    judge: str | None
    over: str

    @property
    def columns(self) -> list[str]:
        """The names of all columns."""
        return [*self.keys, "n", "failed", *(f"{metric}_{name}" for metric in self.metrics for name in _STATISTICS)]

    def rows(self) -> list[list[Any]]:
        """Return the values of all columns; None where there are too few runs."""
        return [self._row(group) for group in self.groups]

    def _row(self, group: Group) -> list[Any]:
        found = [group.statistics(metric) for metric in self.metrics]
        numbers = [getattr(one, name) for one in found for name in _STATISTICS]
        kept = [value if isfinite(value) else None for value in numbers]
        return [*(group.keys[key] for key in self.keys), group.n, group.failed, *kept]


def sweep_table(path: str, options: Mapping[str, str]) -> SweepTable:
    """Return the table of a sweep.

    Args:
        path: its directory.
        options: `by`, `over`, `metrics` and `best`, as the usage of `lsgen table` says.

    Raises:
        UsageError: a key or metric is asked for that no run has.

    """
    sweep = Sweep.open(path)
    rows = index([RunDirectory(sweep.path / job.run) for job in sweep.jobs])
    known = {key for row in rows for key in row}
    over = options.get("over", "seed")
    keys = _asked(options["by"], known) if "by" in options else _swept(sweep, rows, over)
    metrics = _asked(options["metrics"], known) if "metrics" in options else _measured(rows)
    judge, largest = _judge(options.get("best"), metrics, known)
    groups = aggregate(rows, keys, [*dict.fromkeys([*metrics, *([judge] if judge else [])])], over)
    best = best_groups(groups, judge, largest) if judge and len(groups) > 1 else set()
    return SweepTable(tuple(keys), tuple(metrics), tuple(groups), frozenset(best), judge, over)


def _swept(sweep: Sweep, rows: Sequence[Mapping[str, Any]], over: str) -> list[str]:
    """Return what the command lines of the jobs set to different values, but for what is aggregated over."""
    settings = [dict(override.partition("=")[::2] for override in job.overrides) for job in sweep.jobs]
    names = dict.fromkeys(name for setting in settings for name in setting)
    differing = [name for name in names if len({setting.get(name) for setting in settings}) > 1]
    keys = [name.lstrip("+~") for name in differing]
    return [key for key in dict.fromkeys(keys) if key != over and any(key in row for row in rows)]


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    present = {key for row in rows for key in row}
    main = [metric for metric in _METRICS if metric in present]
    return main or sorted(key for key in present if key.startswith(_MAIN_STAGES))[:5]


def _asked(text: str, known: set[str]) -> list[str]:
    keys = [key for key in text.split(",") if key]
    for key in keys:
        if key not in known:
            raise UsageError(f"no run has {key!r}{close_to(key, known)}")
    return keys


def _judge(asked: str | None, metrics: Sequence[str], known: set[str]) -> tuple[str | None, bool]:
    """Return the metric that tells the best setting, and whether larger is better."""
    if asked:
        (metric,) = _asked(asked.removeprefix("-"), known)
        return metric, not asked.startswith("-")
    chosen = next((name for name in metrics if name.endswith("/elbo")), metrics[0] if metrics else None)
    return chosen, chosen is None or chosen.rpartition("/")[2] not in _SMALLEST


def draw(table: SweepTable, key: str) -> Pixels:
    """Return every metric against one setting, with a line for each combination of the others.

    Raises:
        UsageError: the table has no such setting, or nothing was measured.

    """
    from lsgen.viz import responses

    if key not in table.keys:
        raise UsageError(f"expected --plot to name one of {', '.join(table.keys) or 'no settings'}, got {key!r}")
    panels: dict[str, dict[str, list[Response]]] = {}
    for group in table.groups:
        others = ", ".join(f"{name}={value}" for name, value in group.keys.items() if name != key)
        for metric in table.metrics:
            if values := list(group.values.get(metric, {}).values()):
                found = group.statistics(metric)
                point = (group.keys[key], values, (found.mean, found.ci_low, found.ci_high))
                panels.setdefault(metric, {}).setdefault(others, []).append(point)
    if not panels:
        raise UsageError("expected finished runs with metrics to plot, got none")
    return responses(panels, key, f"mean over {table.over}s, 95 % confidence interval")
