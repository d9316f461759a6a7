"""Plots of what is known of codes: maps, curves with intervals, ROC curves, p-values and profiles of paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from lsgen.viz.colouring import group_colours, name_groups
from lsgen.viz.style import INK, MUTED, SERIES, Pixels, canvas, headline, rasterise, shortened

__all__ = ["change_matrix", "interval_curves", "p_value_histograms", "path_profiles", "roc_curves", "scatter_maps"]


def scatter_maps(maps: Mapping[str, ArrayLike], title: str, groups: ArrayLike | None = None) -> Pixels:
    """Return maps of codes side by side, coloured by a group or a number.

    Args:
        maps: coordinates (N, 2 or more) by name, of which the first two are drawn.
        title: a line above all maps.
        groups: of each code text or whole numbers, a group, or other numbers, (N,); grey where it is missing.

    Returns:
        Pixels (H, W, 3).

    """
    colours, named = group_colours(groups)
    with canvas(4.2, 4.0, len(maps), right=0.2) as (figure, axes):
        for ax, (name, points) in zip(axes, maps.items(), strict=True):
            x = np.asarray(points, dtype=float)
            ax.scatter(x[:, 0], x[:, 1], s=max(2.0, min(14.0, 8000 / max(len(x), 1))), c=colours, linewidths=0)
            ax.set_title(name, fontweight="normal")
            ax.set_aspect("equal", adjustable="datalim")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(NullFormatter())
        headline(figure, title)
        name_groups(figure, named)
        return rasterise(figure)


def interval_curves(
    series: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    title: str,
    xlabel: str,
    ylabel: str,
    dashed: Sequence[str] = (),
) -> Pixels:
    """Return curves with intervals on a logarithmic axis.

    Args:
        series: by name x, y, and the lower and upper ends of the intervals of y, (N,) each.
        title: a line above them.
        xlabel: what x is, positive.
        ylabel: what y is.
        dashed: names of the curves drawn dashed and without intervals.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(6.4, 3.6) as (figure, (ax,)):
        for i, (name, parts) in enumerate(series.items()):
            x, y, low, high = (np.asarray(part, dtype=float) for part in parts)
            colour = MUTED if name in dashed else SERIES[i % len(SERIES)]
            ax.plot(x, y, "--" if name in dashed else "o-", color=colour, label=name, markersize=4)
            if name not in dashed:
                ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log")
        ticks = sorted({float(x) for parts in series.values() for x in np.asarray(parts[0])})
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.legend()
        headline(figure, title)
        return rasterise(figure)


def roc_curves(series: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Pixels:
    """Return ROC curves, each given by name as the shares (false positives, true positives).

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(5.6, 4.4) as (figure, (ax,)):
        ax.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="chance")
        for i, (name, (fpr, tpr)) in enumerate(series.items()):
            ax.plot(np.asarray(fpr), np.asarray(tpr), color=SERIES[i % len(SERIES)], label=name)
        ax.set(xlabel="share of ordinary codes above", ylabel="share of strange codes above", aspect="equal")
        ax.legend(loc="lower right")
        headline(figure, title)
        return rasterise(figure)


def p_value_histograms(panels: Mapping[str, ArrayLike], title: str, bins: int = 20) -> Pixels:
    """Return histograms of p-values, in units of the uniform density, one panel for each name.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(2.6, 2.6, len(panels)) as (figure, axes):
        for ax, (name, values) in zip(axes, panels.items(), strict=True):
            ax.hist(np.asarray(values, dtype=float), bins=bins, range=(0, 1), density=True, color=SERIES[0])
            ax.axhline(1, color=INK, linewidth=1, linestyle="--")
            ax.set_title(name, fontweight="normal")
            ax.set(xlabel="p", xlim=(0, 1))
        axes[0].set_ylabel("density")
        headline(figure, title)
        return rasterise(figure)


def path_profiles(
    panels: Mapping[str, Mapping[str, ArrayLike]],
    title: str,
    off: Mapping[str, ArrayLike] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Pixels:
    """Return what is known along paths, one panel for each quantity with a scale of its own.

    Args:
        panels: by name of the quantity, by name of the path, its values at equidistant steps, (N,).
        title: a line above all panels.
        off: by name of the path which steps are off the manifold, (N,); they are marked by crosses.
        limits: by name of the quantity a value at which a line is drawn.

    Returns:
        Pixels (H, W, 3).

    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    with canvas(2.9, 2.9, len(panels)) as (figure, axes):
        for ax, (about, panel) in zip(axes, panels.items(), strict=True):
            if about in (limits or {}):
                ax.axhline((limits or {})[about], color=MUTED, linewidth=1, linestyle="--")
            for name, values in panel.items():
                _profile(ax, name, np.asarray(values, dtype=float), SERIES[names.index(name) % len(SERIES)], off or {})
            ax.set_title(about, fontweight="normal")
            ax.set(xlabel="along the path", xlim=(0, 1))
        headline(figure, title)
        name_groups(figure, [(name, SERIES[i % len(SERIES)]) for i, name in enumerate(names)])
        return rasterise(figure)


def change_matrix(values: ArrayLike, names: Sequence[str], title: str) -> Pixels:
    """Return a matrix of changes with the names of its rows and columns; blue is less, red is more, white is none.

    Args:
        values: changes (N, N); those that are not finite are blank.
        names: of rows and columns, (N,); of more than 60 none is written.
        title: a line above it.

    Returns:
        Pixels (H, W, 3).

    """
    table = np.asarray(values, dtype=float)
    most = float(np.nanmax(np.abs(table), initial=1e-12))
    side = min(9.0, max(3.6, 0.26 * len(names) + 1.6))
    short = [shortened(name, 18) for name in names]
    with canvas(side + 1.4, side + 1.2, 1, right=0.9) as (figure, (ax,)):
        ax.set_position((0.2, 0.2, 0.66, 0.68))
        drawn = ax.imshow(table, cmap="RdBu_r", vmin=-most, vmax=most)
        figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.03)
        places = range(len(names)) if len(names) <= 60 else []
        ax.set_xticks(places, short if places else [], rotation=90, fontsize=7)
        ax.set_yticks(places, short if places else [], fontsize=7)
        ax.grid(False)
        headline(figure, title)
        return rasterise(figure)


def _profile(ax: Axes, name: str, y: NDArray[np.float64], colour: str, off: Mapping[str, ArrayLike]) -> None:
    t = np.linspace(0, 1, len(y))
    ax.plot(t, y, color=colour, label=name)
    crossed = np.asarray(off.get(name, np.zeros(len(y), dtype=bool)), dtype=bool)
    ax.plot(t[crossed], y[crossed], "x", color=colour, markersize=5)
