r"""Lengths of the images of straight segments between codes, and how they compare with wanted distances.

    L(z, z') = int_0^1 |J(c(t)) (z' - z)| dt,    c(t) = z + t (z' - z)

The integral is estimated without bias at random times, one in each of n equal parts of [0, 1]. L is the geodesic
distance where the metric is flat, and an upper bound of it everywhere. The stress of pairs with wanted distances D is

    min_s sum (L - s D)^2 / sum L^2 = 1 - (sum L D)^2 / (sum L^2 sum D^2),

free of the scales of both; or, for a given s, sum (L - s D)^2 / sum (s D)^2. L^2 is the product of two independent
estimates, so that sums in numerators and denominators have no bias.

Reference: Kruskal, "Multidimensional scaling by optimizing goodness of fit to a nonmetric hypothesis" (1964), for the
stress; Chen et al., "Metrics for deep generative models" (2018), https://arxiv.org/abs/1711.01204, for lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.estimators.pushforward import Differential

__all__ = ["segment_lengths", "stress"]


def segment_lengths(f: Differential, start: Tensor, end: Tensor, points: int = 1) -> Tensor:
    """Return estimates without bias of the lengths of the images of segments, (N,).

    Args:
        f: the differential of the map.
        start: codes (N, d).
        end: codes (N, d).
        points: n, the number of random times. The cost is 2 n forward passes.

    Raises:
        ValueError: n is not positive.

    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 1:
        raise ValueError(f"expected at least 1 point on each segment, got {points!r}")
    n, step = len(start), end - start
    place = torch.arange(points, dtype=start.dtype, device=start.device)[:, None]
    times = (place + torch.rand(points, n, dtype=start.dtype, device=start.device)) / points
    codes = (start + times[..., None] * step).flatten(0, 1)
    square = f.squares(codes, step.expand(points, n, -1).flatten(0, 1)).unflatten(0, (points, n))
    tiny = torch.finfo(square.dtype).tiny
    return torch.where(square > tiny, square.clamp(min=tiny).sqrt(), square * 0).mean(0)


def stress(
    f: Differential, start: Tensor, end: Tensor, wanted: Tensor, points: int = 1, scale: float | None = None
) -> Tensor:
    """Return the stress between lengths of segments and wanted distances (N,), a scalar.

    Args:
        f: the differential of the map.
        start: codes (N, d).
        end: codes (N, d).
        wanted: distances D (N,).
        points: see `segment_lengths`, which is called twice.
        scale: s; the one that fits best where it is not given.

    Raises:
        ValueError: the number of points or the scale is not positive.

    """
    if scale is not None and not scale > 0:
        raise ValueError(f"expected a scale above 0, got {scale}")
    first, second = (segment_lengths(f, start, end, points) for _ in range(2))
    square, mean, target = (first * second).sum(), (first + second) / 2, wanted.square().sum()
    if scale is None:
        # (sum L D)^2 with each pair's own square by its two independent estimates
        cross = (mean * wanted).sum().square() - ((mean.square() - first * second) * wanted.square()).sum()
        return 1 - cross / (square * target)
    return (square - 2 * scale * (mean * wanted).sum()) / (scale**2 * target) + 1
