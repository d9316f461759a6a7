"""When the exact denoiser of Gaussian observations falls onto single ones of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lsgen.metrics.phases.collapse import collapse_time, excess_entropy, measured_excess_entropy
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["CollapseTimes"]


@dataclass(frozen=True)
class CollapseTimes:
    """Measures the excess entropy of n observations from N(0, I), beside the formula whose zero is the collapse time.

    Keys, for each dimension D: `time_D`, t_C; `near_D` and `away_D`, the mean of |measured - max(formula, 0)| at times
    within 0.3 of t_C and at others. Their arrays (repeats, times) hold the parts; `times_D` are all times less t_C,
    `formula_D` the formula, `measured_D` (repeats, times) what was measured.

    Attributes:
        dims: the dimensions D.
        observations: n.
        draws: noised observations at each time.
        repeats: sets of observations.
        offsets: times less t_C; some within 0.3 of it and some not.

    Raises:
        ValueError: a number is too small, or all offsets are near t_C or away from it.

    Reference: Biroli, Bonnaire, de Bortoli & Mezard (2024), https://arxiv.org/abs/2402.18491, section 5.
    """

    dims: Sequence[int] = (256, 1024, 4096)
    observations: int = 20_000
    draws: int = 1000
    repeats: int = 3
    offsets: Sequence[float] = (-0.9, -0.6, -0.4, -0.2, -0.1, 0.1, 0.2, 0.4, 0.6, 0.9)

    def __post_init__(self) -> None:
        if not self.dims or min(self.observations, self.draws) < 2 or self.repeats < 1:
            raise ValueError(
                "CollapseTimes expected a dimension, observations and draws of 2 or more and a repeat, "
                f"got {list(self.dims)}, {self.observations}, {self.draws} and {self.repeats}"
            )
        if len({abs(offset) < 0.3 for offset in self.offsets}) < 2:
            raise ValueError(f"CollapseTimes expected offsets near 0 and away from it, got {list(self.offsets)}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return times and entropies; no run is looked at."""
        values, arrays = dict[str, float](), dict[str, Any]()
        for dim in self.dims:
            critical = collapse_time(self.observations, dim)
            offsets = torch.tensor([of for of in sorted(self.offsets) if critical + of > 0], dtype=torch.float64)
            formula = excess_entropy(critical + offsets, self.observations, dim)
            measured = torch.stack([self._measured(critical + offsets, dim) for _ in range(self.repeats)])
            deviation, near = (measured - formula.clamp(min=0)).abs(), offsets.abs() < 0.3
            parts = {f"near_{dim}": deviation[:, near], f"away_{dim}": deviation[:, ~near]}
            values |= {f"time_{dim}": critical} | {key: float(part.mean()) for key, part in parts.items()}
            arrays |= {**parts, f"times_{dim}": offsets, f"formula_{dim}": formula, f"measured_{dim}": measured}
        return Measured(values, arrays)

    def _measured(self, times: torch.Tensor, dim: int) -> torch.Tensor:
        """Return the excess entropies (times,) of one set of observations."""
        points = torch.randn(self.observations, dim)
        return torch.stack([measured_excess_entropy(points, time, self.draws)[0] for time in times.tolist()])
