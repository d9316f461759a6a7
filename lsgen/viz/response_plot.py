"""Metrics against one setting: means with confidence intervals, and every seed as a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lsgen.viz.style import SERIES, Pixels, canvas, headline, rasterise

__all__ = ["Response", "responses"]

Response = tuple[Any, Sequence[float], tuple[float, float, float]]
_DECADES = 50.0


def responses(panels: Mapping[str, Mapping[str, Sequence[Response]]], xlabel: str, title: str) -> Pixels:
    """Return one panel for each metric, with a line for each group of runs.

    Args:
        panels: metric -> name of a line -> (setting, values of the seeds, (mean, lower, upper end of its interval));
            ends that are not finite draw no bar. Settings that are no numbers are put side by side; numbers over more
            than a factor of 50 go on a logarithmic axis.
        xlabel: the name of the setting.
        title: a line above all panels.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(4.4, 3.4, len(panels)) as (figure, axes):
        for ax, (metric, lines) in zip(axes, panels.items(), strict=True):
            places = _axis(ax, [x for line in lines.values() for x, _, _ in line])
            for number, (name, line) in enumerate(lines.items()):
                _line(ax, places, line, SERIES[number % len(SERIES)], name)
            ax.set(xlabel=xlabel, title=metric)
            if 1 < len(lines) <= len(SERIES):  # more share colours, which a legend could not tell
                ax.legend()
        headline(figure, title)
        return rasterise(figure)


def _axis(ax: Axes, settings: Sequence[Any]) -> dict[Any, float]:
    """Return the positions of the settings on the x axis, and label them."""
    distinct = list(dict.fromkeys(settings))
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x in distinct):
        places = {x: float(x) for x in distinct}
        if min(places.values()) > 0 and max(places.values()) / min(places.values()) > _DECADES:
            ax.set_xscale("log")
        return places
    ax.set_xticks(range(len(distinct)), [str(x) for x in distinct])
    return {x: float(place) for place, x in enumerate(distinct)}


def _line(ax: Axes, places: Mapping[Any, float], line: Sequence[Response], colour: str, name: str) -> None:
    ordered = sorted(line, key=lambda point: places[point[0]])
    x = np.array([places[setting] for setting, _, _ in ordered])
    mean, low, high = np.array([interval for _, _, interval in ordered], dtype=float).T
    ax.plot(x, mean, "-o", color=colour, markersize=4, label=name or None)
    known = np.isfinite(low) & np.isfinite(high)
    ax.vlines(x[known], low[known], high[known], color=colour, linewidth=2.4, alpha=0.6)
    for place, (_, values, _) in zip(x, ordered, strict=True):
        ax.plot(np.full(len(values), place), values, "o", color=colour, markersize=3, alpha=0.35)
