r"""Noised observations of a data set, each beside all of its points.

In the clock x_t = e^-t x_0 + sqrt(Delta) eps, Delta = 1 - e^-2t, the point i has posterior probability
softmax_i(-|x_t - e^-t x_i|^2 / (2 Delta)) given x_t: two clones that the exact denoiser of the points cleans
independently end at two independent draws from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp

import torch
from torch import Tensor

__all__ = ["log_weights"]


def log_weights(
    points: Tensor, time: float, draws: int, generator: torch.Generator | None = None, chunk_size: int = 256
) -> Iterator[Tensor]:
    """Yield log weights (N, n) of all points, that of the point that was noised being 0, of noised observations.

    Args:
        points: observations (n, d), in the scale that they are noised in.
        time: t > 0.
        draws: the number of noised observations, over all chunks.
        generator: draws them; that of PyTorch where it is not given.
        chunk_size: noised observations at once.

    Raises:
        ValueError: points are no table of two or more, or the time is not positive.

    """
    if points.ndim != 2 or len(points) < 2 or not time > 0:
        raise ValueError(f"expected points (n, d) of n > 1 and a time t > 0, got {tuple(points.shape)} and {time}")
    n, d = points.shape
    noise = 1 - exp(-2 * time)
    centres = (points - points.mean(0)) * exp(-time)  # differences of squares are precise about the mean
    squares = centres.square().sum(1)
    for size in torch.arange(draws).split(chunk_size):
        chosen = torch.randint(n, (len(size),), generator=generator, device=points.device)
        eps = torch.randn(len(size), d, generator=generator, dtype=points.dtype, device=points.device)
        x = centres[chosen] + noise**0.5 * eps
        apart = x.square().sum(1, keepdim=True) + squares - 2 * x @ centres.T
        yield (eps.square().sum(1, keepdim=True) - apart.clamp(min=0) / noise).double() / 2
