r"""Intrinsic curvature: images of planes of codes that can be unrolled.

    penalty = E S^2,    S the scalar curvature, by Gauss' equation, of the image of a random plane of k axes

At k = d, S is the scalar curvature of the latent space. Decoders with ReLU have no second derivatives to learn from.

Reference: Lee & Park, "On explicit curvature regularization in deep generative models" (2023),
https://arxiv.org/abs/2309.10237; do Carmo, "Riemannian Geometry" (1992), chapter 6, theorem 2.5.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators import Differential, check_plane, squared_scalar_curvature
from lsgen.latent import LatentSpace
from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling
from lsgen.models.schedules import Schedule

__all__ = ["IntrinsicCurvature"]


class IntrinsicCurvature(MetricRegulariser):
    """The mean square of the scalar curvature.

    Args:
        weight: see `MetricRegulariser`.
        plane: dimension k of random planes, at least 2; the latent dimension where it is not given.
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
        self.plane = check_plane(plane, least=2)

    def penalty(self, f: Differential, z: Tensor) -> Tensor:
        """Return the mean square of S at codes (N, d)."""
        return squared_scalar_curvature(f, z, self.plane)

    def check(self, space: LatentSpace) -> None:
        """Refuse a metric that no map into Euclidean space induces, and warn of a decoder without second derivatives.

        Raises:
            TypeError, ValueError: see `MetricRegulariser`; also for such a metric, or one latent dimension.

        """
        super().check(space)
        self.check_bending(space)
        if space.dim < 2:
            raise ValueError(f"IntrinsicCurvature expected a latent dimension of at least 2, got {space.dim}")
