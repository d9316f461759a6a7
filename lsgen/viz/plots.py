"""Plots of computed values: spectra, maps over a plane of z, matrices, profiles and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from lsgen.viz.style import ACCENT, GRID, INK, MUTED, PAPER, SERIES, Pixels, canvas, headline, rasterise

__all__ = ["curves", "matrices", "plane_maps", "profiles", "spectra"]

_PATHS = (PAPER, SERIES[1], SERIES[5])  # what is seen on the maps


def spectra(panels: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str, ylabel: str = "eigenvalue") -> Pixels:
    """Return sorted spectra on a logarithmic axis, one panel for each name.

    Args:
        panels: by name, the spectra (N, d), drawn thin, and one to be drawn thick over them, (d,). Values
            that are not positive have no logarithm and leave a gap.
        title: a line above all panels.
        ylabel: what the values are.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(4.2, 3.4, len(panels)) as (figure, axes):
        for ax, (name, (every, thick)) in zip(axes, panels.items(), strict=True):
            _spectrum(ax, _positive(every), _positive(thick))
            ax.set_title(name, fontweight="normal")
        axes[0].set_ylabel(ylabel)
        headline(figure, title)
        return rasterise(figure)


def plane_maps(
    maps: Mapping[str, ArrayLike],
    extent: tuple[float, float],
    axes_labels: tuple[str, str],
    title: str,
    diverging: Sequence[str] = (),
    points: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    paths: Mapping[str, Sequence[ArrayLike]] | None = None,
    dashed: Sequence[str] = (),
) -> Pixels:
    """Return maps of scalar fields over one plane of z side by side, with encoded data and paths on top.

    Args:
        maps: fields (N, N) by name, the first index from top to bottom as `lsgen.latent.paths.plane` lays it
            out; values that are not finite are left blank.
        extent: least and greatest coordinate of the outer grid points, along both axes.
        axes_labels: what the horizontal and the vertical coordinate are.
        title: a line above all maps.
        diverging: names of the maps coloured about zero, so that the sign is the hue.
        points: encoded data in the plane's coordinates, (M, 2).
        groups: an integer label (M,) for every point, shown by colour.
        paths: curves (K, 2) in the plane's coordinates, by name.
        dashed: names of the paths drawn dashed.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(4.9, 4.4, len(maps), right=0.75) as (figure, axes):
        for ax, (name, values) in zip(axes, maps.items(), strict=True):
            edges = _map(figure, ax, np.asarray(values, dtype=float), extent, name in diverging)
            _scatter(ax, points, groups)
            _paths(ax, paths or {}, dashed)
            ax.set(title=name, xlabel=axes_labels[0], xlim=edges, ylim=edges)
            ax.title.set_fontweight("normal")
        axes[0].set_ylabel(axes_labels[1])
        headline(figure, title)
        _name_groups(figure, groups)
        return rasterise(figure)


def profiles(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    title: str,
    xlabel: str = "",
    ylabel: str = "",
    dashed: Sequence[str] = (),
) -> Pixels:
    """Return curves y(x) in panels side by side, with one scale for all.

    Args:
        panels: by name, the curves of a panel by their names, each the pair (x, y).
        title: a line above all panels.
        xlabel: what x is.
        ylabel: what y is.
        dashed: names of the curves drawn dashed.

    Returns:
        Pixels (H, W, 3).

    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    top = max(float(np.nanmax(np.asarray(y, dtype=float))) for panel in panels.values() for _, y in panel.values())
    with canvas(3.4, 3.0, len(panels)) as (figure, axes):
        for ax, (about, panel) in zip(axes, panels.items(), strict=True):
            for name, (x, y) in panel.items():
                style, colour = "--" if name in dashed else "-", SERIES[names.index(name) % len(SERIES)]
                ax.plot(np.asarray(x), np.asarray(y), style, color=colour, label=name)
            ax.set(title=about, xlabel=xlabel, ylim=(0, 1.25 * top if np.isfinite(top) and top > 0 else 1))
            ax.title.set_fontweight("normal")
            ax.legend(loc="upper right", ncols=2)
        axes[0].set_ylabel(ylabel)
        headline(figure, title)
        return rasterise(figure)


def matrices(tables: Mapping[str, ArrayLike], title: str, xlabel: str = "", ylabel: str = "") -> Pixels:
    """Return square matrices side by side as maps, each with a scale of its own; values that are not finite are blank.

    Args:
        tables: matrices (N, N) by name.
        title: a line above all of them.
        xlabel: what the columns are.
        ylabel: what the rows are.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(4.4, 4.0, len(tables), right=0.75) as (figure, axes):
        for ax, (name, table) in zip(axes, tables.items(), strict=True):
            values = np.asarray(table, dtype=float)
            _map(figure, ax, values[::-1], (0, len(values) - 1), diverging=False)
            ax.invert_yaxis()
            ax.set(title=name, xlabel=xlabel)
            ax.title.set_fontweight("normal")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel(ylabel)
        headline(figure, title)
        return rasterise(figure)


def curves(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str, xlabel: str = "step", ylabel: str = ""
) -> Pixels:
    """Return curves y(x), each given by name as the pair (x, y)."""
    with canvas(6.4, 3.4) as (figure, (ax,)):
        for i, (name, (x, y)) in enumerate(series.items()):
            ax.plot(np.asarray(x), np.asarray(y), color=SERIES[i % len(SERIES)], label=name)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if len(series) > 1:
            ax.legend()
        headline(figure, title)
        return rasterise(figure)


def _paths(ax: Axes, paths: Mapping[str, Sequence[ArrayLike]], dashed: Sequence[str]) -> None:
    for colour, (label, lines) in zip(_PATHS, paths.items(), strict=False):
        for i, line in enumerate(lines):
            style = "--" if label in dashed else "-"
            ax.plot(*np.asarray(line).T, style, color=colour, label=None if i else label)
    if paths:
        ax.legend(loc="upper right", frameon=True, facecolor=MUTED, labelcolor=PAPER, edgecolor="none")


def _name_groups(figure: Figure, groups: ArrayLike | None) -> None:
    """Label up to ten groups of points in their colours, at the upper right."""
    names = [] if groups is None else sorted({int(g) for g in np.asarray(groups)})
    width, height = figure.get_size_inches()
    for i, name in enumerate(reversed(names if len(names) <= len(SERIES) else [])):
        colour = SERIES[name % len(SERIES)]
        figure.text(1 - (0.15 + 0.24 * i) / width, 1 - 0.1 / height, f"{name}", color=colour, va="top", ha="right")


def _positive(values: ArrayLike) -> NDArray[np.float64]:
    array = np.atleast_2d(np.asarray(values, dtype=float))
    return np.where(array > 0, array, np.nan)


def _spectrum(ax: Axes, every: NDArray[np.float64], thick: NDArray[np.float64]) -> None:
    index = np.arange(1, every.shape[1] + 1)
    ax.plot(index, every.T, color=ACCENT, alpha=min(1.0, max(0.08, 4 / len(every))), linewidth=0.9)
    ax.plot(index, thick[0], color=INK, marker="o", markersize=3.5, linewidth=1.8, label="median")
    ax.set(xlabel="index, largest first", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    narrow = np.nanmax(every) < 30 * np.nanmin(every) if np.isfinite(every).any() else True
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    ax.legend(loc="upper right")


def _map(
    figure: Figure, ax: Axes, values: NDArray[np.float64], extent: tuple[float, float], diverging: bool
) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (float(v) for v in np.quantile(finite, (0.01, 0.99))) if finite.size else (0.0, 1.0)
    half = (extent[1] - extent[0]) / max(len(values) - 1, 1) / 2
    edges = (extent[0] - half, extent[1] + half)
    norm: TwoSlopeNorm | None = None
    cmap: str | Colormap = "viridis"
    if diverging:
        reach = max(abs(low), abs(high)) or 1.0
        norm, cmap = TwoSlopeNorm(0.0, -reach, reach), "RdBu_r"
    picture = ax.imshow(
        values,
        extent=(*edges, *edges),
        cmap=cmap,
        norm=norm,
        vmin=None if norm else low,
        vmax=None if norm else high,
        aspect="equal",
        interpolation="nearest",
    )
    ax.grid(visible=False)
    ax.set_facecolor(GRID)
    beyond = bool(finite.size and (finite.min() < low or finite.max() > high))
    beside = ax.inset_axes((1.035, 0.06, 0.04, 0.88))
    bar = figure.colorbar(picture, cax=beside, extend="both" if beyond else "neither")
    bar.outline.set_visible(False)
    return edges


def _scatter(ax: Axes, points: ArrayLike | None, groups: ArrayLike | None) -> None:
    if points is None:
        return
    x, y = np.asarray(points, dtype=float).T
    colours = MUTED if groups is None else [SERIES[int(g) % len(SERIES)] for g in np.asarray(groups)]
    ax.scatter(x, y, s=14, c=colours, edgecolors="white", linewidths=0.6, zorder=3)
