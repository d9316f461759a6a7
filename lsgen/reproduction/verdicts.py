"""Verdicts on the targets and claims of a paper, by rule from what was measured.

A target is "reproduced" if the data are those of the paper, three seeds or more were run, and their mean is within the
tolerance of the published value (at least as good counts where the target says so). It is "not reproduced" else. What
is calculated without a run has no seeds and needs none.
A claim is "claim shown" if each of its inequalities holds at 5 % by its test, "claim not shown" else. What was not
measured is "not run".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.reproduction.document import Claim, Inequality, Side, Target
from lsgen.reproduction.record import Attempt
from lsgen.reproduction.significance import LEVEL, STATISTICS, pigeonhole_bootstrap, sign_flip

__all__ = ["NOT_RUN", "ClaimVerdict", "TargetVerdict", "judge_claim", "judge_target"]

REPRODUCED, NOT_REPRODUCED, SHOWN, NOT_SHOWN = "reproduced", "not reproduced", "claim shown", "claim not shown"
NOT_RUN = "not run"

_FEWEST_SEEDS = 3


@dataclass(frozen=True)
class TargetVerdict:
    """A verdict on a published number.

    Attributes:
        verdict: "reproduced", "not reproduced" or "not run".
        why: what decided, in words.
        mean: over seeds; NaN if nothing was measured.
        std: over seeds, with n - 1; NaN if there are fewer than 2.
        n: seeds; 0 of a calculation, and if nothing was measured.

    """

    verdict: str
    why: str
    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class InequalityVerdict:
    """What was found of one inequality: the mean of larger - smaller, and the probability of a test; NaN if none."""

    difference: float
    p: float
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether the test tells it at 5 %."""
        return self.p <= LEVEL


@dataclass(frozen=True)
class ClaimVerdict:
    """A verdict on a claim, with what was found of each inequality."""

    verdict: str
    inequalities: tuple[InequalityVerdict, ...]


def judge_target(target: Target, attempt: Attempt) -> TargetVerdict:
    """Return the verdict on a published number."""
    found = list(attempt.values_of(target.side).values())
    fidelity = (target.data or attempt.data).fidelity
    if not found:
        return TargetVerdict(NOT_RUN, "", math.nan, math.nan, 0)
    mean = float(np.mean(found))
    std = float(np.std(found, ddof=1)) if len(found) > 1 else math.nan
    n = len(found) if target.arm is not None else _seeds_of_comparison(attempt, target.side)
    calculated = target.arm is None and not n
    off = {"two-sided": abs(mean - target.published), "lower": mean - target.published}.get(
        target.direction, target.published - mean
    )
    within = off <= target.tolerance * (1 + 1e-9)
    reasons = [] if within else [f"{off:.3g} off, tolerance {target.tolerance:g}"]
    if not math.isfinite(mean):
        reasons = ["not finite"]
    if fidelity != "exact":
        reasons.append(f"data {fidelity}" + (", within tolerance" if within else ""))
    if n < _FEWEST_SEEDS and not calculated:
        reasons.append(f"{n} seed{'s' if n != 1 else ''}")
    verdict, notes = NOT_REPRODUCED if reasons else REPRODUCED, ["calculated"] if calculated else []
    return TargetVerdict(verdict, "; ".join(reasons + notes), mean, std, n)


def _seeds_of_comparison(attempt: Attempt, side: Side) -> int:
    """Return the seeds over which a comparison was made: those of its arm with the fewest; 0 of a calculation."""
    arms = attempt.compared[side.metric.partition("/")[0]]
    return min((sum(run.arm == arm and run.state == "finished" for run in attempt.runs) for arm in arms), default=0)


def judge_claim(claim: Claim, attempt: Attempt) -> ClaimVerdict:
    """Return the verdict on a claim."""
    judge, known = (_by_seeds, attempt.values_of) if claim.test == "seeds" else (_by_items, attempt.items_of)
    if not all(known(side) for one in claim.inequalities for side in one.sides):
        return ClaimVerdict(NOT_RUN, ())
    found = tuple(judge(one, claim, attempt) for one in claim.inequalities)
    return ClaimVerdict(SHOWN if all(one.holds for one in found) else NOT_SHOWN, found)


def _by_seeds(inequality: Inequality, claim: Claim, attempt: Attempt) -> InequalityVerdict:
    by_seed = [attempt.values_of(side) for side in inequality.sides]
    seeds = [seed for seed in by_seed[0] if all(seed in one for one in by_seed)]
    value = lambda side, seed: attempt.values_of(side)[seed] if isinstance(side, Side) else side
    d = [value(inequality.larger, seed) - value(inequality.smaller, seed) for seed in seeds]
    if not d or not all(map(math.isfinite, d)):
        return InequalityVerdict(math.nan, math.nan, "no seed in common" if not d else "not finite")
    p = sign_flip([one - inequality.margin for one in d])
    return InequalityVerdict(float(np.mean(d)), p, f"{len(d)} seed{'s' if len(d) != 1 else ''}")


def _by_items(inequality: Inequality, claim: Claim, attempt: Attempt) -> InequalityVerdict:
    by_seed = [attempt.items_of(side) for side in inequality.sides]
    seeds = [seed for seed in by_seed[0] if all(seed in one for one in by_seed)]
    if not seeds:
        return InequalityVerdict(math.nan, math.nan, "no items of seeds in common")
    stacked = iter([_stacked(one, seeds) for one in by_seed])
    smaller, larger = (
        next(stacked) if isinstance(side, Side) else side for side in (inequality.smaller, inequality.larger)
    )
    try:
        p = pigeonhole_bootstrap(smaller, larger, inequality.margin, claim.statistic)
    except ValueError as error:
        return InequalityVerdict(math.nan, math.nan, str(error))
    of = STATISTICS[claim.statistic]
    low, high = (side if isinstance(side, float) else float(of(side)) for side in (smaller, larger))
    n, m = next(side.shape for side in (smaller, larger) if not isinstance(side, float))
    return InequalityVerdict(high - low, p, f"{n} seeds x {m} items")


def _stacked(by_seed: dict[int | None, NDArray[Any]], seeds: Sequence[int | None]) -> NDArray[Any]:
    """Return items (seeds, items); what a comparison gives has both already."""
    found = by_seed[None] if list(seeds) == [None] else np.stack([by_seed[seed] for seed in seeds])
    return found.astype(np.float64)
