r"""The time at which the cleaning of noise with an exact empirical denoiser falls onto single training points.

n observations from N(0, sigma^2 I) in d dimensions become n separate Gaussians of variance Delta = 1 - e^-2t in the
clock x_t = e^-t x_0 + sqrt(Delta) eps. With alpha = log(n) / d the entropy per dimension of these, if they are apart,
exceeds that of the noised population by

    f(t) = alpha + (1/2) log(Delta / (Delta + sigma^2 e^-2t)),    f(t_C) = 0,
    t_C = (1/2) log(1 + sigma^2 / (n^{2/d} - 1)) .

Below t_C the formula is negative, where Gaussians are apart and the truth is about 0: max(f, 0) / alpha is what a
measured excess of entropy, (log n + d/2 log(2 pi e Delta) - H) / (d alpha), compares with; H is the entropy of the
mixture of n Gaussians, an average of minus its log density over noised observations of its own. With |eps|^2 in the
place of its mean d the numerator is the average of log sum_i exp((|eps|^2 - |x_t - e^-t x_i|^2 / Delta) / 2), whose
terms lie between 0, where the point that was noised is the nearest by far, and about log n.

Reference: Biroli, Bonnaire, de Bortoli & Mezard (2024), https://arxiv.org/abs/2402.18491, section 5.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from lsgen.metrics.phases.noised_points import log_weights

__all__ = ["collapse_time", "excess_entropy", "measured_excess_entropy"]


def collapse_time(observations: int, dim: int, sigma: float = 1.0) -> float:
    """Return t_C of n observations in d dimensions from N(0, sigma^2 I).

    Raises:
        ValueError: there are fewer than two observations, no dimension, or sigma is not positive.

    """
    _check(observations, dim, sigma)
    return 0.5 * log(1 + sigma**2 / (observations ** (2 / dim) - 1))


def excess_entropy(time: Tensor, observations: int, dim: int, sigma: float = 1.0) -> Tensor:
    """Return f(t) / alpha (B,) at times t (B,), negative below t_C and 1 at late times.

    Raises:
        ValueError: see `collapse_time`.

    """
    _check(observations, dim, sigma)
    time = torch.as_tensor(time, dtype=torch.float64)
    noise, shrunk = -torch.expm1(-2 * time), (-2 * time).exp()
    return 1 + (noise / (noise + sigma**2 * shrunk)).log() / 2 * dim / log(observations)


def measured_excess_entropy(
    points: Tensor,
    time: float,
    draws: int = 5000,
    generator: torch.Generator | None = None,
    chunk_size: int = 256,
) -> tuple[Tensor, Tensor]:
    """Return the excess entropy of observations of one's own at a time, over alpha, with its standard error.

    Args:
        points: observations (n, d), in the scale that they are noised in.
        time: t > 0.
        draws: the number of noised observations that the entropy is averaged over.
        generator: draws them; that of PyTorch where it is not given.
        chunk_size: noised observations at once, of which each is compared with all points.

    Raises:
        ValueError: points are no table of two or more, or the time is not positive.

    """
    over = torch.cat([w.logsumexp(1) for w in log_weights(points, time, draws, generator, chunk_size)])
    excess = over / log(len(points))
    return excess.mean(), excess.std() / draws**0.5


def _check(observations: int, dim: int, sigma: float) -> None:
    if observations < 2 or dim < 1 or not sigma > 0:
        raise ValueError(
            "expected 2 or more observations, 1 or more dimensions and sigma > 0, "
            f"got {observations}, {dim} and {sigma}"
        )
