"""Maps over a plane of parameters, such as log det g of the exact and of the learned Fisher metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lsgen import viz
from lsgen.reproduction.drawing import Results

__all__ = ["ParameterMaps"]


@dataclass(frozen=True)
class ParameterMaps:
    """Draws maps that comparisons found, a panel each, those with the same axes in the same colours.

    Attributes:
        panels: title -> x and y, the axes, and map, COMPARISON/KEY of an array (x, y); and xlabel and ylabel.
        columns: panels side by side.

    Raises:
        ValueError: a panel has other keys.
        RunError: there is no such array.

    """

    panels: Mapping[str, Mapping[str, str]]
    columns: int = 2

    def __post_init__(self) -> None:
        for title, panel in self.panels.items():
            if not {"x", "y", "map"} <= set(panel) <= {"x", "y", "map", "xlabel", "ylabel"}:
                raise ValueError(f"ParameterMaps expected x, y, map and labels of {title}, got {list(panel)}")

    def __call__(self, results: Results) -> Figure:
        """Return the figure."""
        keys = ("x", "y", "map")
        found = {(title, key): results.array(panel[key]) for title, panel in self.panels.items() for key in keys}
        rows = -(-len(self.panels) // self.columns)
        with viz.publication(2.8 * self.columns, 2.2 * rows, rows, self.columns) as (figure, axes):
            for ax in axes[len(self.panels) :]:
                ax.set_axis_off()
            for ax, (title, panel) in zip(axes, self.panels.items(), strict=False):
                like = [found[other, "map"] for other, one in self.panels.items() if one["x"] == panel["x"]]
                low, high = (float(end([end(part) for part in like])) for end in (np.min, np.max))
                values = found[title, "map"].T
                shown = ax.pcolormesh(found[title, "x"], found[title, "y"], values, vmin=low, vmax=high)
                figure.colorbar(shown, ax=ax)
                ax.set(title=title, xlabel=panel.get("xlabel", ""), ylabel=panel.get("ylabel", ""))
            return figure
