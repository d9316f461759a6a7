r"""Isometry: one metric c I at all codes, whatever the scale c.

    penalty = d E[tr g^2] / (E[tr g])^2 - 1,

the squared coefficient of variation of the eigenvalues of g over axes and codes. It is free of scale, and 0 where the
decoder is an isometry up to scale, so that straight lines of codes are geodesics and distances of codes those of data.

Reference: Lee, Yoon, Son & Park, "Regularized autoencoders for isometric representation learning" (2022),
https://openreview.net/forum?id=mQxt8l7JL04.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators import Differential, check_plane, relaxed_distortion
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["Isometry"]


class Isometry(MetricRegulariser):
    """The relaxed distortion measure.

    Args:
        weight: see `MetricRegulariser`.
        plane: dimension of random planes that g is estimated from, at least 2; the latent dimension, which is exact,
            where it is not given.
        sampling: see `MetricRegulariser`.

    Raises:
        ValueError: the plane is too small, or see `MetricRegulariser`.

    """

    def __init__(
        self, weight: float | Schedule = 1.0, plane: int | None = 3, sampling: MetricSampling = MetricSampling()
    ) -> None:
        super().__init__(weight, sampling)
        self.plane = check_plane(plane, least=2)

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the relaxed distortion at codes (N, d)."""
        return relaxed_distortion(f, z, self.plane)
