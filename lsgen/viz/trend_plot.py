"""Codes along an axis on which they move with a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from numpy.typing import ArrayLike

from lsgen.viz.style import INK, Pixels, canvas, headline, rasterise

__all__ = ["draw_trend", "trend_axis"]


def trend_axis(panels: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]], title: str, label: str) -> Pixels:
    """Return codes in the plane of an axis of trend and of another one, side by side, coloured by their time.

    Args:
        panels: by name the coordinates (N,) along the axis and along the other, and the times (N,).
        title: a line above all panels.
        label: what the time is.

    Returns:
        Pixels (H, W, 3).

    """
    with canvas(5.0, 3.8, len(panels), right=0.5) as (figure, axes):
        for ax, (name, (along, others, times)) in zip(axes, panels.items(), strict=True):
            drawn = draw_trend(ax, along, others, times)
            ax.set_title(name, fontweight="normal")
            figure.colorbar(drawn, ax=ax, label=label, fraction=0.045, pad=0.03)
        headline(figure, title)
        return rasterise(figure)


def draw_trend(ax: Axes, along: ArrayLike, others: ArrayLike, times: ArrayLike) -> PathCollection:
    """Draw codes by their coordinates (N,) along an axis of trend and another, with a line through the means of times.

    Times of more than 60 different values have no means.
    """
    x, y, when = (np.asarray(part, dtype=float) for part in (along, others, times))
    size = max(2.0, min(14.0, 8000 / max(len(x), 1)))
    drawn = ax.scatter(x, y, c=when, s=size, linewidths=0, cmap="viridis")
    values, of, counts = np.unique(when, return_inverse=True, return_counts=True)
    if 1 < len(values) <= 60:
        means = [np.bincount(of, part) / counts for part in (x, y)]
        ax.plot(*means, "-", color=INK, linewidth=1.2)
    ax.set(xlabel="along the trend", ylabel="next principal axis")
    return drawn
