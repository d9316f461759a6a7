"""Final metrics of all arms, one dot a run: how far seeds lie apart, and how far settings do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lsgen import viz
from lsgen.reproduction.drawing import Results
from lsgen.runs import RunError, last_metrics
from lsgen.viz.style import ACCENT, SERIES

__all__ = ["Scores"]


@dataclass(frozen=True)
class Scores:
    """Draws a panel for each metric, with a row for each arm: a dot for each run and a line at their mean.

    Attributes:
        rows: arms, from the top down.
        metrics: final metrics of the runs.

    Raises:
        RunError: an arm has no finished run, or a run lacks a metric.

    """

    rows: Sequence[str]
    metrics: Sequence[str]

    def __call__(self, results: Results) -> Figure:
        """Return the figure."""
        finals = [[last_metrics(run.directory.metrics_file) for run in results.runs(arm)] for arm in self.rows]
        for metric in self.metrics:
            if not all(metric in final for runs in finals for final in runs):
                raise RunError(f"expected {metric} among the metrics of every run")
        width, height = min(6.5, 1.2 + 2.2 * len(self.metrics)), 0.6 + 0.17 * len(self.rows)
        with viz.publication(width, height, 1, len(self.metrics)) as (figure, axes):
            for ax, metric in zip(axes, self.metrics, strict=True):
                for row, runs in enumerate(finals):
                    values = [final[metric] for final in runs]
                    ax.plot(values, [row] * len(values), "o", color=ACCENT, markersize=3)
                    ax.plot([np.mean(values)] * 2, [row - 0.35, row + 0.35], color=SERIES[0], linewidth=1)
                shown = self.rows if ax is axes[0] else []
                ax.set(xlabel=metric.rpartition("/")[2], ylim=(len(self.rows) - 0.5, -0.5))
                ax.set_yticks(range(len(shown)), shown)
            return figure
