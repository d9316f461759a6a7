r"""Gaussian whose standard deviation is learned, and shared by all observations.

    p(x|h) = N(h, sigma^2 I)  or  N(h, diag(sigma_1^2, ..., sigma_D^2)),    F = 1/sigma^2 in h = mu,

embedded by mu/sigma, since sigma does not depend on z: the geometry is that of a fixed sigma, at the value learnt so
far. The sigma that maximises the likelihood is the root mean squared error of the reconstruction.

Reference: Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders" (2021), section 4,
https://arxiv.org/abs/2006.13202.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from lsgen.likelihoods.location_scale.location import LocationFamily

__all__ = ["SharedGaussian"]


class SharedGaussian(LocationFamily):
    """Independent Gaussians of mean h and learned standard deviations, the same for every observation.

    Args:
        shape: shape of one observation.
        sigma: the standard deviation to start from, in the units of the data.
        per_dimension: whether every data dimension (pixel) has a standard deviation of its own.

    Raises:
        ValueError: sigma is not positive.

    """

    location_information: ClassVar[float] = 1.0

    def __init__(self, shape: Sequence[int], sigma: float = 1.0, per_dimension: bool = False) -> None:
        super().__init__(shape)
        if not sigma > 0:
            raise ValueError(f"expected a standard deviation sigma > 0, got {sigma}")
        self.log_sigma = nn.Parameter(torch.full(self.shape if per_dimension else (), log(sigma)))

    def scale_like(self, location: Tensor) -> Tensor:
        """Return sigma, of shape () or `shape`."""
        return self.log_sigma.exp().to(location.dtype)

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return normal distributions."""
        return Normal(location, scale, validate_args=False)
