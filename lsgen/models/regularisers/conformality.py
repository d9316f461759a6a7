r"""Conformality: a metric c(z) I, whose scale may differ from code to code.

    penalty = d E[tr g^2] / E[(tr g)^2] - 1

Angles of codes are then those of data. It is the part of `Isometry` within codes.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 8, for conformal metrics.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators import Differential, check_plane, conformal_distortion
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["Conformality"]


class Conformality(MetricRegulariser):
    """The anisotropy of the metric.

    Args:
        weight: see `MetricRegulariser`.
        plane: dimension of random planes that g is estimated from, at least 2; the latent dimension, which is exact,
            where it is not given.
        sampling: see `MetricRegulariser`.

    Raises:
        ValueError: an argument is out of its range, or see `MetricRegulariser`.

    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        plane: int | None = 3,
        sampling: MetricSampling = MetricSampling(),
    ) -> None:
        super().__init__(weight, sampling)
        self.plane = check_plane(plane, least=2)

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the conformal distortion at codes (N, d)."""
        return conformal_distortion(f, z, self.plane)
