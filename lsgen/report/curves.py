"""Group curves into charts and thin their points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lsgen.runs.keys import ENTRIES

__all__ = ["charts", "overlays", "thinned"]

Points = Sequence[tuple[float, float]]

_POINTS = 400
_POINTS_OF_ALL = 20_000
_STAGES = {"train": "train", "val": "validation"}


def charts(curves: Mapping[str, Points]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the featured charts, and the charts of all other keys.

    Each is {"title", "unit", "series": [{"name", "key", "points": [[x, y], ...]}]}; keys NAME/q05 ... NAME/q95 and
    NAME/00, NAME/01, ... share a chart.
    """
    featured = [
        chart
        for (title, unit), series in _featured().items()
        if (chart := _chart(title, unit, {name: (key, curves[key]) for key, name in series.items() if key in curves}))
    ]
    shown = {series["key"] for chart in featured for series in chart["series"]}
    groups: dict[str, dict[str, tuple[str, Points]]] = {}
    for key in sorted(set(curves) - shown):
        stem, _, last = key.rpartition("/")
        family = stem if stem and (last.isdigit() or (last[:1] == "q" and last[1:].isdigit())) else key
        groups.setdefault(family, {})[last if family == stem else key] = (key, curves[key])
    return featured, [chart for title, group in groups.items() if (chart := _chart(title, "", group))]


def overlays(runs: Mapping[str, Mapping[str, Points]], groups: Mapping[str, str]) -> tuple[list[Any], list[Any]]:
    """Return charts of validation metrics with one line per run: the featured charts, and the others.

    Args:
        runs: name of a run -> key -> its points.
        groups: name of a run -> what it has in common with others, for which they have one colour.

    """
    featured = {key: chart for chart, series in _featured().items() for key in series if key.startswith("val/")}
    present = {key for curves in runs.values() for key in curves if key.startswith("val/")}
    most = min(_POINTS, max(2, _POINTS_OF_ALL // max(len(runs), 1)))

    colours = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}

    def chart(key: str, title: str, unit: str) -> dict[str, Any]:
        drawn = _chart(title, unit, {name: (key, curves[key]) for name, curves in runs.items() if key in curves}, most)
        assert drawn is not None
        for series in drawn["series"]:
            group = groups[series["name"]]
            series |= {"colour": colours[group], "group": group}
        return drawn

    return (
        [chart(key, *featured[key]) for key in featured if key in present],
        [chart(key, key, "") for key in sorted(present - set(featured))],
    )


def _featured() -> dict[tuple[str, str], dict[str, str]]:
    """Return the featured charts: title and unit -> key -> name of its line."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for entry in ENTRIES:
        if entry.chart is not None:
            title, unit, series = entry.chart
            stages = {f"{stage}/": name for stage, name in _STAGES.items() if stage in entry.stages} or {"": series}
            median = "/q50" if entry.kind == "distribution" else ""
            for stage, name in stages.items():
                found.setdefault((title, unit), {})[f"{stage}{entry.pattern}{median}"] = series or name
    return found


def thinned(points: Points, most: int = _POINTS) -> list[list[float]]:
    """Return at most about `most` points: the minimum and the maximum of each interval, so that every peak is kept."""
    if len(points) <= most:
        return [[x, y] for x, y in points]
    stretches = most // 2
    kept: set[int] = {0, len(points) - 1}
    for i in range(stretches):
        low, high = i * len(points) // stretches, (i + 1) * len(points) // stretches
        kept |= {min(range(low, high), key=lambda j: points[j][1]), max(range(low, high), key=lambda j: points[j][1])}
    return [list(points[j]) for j in sorted(kept)]


def _chart(
    title: str, unit: str, series: Mapping[str, tuple[str, Points]], most: int = _POINTS
) -> dict[str, Any] | None:
    drawn = [
        {"name": name, "key": key, "points": [[float(f"{v:.6g}") for v in point] for point in thinned(points, most)]}
        for name, (key, points) in series.items()
    ]
    return {"title": title, "unit": unit, "series": drawn} if drawn else None
