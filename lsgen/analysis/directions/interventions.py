"""How much moving codes along one direction changes what other directions or probes say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.directions.direction import Direction
from lsgen.analysis.intervals import mean_interval
from lsgen.latent import Codes

__all__ = ["Leakage", "leakage"]

Probe = Callable[[NDArray[Any]], Any]


@dataclass(frozen=True, eq=False)
class Leakage:
    """Changes of probes when codes are moved along directions.

    Attributes:
        directions: names, (m,).
        probes: names, (p,).
        change: average change of each probe, in its standard deviations, (m, p).
        intervals: of the average over codes, (m, p, 2).
        steps: how many standard deviations codes were moved.
        n: number of codes.

    """

    directions: tuple[str, ...]
    probes: tuple[str, ...]
    change: NDArray[np.float64]
    intervals: NDArray[np.float64]
    steps: float
    n: int


def leakage(
    codes: Codes, directions: Sequence[Direction], probes: Mapping[str, Probe] | None = None, steps: float = 1.0
) -> Leakage:
    """Return how much moving codes along each direction changes each probe.

    A direction that moves its own attribute alone has a change in one column, and zeros beside it.

    Args:
        codes: the codes that are moved (N, d).
        directions: by whose standard deviation they are moved.
        probes: functions by name that return a number (N,) for each of codes (N, d), such as the score of a
            classifier; the scores of the directions unless given.
        steps: how many standard deviations codes are moved.

    Raises:
        ValueError: there is no direction, fewer than two codes, or a probe returns something else.

    """
    if not directions or len(codes) < 2 or not np.isfinite(steps) or steps == 0:
        raise ValueError(
            f"expected a direction, 2 codes and steps to move, got {len(directions)}, {len(codes)}, {steps}"
        )
    chosen = {one.name: one.scores for one in directions} if probes is None else dict(probes)
    if probes is None and len(chosen) < len(directions):
        raise ValueError("expected directions of different names, got two of one name")
    z = np.asarray(codes.z, dtype=np.float64)
    before = {name: _asked(name, probe, z) for name, probe in chosen.items()}
    change, intervals = np.empty((len(directions), len(chosen))), np.empty((len(directions), len(chosen), 2))
    for i, direction in enumerate(directions):
        there = direction.moved(z, steps)
        for j, (name, probe) in enumerate(chosen.items()):
            spread = before[name].std()
            moved = (_asked(name, probe, there) - before[name]) / (spread if spread > 0 else np.nan)
            change[i, j] = moved.mean()
            intervals[i, j] = mean_interval(moved)
    return Leakage(tuple(one.name for one in directions), tuple(chosen), change, intervals, steps, len(codes))


def _asked(name: str, probe: Probe, z: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(probe(z), dtype=np.float64)
    if values.shape != (len(z),):
        raise ValueError(f"expected {len(z)} numbers of the probe {name!r}, got shape {values.shape}")
    return values
