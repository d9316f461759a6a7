"""Clones of noisy observations of two Gaussian classes, cleaned by the exact denoiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

from lsgen.metrics.phases.cloning import ancestral_step, clone_agreement
from lsgen.metrics.phases.speciation import class_agreement, log_snr_at, speciation_time
from lsgen.models.diffusion import LinearLogSNR, MixtureDenoiser
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["ClassClones"]


@dataclass(frozen=True)
class ClassClones:
    """Measures how often two clones end in the same of two classes N(+-m, I), |m|^2 = d, beside the integral.

    Keys: `theory` and `clones`, the shares of pairs that agree at t_S = (1/2) log d; `deviation`, the mean over times
    of |clones - theory|. Arrays: `times` in units of t_S, `theory_curve` and `clones_curve` (repeats, times), and
    `deviation` (repeats, times).

    Attributes:
        dim: d.
        clones: pairs in each repeat.
        repeats: how often all is repeated.
        steps: of the sampler, evenly spaced in t.
        horizon: the t at which trajectories start.
        times: at which clones part, in units of t_S.

    Raises:
        ValueError: a number is too small, or a time is not between 0 and the horizon.

    Reference: Biroli, Bonnaire, de Bortoli & Mezard (2024), https://arxiv.org/abs/2402.18491.
    """

    dim: int = 256
    clones: int = 2000
    repeats: int = 5
    steps: int = 400
    horizon: float = 10.0
    times: Sequence[float] = (0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.8)

    def __post_init__(self) -> None:
        if self.dim < 2 or self.clones < 2 or self.repeats < 1 or self.steps < 2:
            raise ValueError(
                "ClassClones expected dim, clones and steps of 2 or more and a repeat, "
                f"got {self.dim}, {self.clones}, {self.steps} and {self.repeats}"
            )
        if 1.0 not in self.times or not all(0 < time * log(self.dim) / 2 < self.horizon for time in self.times):
            raise ValueError(
                f"ClassClones expected times between 0 and the horizon, 1.0 among them, got {list(self.times)}"
            )

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the shares of pairs; no run is looked at."""
        critical = speciation_time(torch.tensor(float(self.dim), dtype=torch.float64))
        parting = torch.tensor(sorted(self.times, reverse=True), dtype=torch.float64)
        theory = class_agreement(parting * critical, sqrt(self.dim))
        found = torch.stack([self._clones(parting * critical) for _ in range(self.repeats)])
        at, deviation = parting.tolist().index(1.0), (found - theory).abs()
        values = {"theory": theory[at], "clones": found[:, at].mean(), "deviation": deviation.mean()}
        arrays = {"times": parting, "theory_curve": theory, "clones_curve": found, "deviation": deviation}
        return Measured({key: float(value) for key, value in values.items()}, arrays)

    def _clones(self, parting: Tensor) -> Tensor:
        """Return the shares of pairs (times,) that agree, of one set of trajectories."""
        mean = torch.ones(self.dim)
        denoise = MixtureDenoiser(LinearLogSNR(), torch.stack([mean, -mean]), 1.0)
        even = torch.linspace(self.horizon, 0.01, self.steps + 1, dtype=torch.float64)
        times = torch.cat([even, parting]).unique().flip(0)
        branches = [int((times == time).nonzero()) for time in parting]
        start = torch.randn(self.clones, self.dim)
        levels = log_snr_at(times).float()
        return clone_agreement(ancestral_step(denoise), lambda x: x.sum(1) > 0, start, levels, branches).agreement
