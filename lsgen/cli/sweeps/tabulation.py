"""`lsgen table SWEEP`: a row for each setting of a sweep, with statistics over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import UsageError
from lsgen.runs import RunDirectory, Sweep, index
from lsgen.runs.keys import find, main_metrics
from lsgen.runs.scaling import SCALING_EFFICIENCY, add_scaling_efficiency
from lsgen.runs.seed_statistics import STATISTICS, SweepTable, aggregate, best_groups

if TYPE_CHECKING:
    from lsgen.viz import Pixels
    from lsgen.viz.response_plot import Response

__all__ = ["draw", "sweep_table"]

_MAIN_STAGES = ("test/", "val/")


def sweep_table(path: str, options: Mapping[str, str]) -> SweepTable:
    """Return the table of a sweep.

    Args:
        path: its directory.
        options: `by`, `over`, `metrics`, `best` and `statistics`, as the usage of `lsgen table` says.

    Raises:
        UsageError: a key or metric is asked for that no run has, or an unknown statistic.

    """
    sweep = Sweep.open(path)
    rows = index([RunDirectory(sweep.path / job.run) for job in sweep.jobs])
    over, shown = options.get("over", "seed"), _statistics(options)
    add_scaling_efficiency(rows, [key for key in sweep.swept() if key != over])
    known = {key for row in rows for key in row}
    over = _asked(over, known)[0] if "over" in options else over
    keys = _asked(options["by"], known) if "by" in options else _swept(sweep, rows, over)
    metrics = _asked(options["metrics"], known) if "metrics" in options else _measured(rows)
    judge, largest = _deciding_metric(options.get("best"), metrics, known)
    judged = [*dict.fromkeys([*metrics, *([judge] if judge else [])])]
    groups = aggregate(rows, keys, judged, over, [key for key in _swept(sweep, rows, over) if key not in keys])
    best = best_groups(groups, judge, largest) if judge and len(groups) > 1 else set()
    table = SweepTable(tuple(keys), tuple(metrics), tuple(groups), frozenset(best), judge, over)
    return replace(table, statistics=shown, asked=True) if shown else table


def _statistics(options: Mapping[str, str]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(name for name in options.get("statistics", "").split(",") if name))
    for name in asked:
        if name not in STATISTICS:
            raise UsageError(
                f"expected --statistics among {', '.join(STATISTICS)}, got {name!r}{did_you_mean(name, STATISTICS)}"
            )
    return asked


def _swept(sweep: Sweep, rows: Sequence[Mapping[str, Any]], over: str) -> list[str]:
    """Return the keys that the jobs set to different values, except those that are aggregated over."""
    return [key for key in sweep.swept() if key != over and any(key in row for row in rows)]


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    present = {key for row in rows for key in row}
    main = [metric for metric in main_metrics() if metric in present]
    main = main or sorted(key for key in present if key.startswith(_MAIN_STAGES))[:5]
    return [*main, *({SCALING_EFFICIENCY} & present)]


def _asked(text: str, known: set[str]) -> list[str]:
    keys = list(dict.fromkeys(key for key in text.split(",") if key))
    for key in keys:
        if key not in known:
            raise UsageError(f"no run has {key!r}{did_you_mean(key, known)}")
    return keys


def _deciding_metric(asked: str | None, metrics: Sequence[str], known: set[str]) -> tuple[str | None, bool]:
    """Return the metric that decides on the best setting, and whether larger is better."""
    if asked:
        (metric,) = _asked(asked.removeprefix("-"), known)
        return metric, not asked.startswith("-")
    chosen = next((name for name in metrics if name.endswith("/elbo")), metrics[0] if metrics else None)
    match = None if chosen is None else find(chosen)
    return chosen, match is None or match.entry.better != "lower"


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
