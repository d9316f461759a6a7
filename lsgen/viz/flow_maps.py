"""Maps of places with the flows between them, and of numbers or colours of places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import cos, radians

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from lsgen.viz.style import ACCENT, GRID, INK, MUTED, PAPER, SERIES, Pixels, canvas, headline, rasterise, shortened

__all__ = ["flow_map", "place_maps"]

_STEPS, _BEND = 24, 0.16  # points of an arrow; how far it leaves the chord, in lengths of it
_MORE, _LESS = ACCENT, SERIES[1]
_GROUND = "#f6f7f9"


def flow_map(
    places: ArrayLike, links: ArrayLike, weights: ArrayLike, title: str, names: Mapping[int, str] | None = None
) -> Pixels:
    """Return a map of places with an arrow for each link, blue where its weight is positive and orange where negative.

    Arrows bend to their left, so that two opposite ones lie side by side; the width is the size of the weight.

    Args:
        places: latitude and longitude of each place in degrees, (N, 2).
        links: source and target, whole numbers (E, 2).
        weights: signed weights, (E,).
        title: a line above the map.
        names: places that are named, by number.

    Returns:
        Pixels (H, W, 3).

    """
    x, ends, sizes = _projected(places), np.asarray(links, dtype=int), np.asarray(weights, dtype=float)
    with _map(x, 1, width=8.6, below=0.3) as (figure, (ax,)):
        largest = max(float(np.abs(sizes).max(initial=0.0)), 1e-12)
        unit = float(np.ptp(x[:, 0])) / 100 or 1.0
        for row in np.argsort(np.abs(sizes)):  # strong ones above weak ones
            share = abs(sizes[row]) / largest
            start, end = x[ends[row]]
            arrow = _arrow(start, end, width=unit * (0.08 + 0.3 * share), head=unit * (0.7 + 0.7 * share))
            colour = _MORE if sizes[row] > 0 else _LESS
            ax.add_collection(PolyCollection([arrow], facecolors=colour, linewidths=0, alpha=0.2 + 0.5 * share))
        ax.scatter(x[:, 0], x[:, 1], s=9, c=INK, linewidths=0, zorder=3)
        _name(ax, x, names or {})
        headline(figure, title)
        for at, colour, words in ((0.15, _MORE, "more than sizes of places explain"), (2.9, _LESS, "fewer")):
            place = at / figure.get_figwidth(), 0.13 / figure.get_figheight()
            figure.text(*place, f"→ {words}", color=colour, fontsize=8.5)
        return rasterise(figure)


def place_maps(
    places: ArrayLike,
    panels: Mapping[str, ArrayLike],
    title: str,
    label: str = "",
    limits: tuple[float, float] | None = None,
    names: Mapping[int, str] | None = None,
) -> Pixels:
    """Return maps of places one below the other, coloured by numbers or in given colours.

    Args:
        places: latitude and longitude of each place in degrees, (N, 2).
        panels: by name a number of each place, (N,), or its colour, red, green and blue in [0, 1], (N, 3).
        title: a line above all maps.
        label: what the numbers are.
        limits: the numbers at the two ends of the colours; the least and the greatest unless given.
        names: places that are named, by number.

    Returns:
        Pixels (H, W, 3).

    """
    x, values = _projected(places), {name: np.asarray(panel, dtype=float) for name, panel in panels.items()}
    numbers = [panel for panel in values.values() if panel.ndim == 1]
    low, high = limits or (min(map(np.min, numbers), default=0.0), max(map(np.max, numbers), default=1.0))
    shades = ScalarMappable(Normalize(low, high), "viridis")
    with _map(x, len(values), width=8.6, beside=0.95 if numbers else 0.0) as (figure, axes):
        for ax, (name, panel) in zip(axes, values.items(), strict=True):
            colours = shades.to_rgba(panel) if panel.ndim == 1 else panel
            ax.scatter(x[:, 0], x[:, 1], s=90, c=colours, edgecolors=MUTED, linewidths=0.6, zorder=3)
            ax.text(0.012, 0.03, name, transform=ax.transAxes, fontsize=9, color=MUTED)
            _name(ax, x, names or {}, above=7)
            if panel.ndim == 1:
                beside = ax.inset_axes((1.02, 0.04, 0.018, 0.92))
                bar = figure.colorbar(shades, cax=beside, label=label)
                bar.outline.set_visible(False)
        headline(figure, title)
        return rasterise(figure)


@contextmanager
def _map(
    x: NDArray[np.float64], rows: int, width: float, beside: float = 0.0, below: float = 0.0
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure with empty maps one below the other, from square ones to those a third as high as wide.

    Args:
        x: what they have to hold, (N, 2).
        rows: number of maps.
        width: of the figure, in inches.
        beside: room at the right, in inches.
        below: room under all of them, in inches.

    """
    edge, top, gap = 0.12, 0.42, 0.1
    low, high = x.min(0), x.max(0)
    margin = 0.06 * max(*(high - low), 1e-9)
    east, north = high - low + 2 * margin
    inner = width - 2 * edge - beside
    tall = inner * float(np.clip(north / east, 0.33, 1))
    height = top + rows * tall + (rows - 1) * gap + below + edge
    with canvas(width, height) as (figure, (first,)):
        axes = [first, *(figure.add_axes((0, 0, 1, 1)) for _ in range(rows - 1))]
        for row, ax in enumerate(axes):
            bottom = height - top - (row + 1) * tall - row * gap
            ax.set_position((edge / width, bottom / height, inner / width, tall / height))
            ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
            ax.set(xticks=[], yticks=[], facecolor=_GROUND)
            ax.set_aspect("equal", adjustable="datalim")
            for spine in ax.spines.values():
                spine.set(visible=True, color=GRID)
        yield figure, axes


def _projected(places: ArrayLike) -> NDArray[np.float64]:
    """Return degrees east and north with one scale at the middle latitude, (N, 2): an equirectangular map."""
    latitude, longitude = np.asarray(places, dtype=float).T
    middle = radians(float(latitude.min() + latitude.max()) / 2)
    return np.stack([longitude * cos(middle), latitude], 1)


def _arrow(start: NDArray[np.float64], end: NDArray[np.float64], width: float, head: float) -> NDArray[np.float64]:
    """Return the outline (M, 2) of an arrow along a parabola that leaves the chord to its left."""
    along = end - start
    middle = start + along / 2 + 2 * _BEND * np.array([-along[1], along[0]])
    t = np.linspace(0, max(0.5, 1 - head / max(float(np.linalg.norm(along)), 1e-12)), _STEPS)[:, None]
    body = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    tangent = (1 - t) * (middle - start) + t * (end - middle)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)
    half, wing = normal * width / 2, normal[-1:] * head * 0.42
    return np.concatenate([body + half, body[-1:] + wing, end[None], body[-1:] - wing, (body - half)[::-1]])


def _name(ax: Axes, x: NDArray[np.float64], names: Mapping[int, str], above: float = 4) -> None:
    """Write names above their places, with a margin of the colour of paper."""
    around = [withStroke(linewidth=2.2, foreground=PAPER)]
    for row, name in names.items():
        ax.annotate(
            shortened(name, 16),
            (x[row, 0], x[row, 1]),
            xytext=(0, above),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            zorder=4,
            path_effects=around,
        )
