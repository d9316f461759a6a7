"""Codes of papers along the axis on which a field moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lsgen import viz
from lsgen.reproduction.drawing import Results, first_arrays

__all__ = ["TrendAxes"]


@dataclass(frozen=True)
class TrendAxes:
    """Draws the codes that the measure `CitationTrend` found in the first run of some arms, one beside another.

    Attributes:
        panels: the arms, from left to right.
        measure: the name of the measure in target.yaml.

    Raises:
        RunError: an arm has not been measured.

    Reference: Asatani et al. (2018), figures 2 and 3.
    """

    panels: Sequence[str]
    measure: str = "trend"

    def __call__(self, results: Results) -> Figure:
        """Return the figure."""
        with viz.publication(4.2 * len(self.panels), 3.4, 1, len(self.panels)) as (figure, axes):
            for ax, arm in zip(axes, self.panels, strict=True):
                along, others, year = first_arrays(results, arm, self.measure, ("along", "others", "year"))
                drawn = viz.draw_trend(ax, along, others, year)
                ax.set_title(arm)
                figure.colorbar(drawn, ax=ax, label="year")
            return figure
