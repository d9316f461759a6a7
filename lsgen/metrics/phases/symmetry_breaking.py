r"""When the way back from noise stops being symmetric: three times, which are not the same.

For points at +-a in one dimension and x_t = theta x_0 + sqrt(1 - theta^2) eps, the drift x/2 + d log p of the reverse
process, per unit of beta, is stable at 0 before and unstable after

    1/2 - 1/(1 - theta^2) + a^2 theta^2 / (1 - theta^2)^2 = 0,    theta_c^2 = sqrt(1 + a^4) - a^2,

while the density of x_t gets its second mode at theta^2 = 1 / (1 + a^2), earlier on the way back; for a = 1 that is
theta_c = sqrt(sqrt(2) - 1) = 0.6436 and theta = 0.7071. The probability-flow ODE has half the score; at a = 1 its drift
has the slope theta^4 / (2 (1 - theta^2)^2) > 0 at 0, which is never stable: the ODE has no critical time. For any
denoiser the slope of the drift follows from the covariance of clean observations given the noisy one,

    J = I/2 - I/sigma^2 + (alpha^2 / sigma^4) Cov[x_0 | x_t],

and the curvature of the density is J - I/2.

Reference: Raya & Ambrogioni, "Spontaneous symmetry breaking in generative diffusion models" (2023),
https://arxiv.org/abs/2305.19693.
"""

from __future__ import annotations

from math import log, sqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.denoising import posterior_covariance
from lsgen.geometry.denoising.posterior import Denoise

__all__ = ["CriticalScales", "critical_log_snr", "linear_schedule_time", "stability", "two_point_scales"]

Kind = Literal["drift", "density"]


class CriticalScales(NamedTuple):
    """The factors theta of the data at which the drift loses its stability, and the density its single mode."""

    drift: float
    density: float


def two_point_scales(amplitude: float = 1.0) -> CriticalScales:
    """Return the critical scales of points at +-a.

    Raises:
        ValueError: the amplitude is not positive.

    """
    if not amplitude > 0:
        raise ValueError(f"expected an amplitude above 0, got {amplitude}")
    square = amplitude**2
    return CriticalScales(sqrt(1 / (sqrt(1 + square**2) + square)), sqrt(1 / (1 + square)))


def linear_schedule_time(theta: float, beta_min: float = 0.1, beta_max: float = 20.0) -> float:
    """Return the time s of [0, 1] at which exp(-(1/2) int_0^s beta) = theta, beta linear.

    Raises:
        ValueError: theta is not in (0, 1], or is reached after s = 1, or beta is not positive and increasing.

    """
    if not 0 < theta <= 1 or not 0 < beta_min < beta_max:
        raise ValueError(
            f"expected theta in (0, 1] and 0 < beta_min < beta_max, got {theta}, {beta_min} and {beta_max}"
        )
    spent, slope = -2 * log(theta), beta_max - beta_min
    time = 2 * spent / (beta_min + sqrt(beta_min**2 + 2 * slope * spent))
    if time > 1:
        raise ValueError(f"expected a theta that the schedule reaches by s = 1, got {theta}")
    return time


def stability(denoise: Denoise, x: Tensor, log_snr: Tensor, kind: Kind = "drift") -> Tensor:
    """Return the largest eigenvalue (N,) of the slope of the reverse drift, or of the second derivatives of log p.

    Args:
        denoise: `denoise(x, log_snr)` of a variance-preserving path.
        x: points x_t (N, *shape); meant at a fixed point of the drift.
        log_snr: l, () or (N,).
        kind: "drift" or "density".

    Raises:
        ValueError: another kind.

    """
    if kind not in ("drift", "density"):
        raise ValueError(f"expected kind 'drift' or 'density', got {kind!r}")
    covariance = posterior_covariance(denoise, x, log_snr)[1]
    level = log_snr.to(x).expand(len(x))
    precision = 1 + level.exp()  # 1 / sigma^2
    slope = (level.exp() * precision)[:, None, None] * (covariance + covariance.mT) / 2
    return torch.linalg.eigvalsh(slope)[:, -1] - precision + (0.5 if kind == "drift" else 0.0)


def critical_log_snr(
    denoise: Denoise, x: Tensor, low: float = -10.0, high: float = 10.0, kind: Kind = "drift", passes: int = 7
) -> Tensor:
    """Return the first l (N,), from the noise on, at which points lose their stability; NaN where there is none.

    Args:
        denoise: `denoise(x, log_snr)` of a variance-preserving path.
        x: points (N, *shape), fixed points of the drift at all l, such as the centre of symmetric data.
        low: an l at which they are stable.
        high: an l at which they are not.
        kind: "drift" or "density".
        passes: how often the interval is divided by 64, all of whose parts are looked at at once.

    Raises:
        ValueError: the bounds are not in order, or another kind.

    """
    if not low < high:
        raise ValueError(f"expected bounds in order, got {low} and {high}")
    n, parts = len(x), torch.linspace(0, 1, 65, dtype=x.dtype, device=x.device)
    bounds = x.new_tensor([low, high]).expand(n, 2)
    ends = [stability(denoise, x, bounds[:, i], kind) > 0 for i in range(2)]
    for _ in range(passes):
        levels = bounds[:, :1] + (bounds[:, 1:] - bounds[:, :1]) * parts
        unstable = stability(denoise, x.repeat_interleave(65, 0), levels.flatten(), kind).unflatten(0, (n, 65)) > 0
        first = unstable.long().argmax(1, keepdim=True).clamp(min=1)
        bounds = torch.cat([levels.gather(1, first - 1), levels.gather(1, first)], 1)
    return bounds.mean(1).where(~ends[0] & ends[1], torch.nan)
