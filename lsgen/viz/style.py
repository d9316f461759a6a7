"""Colours, fonts and canvas shared by all figures.

Figures are built with matplotlib's object interface on the Agg canvas, so no global figure list exists, no
display is needed, and nothing leaks however often a callback draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = [
    "ACCENT",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "RC",
    "SERIES",
    "Pixels",
    "canvas",
    "headline",
    "rasterise",
    "shortened",
]

Pixels = NDArray[np.uint8]

INK, MUTED, GRID, PAPER = "#1c2430", "#697386", "#e4e8ee", "#ffffff"
ACCENT = "#2f6bde"
SERIES = (ACCENT, "#e2572b", "#159a8c", "#e6a019", "#8a57cf", "#d1477f", "#5d8a2f", "#4aa8d8", "#a0652a", "#697386")

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}


@contextmanager
def canvas(width: float, height: float, columns: int = 1, right: float = 0.15) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure in the common style with `columns` axes side by side, at 110 dots per inch.

    The layout is fixed: solving for one takes several times as long as drawing.

    Args:
        width: of each of the columns, in inches.
        height: of the figure, in inches.
        columns: number of axes.
        right: room beside each of them, in inches, such as for a colour bar.

    """
    left, top, bottom = 0.68, 0.62, 0.52
    with rc_context(RC):
        figure = Figure(figsize=(width * columns, height), dpi=110)
        FigureCanvasAgg(figure)
        inner = (width - left - right) / (width * columns)
        yield (
            figure,
            [
                figure.add_axes(
                    ((i * width + left) / (width * columns), bottom / height, inner, 1 - (top + bottom) / height)
                )
                for i in range(columns)
            ],
        )


def headline(figure: Figure, title: str) -> None:
    """Write a title above all axes of a figure."""
    figure.text(0.01, 1 - 0.1 / figure.get_figheight(), title, va="top", fontsize=10, fontweight="bold", color=INK)


def shortened(text: str, longest: int) -> str:
    """Return a text, cut where it has more letters than that."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def rasterise(figure: Figure) -> Pixels:
    """Return the figure as pixels (H, W, 3)."""
    agg = figure.canvas
    if not isinstance(agg, FigureCanvasAgg):
        raise TypeError(f"expected a figure on the Agg canvas, got {type(agg).__name__}")
    with rc_context(RC):
        agg.draw()
    return np.array(agg.buffer_rgba(), dtype=np.uint8)[..., :3]
