"""Curves that a comparison found, beside those of theory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lsgen import viz
from lsgen.reproduction.drawing import Results
from lsgen.viz.style import ACCENT, SERIES

__all__ = ["Curves"]


@dataclass(frozen=True)
class Curves:
    """Draws a panel for each of several pairs of arrays: what theory says as lines, what was measured as points.

    Attributes:
        panels: title -> x, and points or lines or both, each COMPARISON/KEY of an array (x,) or (repeats, x); names,
            the array that tells lines apart; and xlabel and ylabel.
        columns: panels side by side.

    Raises:
        ValueError: there is no panel, or one has another key or neither points nor lines.
        RunError: there is no such array.

    """

    panels: Mapping[str, Mapping[str, str]]
    columns: int = 3

    def __post_init__(self) -> None:
        known = {"x", "points", "lines", "names", "xlabel", "ylabel"}
        for title, panel in self.panels.items():
            if not set(panel) <= known or "x" not in panel or not {"points", "lines"} & set(panel):
                raise ValueError(f"Curves expected x, points or lines, and labels of {title}, got {list(panel)}")
        if not self.panels:
            raise ValueError("Curves expected at least one panel, got none")

    def __call__(self, results: Results) -> Figure:
        """Return the figure."""
        columns = min(self.columns, len(self.panels))
        rows = -(-len(self.panels) // columns)
        with viz.publication(min(6.5, 2.3 * columns + 0.3), 2.0 * rows, rows, columns) as (figure, axes):
            for ax in axes[len(self.panels) :]:
                ax.set_axis_off()
            for ax, (title, panel) in zip(axes, self.panels.items(), strict=False):
                arrays = {key: results.array(panel[key]) for key in ("x", "points", "lines", "names") if key in panel}
                _draw(ax, arrays)
                ax.set(title=title, xlabel=panel.get("xlabel", ""), ylabel=panel.get("ylabel", ""))
            return figure


def _draw(ax: Axes, arrays: Mapping[str, NDArray[np.floating]]) -> None:
    x, names = arrays["x"], arrays.get("names")
    for i, line in enumerate(np.atleast_2d(arrays["lines"]) if "lines" in arrays else ()):
        label = "" if names is None else f"{names[i]:.3g}"
        ax.plot(x, line, color=SERIES[(i + 1) % len(SERIES)], linewidth=1.2, label=label)
    for points in np.atleast_2d(arrays["points"]) if "points" in arrays else ():
        ax.plot(x, points, "o", color=ACCENT, markersize=2.5, alpha=0.7)
    if names is not None:
        ax.legend(frameon=False, fontsize=6)
