r"""Gaussian: with a fixed standard deviation, and with mean and log standard deviation both decoded.

Fixed sigma: F = 1/sigma^2 in h = mu, embedded by mu/sigma.

Decoded (mu, log sigma): F = diag(1/sigma^2, 2), a hyperbolic plane of scalar curvature -1; see
`lsgen.likelihoods.location_scale.location`, with A = 1 and C = 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from lsgen.likelihoods.location_scale.location import LocationFamily, LocationScaleFamily

__all__ = ["FixedGaussian", "Gaussian"]


class FixedGaussian(LocationFamily):
    """Independent Gaussians of mean h and one fixed standard deviation.

    Args:
        shape: shape of one observation.
        sigma: the standard deviation, in the units of the data.

    Raises:
        ValueError: sigma is not positive.

    """

    location_information: ClassVar[float] = 1.0

    def __init__(self, shape: Sequence[int], sigma: float = 1.0) -> None:
        super().__init__(shape)
        if not sigma > 0:
            raise ValueError(f"expected a standard deviation sigma > 0, got {sigma}")
        self.sigma = float(sigma)

    def scale_like(self, location: Tensor) -> Tensor:
        """Return sigma."""
        return torch.full((), self.sigma, dtype=location.dtype, device=location.device)

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return normal distributions."""
        return Normal(location, scale, validate_args=False)


class Gaussian(LocationScaleFamily):
    """Independent Gaussians; the heads are the mean and the log standard deviation."""

    location_information: ClassVar[float] = 1.0
    scale_information: ClassVar[float] = 2.0
    location_skewness: ClassVar[float] = 2.0
    scale_skewness: ClassVar[float] = 8.0

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return normal distributions."""
        return Normal(location, scale, validate_args=False)
