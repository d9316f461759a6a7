r"""Extrinsic curvature: an image of the latent space that bends little in data space.

    penalty = E |II(v, v)|^2,    v uniform on the unit sphere of g, in a random plane of k axes

At k = d this is a mean of the second fundamental form, whatever the coordinates of codes; at k = 1, the squared
curvature of the images of straight lines. Decoders with ReLU have no second derivatives to learn from.

Reference: Lee & Park, "On explicit curvature regularization in deep generative models" (2023),
https://arxiv.org/abs/2309.10237.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators import Differential, check_plane, extrinsic_bending
from lsgen.latent import LatentSpace
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["ExtrinsicCurvature"]


class ExtrinsicCurvature(MetricRegulariser):
    """The mean square of the second fundamental form.

    Args:
        weight: see `MetricRegulariser`.
        plane: dimension k of random planes, at least 1; the latent dimension where it is not given.
        sampling: see `MetricRegulariser`.

    Raises:
        ValueError: an argument is out of its range, or see `MetricRegulariser`.

    """

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        plane: int | None = 2,
        sampling: MetricSampling = MetricSampling(),
    ) -> None:
        super().__init__(weight, sampling)
        self.plane = check_plane(plane)

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the mean square of II(v, v) at codes (N, d)."""
        return extrinsic_bending(f, z, self.plane)

    def check(self, space: LatentSpace) -> None:
        """Refuse a metric that no map into Euclidean space induces, and warn of a decoder without second derivatives.

        Raises:
            TypeError, ValueError: see `MetricRegulariser`; also for such a metric.

        """
        super().check(space)
        self.check_bending(space)
