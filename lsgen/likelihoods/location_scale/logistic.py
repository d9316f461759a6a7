r"""Logistic: with a fixed scale s, and with location and log scale both decoded.

    p(x) = 1/(4 s) sech^2((x - mu)/2s),    F = 1/(3 s^2) in mu,    F = diag(1/(3 s^2), (3 + pi^2)/9) in (mu, log s).

Fixed s: embedded by mu/(sqrt(3) s). Decoded (mu, log s): a hyperbolic plane of scalar curvature -18/(3 + pi^2); see
`lsgen.likelihoods.location_scale.location`, with A = 1/3 and C = (3 + pi^2)/9.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import softplus

from lsgen.likelihoods.location_scale.location import LocationFamily, LocationScaleFamily

__all__ = ["FixedLogistic", "Logistic"]


class FixedLogistic(LocationFamily):
    """Independent logistic distributions of location h and one fixed scale.

    Args:
        shape: shape of one observation.
        scale: s, in the units of the data; the standard deviation is pi s/sqrt(3).

    Raises:
        ValueError: the scale is not positive.

    """

    location_information: ClassVar[float] = 1 / 3

    def __init__(self, shape: Sequence[int], scale: float = 1.0) -> None:
        super().__init__(shape)
        if not scale > 0:
            raise ValueError(f"expected a scale > 0, got {scale}")
        self.scale = float(scale)

    def scale_like(self, location: Tensor) -> Tensor:
        """Return s."""
        return torch.full((), self.scale, dtype=location.dtype, device=location.device)

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return logistic distributions."""
        return _Logistic(location, scale)


class Logistic(LocationScaleFamily):
    """Independent logistic distributions; the heads are the location and the log scale."""

    location_information: ClassVar[float] = 1 / 3
    scale_information: ClassVar[float] = (3 + pi**2) / 9
    location_skewness: ClassVar[float] = 1 / 3
    scale_skewness: ClassVar[float] = pi**2 / 3

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return logistic distributions."""
        return _Logistic(location, scale)


class _Logistic(Distribution):
    """The logistic distribution, which PyTorch has as a transform of the uniform one only."""

    support = constraints.real
    has_rsample = True

    def __init__(self, location: Tensor, scale: Tensor) -> None:
        self.location, self.scale = broadcast_all(location, scale)
        super().__init__(self.location.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """mu."""
        return self.location

    @property
    def variance(self) -> Tensor:
        """(pi s)^2 / 3."""
        return (pi / sqrt(3) * self.scale) ** 2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Return mu + s log(u/(1 - u))."""
        shape = self._extended_shape(Size(sample_shape))
        tiny = torch.finfo(self.location.dtype).tiny
        u = torch.rand(shape, dtype=self.location.dtype, device=self.location.device).clamp(min=tiny)
        return self.location + self.scale * (u.log() - (-u).log1p())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return -|u| - 2 log(1 + exp(-|u|)) - log s, u = (x - mu)/s."""
        u = (value - self.location) / self.scale
        return -u - 2 * softplus(-u) - self.scale.log()
