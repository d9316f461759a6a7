"""Codes of a circle in the plane, coloured by the true angle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lsgen import viz
from lsgen.reproduction.drawing import Results, first_arrays

__all__ = ["CircleCodes"]


@dataclass(frozen=True)
class CircleCodes:
    """Draws the codes that the measure `Circle` drew in the first run of some arms, one beside another.

    Attributes:
        panels: the arms, from left to right.
        measure: the name of the measure in target.yaml.

    Raises:
        RunError: an arm has not been measured.

    Reference: Davidson et al. (2018), figure 1, https://arxiv.org/abs/1804.00891.
    """

    panels: Sequence[str]
    measure: str = "circle"

    def __call__(self, results: Results) -> Figure:
        """Return the figure."""
        shown = [(arm, first_arrays(results, arm, self.measure, ("codes", "angles"))) for arm in self.panels]
        reach = 1.05 * max(float(abs(codes).max()) for _, (codes, _) in shown)
        with viz.publication(3.25 * len(shown), 3.25, 1, len(shown)) as (figure, axes):
            for ax, (arm, (codes, angles)) in zip(axes, shown, strict=True):
                ax.scatter(codes[:, 0], codes[:, 1], c=angles, cmap="twilight", s=4, linewidths=0)
                ax.set(title=arm, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
                ax.set(xlabel="$z_1$", ylabel="$z_2$")
            return figure
