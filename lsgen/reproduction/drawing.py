"""Figures of a reproduction: obtained against published numbers, claims by seed, and those of the paper itself."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lsgen import viz
from lsgen.reproduction.document import Claim, Inequality, Side, Target
from lsgen.reproduction.record import Attempt
from lsgen.reproduction.runs import TrainedRun
from lsgen.reproduction.verdicts import judge_claim, judge_target
from lsgen.runs import RunError
from lsgen.viz.style import ACCENT, GRID, INK, SERIES

__all__ = ["Drawer", "Results", "claims_figure", "first_arrays", "targets_figure"]


@dataclass(frozen=True)
class Results:
    """What a reproduction gave, as figures see it.

    Attributes:
        attempt: the numbers.
        open_runs: opens the finished runs of an arm.
        measured: (ARM, SEED, METRIC) or (None, None, METRIC) -> arrays of all measures and comparisons.

    """

    attempt: Attempt
    open_runs: Callable[[str], Sequence[TrainedRun]]
    measured: Mapping[tuple[str | None, int | None, str], NDArray[Any]]

    def runs(self, arm: str) -> Sequence[TrainedRun]:
        """Return the finished runs of an arm, by seed.

        Raises:
            RunError: it has none.

        """
        if not (found := self.open_runs(arm)):
            raise RunError(f"expected a finished run of {arm}, got none")
        return found

    def values(self, arm: str | None, metric: str) -> dict[int | None, float]:
        """Return a metric of an arm by seed; of a comparison (no arm) its value under None."""
        return self.attempt.values_of(Side(metric, arm))

    def arrays(self, arm: str | None, metric: str) -> dict[int | None, NDArray[Any]]:
        """Return the arrays of a metric of an arm by seed; of a comparison (no arm) its array under None."""
        return {seed: x for (of, seed, key), x in self.measured.items() if (of, key) == (arm, metric)}

    def array(self, metric: str) -> NDArray[Any]:
        """Return the array COMPARISON/KEY of a comparison.

        Raises:
            RunError: there is none of this name.

        """
        if not (found := self.arrays(None, metric)):
            raise RunError(f"expected {metric} among the arrays of the comparisons, got none of that name")
        return found[None]


def first_arrays(results: Results, arm: str, measure: str, names: Sequence[str]) -> list[NDArray[Any]]:
    """Return arrays of a measure of an arm, by their names, of the run with the first seed.

    Raises:
        RunError: there is none of a name.

    """
    found = []
    for name in names:
        if not (by_seed := results.arrays(arm, f"{measure}/{name}")):
            raise RunError(f"{arm}: expected {name} of {measure}, got none")
        found.append(by_seed[min(seed for seed in by_seed if seed is not None)])
    return found


Drawer = Callable[[Results], Figure]


def targets_figure(attempt: Attempt) -> Figure | None:
    """Return published numbers with their tolerance, and what was obtained; None if nothing was."""
    shown = {name: target for name, target in attempt.targets.items() if attempt.values_of(target.side)}
    if not shown:
        return None
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    with viz.publication(min(6.5, 1.8 * columns + 0.4), 1.9 * rows, rows, columns) as (figure, axes):
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        for ax, (name, target) in zip(axes, shown.items(), strict=False):
            _target(ax, name, target, attempt)
        return figure


def _target(ax: Axes, name: str, target: Target, attempt: Attempt) -> None:
    values = list(attempt.values_of(target.side).values())
    low, high = target.published - target.tolerance, target.published + target.tolerance
    ax.axhspan(low, high, color=GRID)
    ax.axhline(target.published, color=INK, linewidth=1)
    ax.plot(
        np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else [0], values, "o", color=ACCENT, markersize=3.5
    )
    ax.plot([-0.3, 0.3], [np.mean(values)] * 2, color=ACCENT, linewidth=1.2)
    ax.set(title=_wrapped(name, 19), xlim=(-1, 1), xticks=[])
    ax.set_xlabel(judge_target(target, attempt).verdict)
    ax.grid(axis="x", visible=False)


def claims_figure(attempt: Attempt) -> Figure | None:
    """Return both sides of each inequality by seed, joined where they share it; None if nothing was measured."""
    shown = [
        (name, claim, inequality)
        for name, claim in attempt.claims.items()
        for inequality in claim.inequalities
        if all(attempt.values_of(side) for side in inequality.sides)
    ]
    if not shown:
        return None
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    with viz.publication(min(6.5, 1.8 * columns + 0.4), 2.1 * rows, rows, columns) as (figure, axes):
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        for ax, (name, claim, inequality) in zip(axes, shown, strict=False):
            _inequality(ax, name, claim, inequality, attempt)
        return figure


def _inequality(ax: Axes, name: str, claim: Claim, inequality: Inequality, attempt: Attempt) -> None:
    sides = [inequality.smaller, inequality.larger]
    by_seed = [attempt.values_of(side) if isinstance(side, Side) else {} for side in sides]
    for seed in by_seed[0].keys() & by_seed[1].keys():
        ax.plot([0, 1], [by_seed[0][seed], by_seed[1][seed]], color=GRID, linewidth=1, zorder=1)
    for place, (side, values) in enumerate(zip(sides, by_seed, strict=True)):
        if isinstance(side, Side):
            ax.plot([place] * len(values), list(values.values()), "o", color=SERIES[place], markersize=3.5)
        else:
            ax.axhline(side, color=SERIES[place], linewidth=1)
    labels = [_wrapped(_label(side, sides), 11) for side in sides]
    ax.set(title=_wrapped(name, 19), xlim=(-0.5, 1.5), xticks=[0, 1], xticklabels=labels)
    ax.set_xlabel(judge_claim(claim, attempt).verdict)
    ax.grid(axis="x", visible=False)


def _wrapped(name: str, letters: int) -> str:
    """Return a name as words on lines of so many letters, which fit above a panel or below half of one."""
    return textwrap.fill(name.replace("_", " "), letters)


def _label(side: Side | float, sides: Sequence[Side | float]) -> str:
    """Return what tells a side from the other: its arm, or its metric if the arm is the same."""
    if not isinstance(side, Side):
        return f"{side:g}"
    arms = {one.arm for one in sides if isinstance(one, Side)}
    return side.arm if side.arm is not None and len(arms) > 1 else side.metric.rpartition("/")[2]
