r"""The metric in which moving along the score, out of the data, is longer than moving beside them.

    g(x) = I + lambda s(x) s(x)^T,    s = d log p / dx = (alpha D(x, l) - x) / sigma^2

which is the metric of the graph (x, sqrt(lambda) log p(x)) of the log density.

Reference: Azeglio & Di Bernardo, "What's inside your diffusion model? A score-based Riemannian metric to explore the
data manifold" (2025), https://arxiv.org/abs/2505.11128.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from lsgen.geometry.denoising.posterior import Denoise, Scale, variance_preserving
from lsgen.geometry.metric_field import MetricField

__all__ = ["stein_metric"]


def stein_metric(
    denoise: Denoise,
    log_snr: float,
    shape: Sequence[int],
    strength: float = 1.0,
    alpha: Scale = variance_preserving,
) -> MetricField:
    """Return the metric I + lambda s s^T of noisy observations x_t (B, d) of one noise level.

    Args:
        denoise: `denoise(x, log_snr)` -> (N, *shape).
        log_snr: l.
        shape: shape of one observation, of d numbers.
        strength: lambda, 0 or more.
        alpha: the factor of x_0 in x_t as a function of l.

    Raises:
        TypeError: the denoiser cannot be called.
        ValueError: the strength is negative.

    """
    if not callable(denoise):
        raise TypeError(f"expected a denoiser (x, log_snr) -> E[x_0 | x_t], got {type(denoise).__name__}")
    if not strength >= 0:
        raise ValueError(f"expected a strength of 0 or more, got {strength}")
    d = prod(shape)

    def stretched(x: Tensor) -> Tensor:
        level = torch.full((len(x),), float(log_snr), dtype=x.dtype, device=x.device)
        scale = alpha(level)[:, None]
        clean = denoise(x.unflatten(1, tuple(shape)), level).flatten(1)
        score = (scale * clean - x) / (scale.square() * (-level).exp()[:, None])
        return torch.eye(d, dtype=x.dtype, device=x.device) + strength * score[:, :, None] * score[:, None]

    return MetricField(stretched, d, definite=True)
