r"""Laplace: with a fixed scale b, and with location and log scale both decoded.

    p(x) = exp(-|x - mu|/b) / 2b,    F = 1/b^2 in mu,    F = diag(1/b^2, 1) in (mu, log b).

Fixed b: embedded by mu/b; the log-likelihood is the absolute error. Decoded (mu, log b): a hyperbolic plane of scalar
curvature -2; see `lsgen.likelihoods.location_scale.location`, with A = C = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import Laplace as _Laplace

from lsgen.likelihoods.location_scale.location import LocationFamily, LocationScaleFamily

__all__ = ["FixedLaplace", "Laplace"]


class FixedLaplace(LocationFamily):
    """Independent Laplace distributions of location h and one fixed scale.

    Args:
        shape: shape of one observation.
        scale: b, in the units of the data; the standard deviation is sqrt(2) b.

    Raises:
        ValueError: the scale is not positive.

    """

    location_information: ClassVar[float] = 1.0

    def __init__(self, shape: Sequence[int], scale: float = 1.0) -> None:
        super().__init__(shape)
        if not scale > 0:
            raise ValueError(f"expected a scale > 0, got {scale}")
        self.scale = float(scale)

    def scale_like(self, location: Tensor) -> Tensor:
        """Return b."""
        return torch.full((), self.scale, dtype=location.dtype, device=location.device)

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return Laplace distributions."""
        return _Laplace(location, scale, validate_args=False)


class Laplace(LocationScaleFamily):
    """Independent Laplace distributions; the heads are the location and the log scale."""

    location_information: ClassVar[float] = 1.0
    scale_information: ClassVar[float] = 1.0
    location_skewness: ClassVar[float] = 0.0
    scale_skewness: ClassVar[float] = 2.0

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return Laplace distributions."""
        return _Laplace(location, scale, validate_args=False)
