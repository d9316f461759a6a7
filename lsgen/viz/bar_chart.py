"""Values of several things by name, with intervals, as horizontal bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lsgen.viz.style import SERIES, Pixels, canvas, headline, rasterise

__all__ = ["horizontal_bars"]

Bar = tuple[float, float, float]


def horizontal_bars(series: Mapping[str, Sequence[Bar]], names: Sequence[str], title: str, xlabel: str) -> Pixels:
    """Return a bar for each name and series, the first name at the top.

    Args:
        series: by name of a series a value and the ends of its interval for each name; what is NaN is not drawn.
        names: of what has the values.
        title: a line above them.
        xlabel: what the values are.

    Returns:
        Pixels (H, W, 3).

    """
    height = 1.2 + max(1.2, len(names) * (0.12 + 0.11 * len(series)))
    longest = max(map(len, names), default=0)
    with canvas(6.0 + 0.06 * longest, height) as (figure, (ax,)):
        box = ax.get_position()
        indent = min(0.07 * longest / figure.get_figwidth(), 0.5)
        ax.set_position((box.x0 + indent, box.y0, box.width - indent, box.height))
        thick = 0.8 / max(len(series), 1)
        for i, (name, bars) in enumerate(series.items()):
            value, low, high = np.array(bars, dtype=float).reshape(-1, 3).T
            y = np.arange(len(names)) - 0.4 + (i + 0.5) * thick
            colour = SERIES[i % len(SERIES)]
            ax.barh(y, np.nan_to_num(value), thick, color=colour, alpha=0.75, label=name)
            ax.hlines(y, low, high, color="black", linewidth=1)
        ax.set_yticks(np.arange(len(names)), list(names))
        ax.invert_yaxis()
        ax.set(xlabel=xlabel)
        if len(series) > 1:
            ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(series))
        headline(figure, title)
        return rasterise(figure)
