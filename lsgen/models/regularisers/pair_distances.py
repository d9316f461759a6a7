r"""Distances of pairs: lengths in data space that follow distances of codes, or distances that are given.

    penalty = min_s sum (L - s D)^2 / sum L^2,    L the length of the image of the segment between two codes
    D = |z - z'|, or target(x, x')

L is the geodesic distance where the metric is flat, and an upper bound elsewhere. Pairs are neighbours in the batch.
With a target, codes are those of the observations and carry their graph, so that the encoder arranges them as well.

Reference: Kruskal, "Multidimensional scaling by optimizing goodness of fit to a nonmetric hypothesis" (1964), for the
stress; Chen et al., "Metrics for deep generative models" (2018), https://arxiv.org/abs/1711.01204, for lengths.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lsgen.geometry.estimators import Differential, stress
from lsgen.latent import LatentSpace
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["PairDistances", "euclidean_distances"]


class PairDistances(MetricRegulariser):
    """The stress between lengths of segments and distances.

    Args:
        weight: see `MetricRegulariser`.
        points: random points on each segment, of which two sets are drawn.
        scale: s; the one that fits the batch best where it is not given.
        target: observations (N, *shape) and others (N, *shape) -> wanted distances (N,); distances of codes where it is
            not given. It needs codes that are not mixed, and an encoder.
        sampling: see `MetricRegulariser`.

    Raises:
        ValueError: an argument is out of its range, or see `MetricRegulariser`.

    """

    least_codes = 2

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        points: int = 1,
        scale: float | None = None,
        target: Callable[[Tensor, Tensor], Tensor] | None = None,
        sampling: MetricSampling = MetricSampling(),
    ) -> None:
        super().__init__(weight, sampling)
        if not isinstance(points, int) or points < 1 or (scale is not None and not 0 < scale < float("inf")):
            raise ValueError(f"expected at least 1 point and a scale above 0, got {points} and {scale}")
        if target is not None and sampling.extrapolation is not None:
            raise ValueError(
                f"PairDistances expected sampling.extrapolation = null with a target, got {sampling.extrapolation}: "
                "mixed codes have no observations"
            )
        self.points, self.scale, self.target, self.encodes = points, scale, target, target is not None

    def at(self, space: LatentSpace, z: Tensor, x: Tensor) -> Tensor:
        """Return the stress of pairs of codes (N, d), with the target's distances of observations where there is one.

        Raises:
            ValueError: the target returns another shape than (N,).

        """
        if self.target is None:
            return super().at(space, z, x)
        n = self.sampling.codes
        z, x = z[:n], x[:n]
        wanted = self.target(x, x.roll(1, 0))
        if wanted.shape != (len(z),):
            raise ValueError(f"expected a target with distances ({len(z)},), got {tuple(wanted.shape)}")
        return stress(self.differential(space), z, z.roll(1, 0), wanted, self.points, self.scale)

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the stress of neighbouring codes (N, d)."""
        other = z.roll(1, 0)
        return stress(f, z, other, torch.linalg.vector_norm(other - z, dim=-1), self.points, self.scale)


def euclidean_distances(x: Tensor, other: Tensor) -> Tensor:
    """Return the Euclidean distances (N,) of observations (N, *shape) from others, a target of `PairDistances`."""
    return torch.linalg.vector_norm((x - other).flatten(1), dim=1)
