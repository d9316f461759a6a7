r"""A flat metric of a given scale: g = c I at all codes, in the units of g.

    penalty = E |g - c I|^2,    c given, or the mean eigenvalue E[tr g] / d of the batch

Other than `Isometry` it is no quotient: large metrics count more, and a given c fixes the scale of the latent space.

Reference: Chen et al., "Learning flat latent manifolds with VAEs" (2020), https://arxiv.org/abs/2002.04881, equation 8.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators import Differential, check_plane, flatness_defect
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["FlatMetric"]


class FlatMetric(MetricRegulariser):
    """The squared distance of the metric from a multiple of the identity.

    Args:
        weight: see `MetricRegulariser`.
        plane: dimension of random planes that g is estimated from, at least 2; the latent dimension, which is exact,
            where it is not given.
        scale: c; the mean eigenvalue of the metric over the codes of each batch where it is not given.
        sampling: see `MetricRegulariser`.

    Raises:
        ValueError: an argument is out of its range, or see `MetricRegulariser`.

    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        plane: int | None = 3,
        scale: float | None = None,
        sampling: MetricSampling = MetricSampling(),
    ) -> None:
        super().__init__(weight, sampling)
        if scale is not None and not 0 < scale < float("inf"):
            raise ValueError(f"expected a scale above 0, got {scale}")
        self.plane, self.scale = check_plane(plane, least=2), scale

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the mean squared defect at codes (N, d)."""
        return flatness_defect(f, z, self.plane, self.scale)
