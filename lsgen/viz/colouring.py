"""Colours of points by a group or a number, and the names of groups in their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lsgen.viz.style import GRID, MUTED, SERIES

__all__ = ["group_colours", "name_groups"]

_NAMED = 12


def group_colours(groups: ArrayLike | None) -> tuple[Any, list[tuple[str, str]]]:
    """Return a colour for every code, and the groups that are named, with their colours."""
    if groups is None:
        return MUTED, []
    values = np.asarray(groups)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 1.0)
        shade = np.where(finite, (values - low) / ((high - low) or 1.0), 0.5)
        return np.where(finite[:, None], colormaps["viridis"](shade)[:, :3], to_rgb(GRID)), []
    missing = np.array([value is None for value in values.tolist()])
    names = sorted({value for value in values.tolist() if value is not None}, key=lambda name: (str(type(name)), name))
    place = {name: i for i, name in enumerate(names)}
    colour = [
        GRID if gone else SERIES[place[v] % len(SERIES)] for v, gone in zip(values.tolist(), missing, strict=True)
    ]
    few = [(str(name)[:_NAMED], SERIES[i % len(SERIES)]) for i, name in enumerate(names)]
    return colour, few if len(few) <= len(SERIES) else []


def name_groups(figure: Figure, named: Sequence[tuple[str, str]]) -> None:
    """Write names in their colours, at the upper right."""
    width, height = figure.get_size_inches()
    right = 0.1
    for name, colour in reversed(named):
        figure.text(1 - right / width, 1 - 0.1 / height, name, color=colour, va="top", ha="right")
        right += 0.12 + 0.075 * len(name)
