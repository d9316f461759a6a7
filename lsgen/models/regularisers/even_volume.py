r"""Even volume: a volume element that is the same at all codes.

    penalty = Var_z[ log sqrt det(U^T g(z) U) ],    U a random frame of k axes, the same at all codes

At k = d that is the variance of the logarithm of the generalised Jacobian determinant; smaller planes are cheaper, and
defined where collapsed latents leave g without full rank.

Reference: Nazari, Damrich & Hamprecht, "Geometric autoencoders - what you see is what you decode" (2023),
https://arxiv.org/abs/2306.17638.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators import Differential, check_plane, volume_variance
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["EvenVolume"]


class EvenVolume(MetricRegulariser):
    """The variance of the log-volume.

    Args:
        weight: see `MetricRegulariser`.
        plane: dimension k of random planes; the latent dimension where it is not given.
        sampling: see `MetricRegulariser`.

    Raises:
        ValueError: an argument is out of its range, or see `MetricRegulariser`.

    """

    least_codes = 2

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        plane: int | None = 2,
        sampling: MetricSampling = MetricSampling(),
    ) -> None:
        super().__init__(weight, sampling)
        self.plane = check_plane(plane)

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the variance of log-volumes over codes (N, d)."""
        return volume_variance(f, z, self.plane)
