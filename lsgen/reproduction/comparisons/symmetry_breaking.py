"""When the way back from noise to two points stops being symmetric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from lsgen.metrics.phases.symmetry_breaking import critical_log_snr, linear_schedule_time
from lsgen.models.diffusion import LinearLogSNR, MixtureDenoiser
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["SymmetryBreaking"]


@dataclass(frozen=True)
class SymmetryBreaking:
    """Finds the noise levels at which the exact denoiser of points at +-a in one dimension loses its symmetry.

    They are found by bisection from the covariance that the denoiser's derivative gives, not from the closed form.
    Keys: `theta_drift`, the factor of the data at which the reverse drift becomes unstable at 0, and `theta_density`,
    at which the density gets its second mode; `time_drift` and `time_density`, where the linear schedule of rates
    reaches them. Arrays: `x`; `scales` theta; `potential` (scales, x), whose slope is minus the reverse drift.

    Attributes:
        amplitude: a.
        beta_min: the rate of the schedule at time 0.
        beta_max: the rate at time 1.
        scales: theta at which the potential is taken, beside the critical one.

    Reference: Raya & Ambrogioni (2023), https://arxiv.org/abs/2305.19693.
    """

    amplitude: float = 1.0
    beta_min: float = 0.1
    beta_max: float = 20.0
    scales: Sequence[float] = (0.3, 0.5, 0.75, 0.85)

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return scales and times; no run is looked at."""
        points = self.amplitude * torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        denoise = MixtureDenoiser(LinearLogSNR(), points)
        values = {}
        for kind in ("drift", "density"):
            level = critical_log_snr(denoise, torch.zeros(1, 1, dtype=torch.float64), kind=kind)
            theta = float(level.sigmoid().sqrt())
            values[f"theta_{kind}"] = theta
            values[f"time_{kind}"] = linear_schedule_time(theta, self.beta_min, self.beta_max)
        scales = torch.tensor(sorted([*self.scales, values["theta_drift"]]), dtype=torch.float64)
        x = torch.linspace(-2.5, 2.5, 201, dtype=torch.float64)[:, None] * self.amplitude
        rows = [-x[:, 0].square() / 4 - denoise.log_density(x, theta.square().logit()) for theta in scales]
        return Measured(values, {"x": x[:, 0], "scales": scales, "potential": torch.stack(rows)})
