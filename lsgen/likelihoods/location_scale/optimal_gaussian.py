r"""Gaussian with the standard deviation that maximises the likelihood of the current training batch.

    sigma*^2 = 1/(N D) sum_n |x_n - mu(z_n)|^2,    -log p = D/2 log(2 pi sigma*^2) + D/2  on average over the batch.

sigma* is taken as a constant: at its optimum the derivative of the likelihood with respect to it is zero, so the
gradient is that of D/2 log of the mean squared error. Outside training sigma^2 is a moving average over the batches
seen, and geometry and samples use it too: F = 1/sigma^2 in h = mu, embedded by mu/sigma.

The errors are those of everything that log p is asked for, so an objective for missing values, which leaves data
dimensions out afterwards, needs a `SharedGaussian` instead.

Reference: Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders" (2021), equations 7
and 8, https://arxiv.org/abs/2006.13202.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from lsgen.likelihoods.location_scale.location import LocationFamily

__all__ = ["OptimalGaussian"]


class OptimalGaussian(LocationFamily):
    """Independent Gaussians of mean h and the best standard deviation of the batch.

    Args:
        shape: shape of one observation.
        momentum: weight of a new batch in the moving average of sigma^2, once more than 1/momentum were seen; a plain
            average before.
        smallest: least standard deviation, in the units of the data.

    Attributes:
        variance: the moving average of sigma^2, ().
        batches: number of batches seen, ().

    Raises:
        ValueError: momentum lies outside (0, 1], or smallest is not positive.

    """

    location_information: ClassVar[float] = 1.0
    variance: Tensor
    batches: Tensor

    def __init__(self, shape: Sequence[int], momentum: float = 0.01, smallest: float = 1e-3) -> None:
        super().__init__(shape)
        if not 0 < momentum <= 1:
            raise ValueError(f"expected a momentum in (0, 1], got {momentum}")
        if not smallest > 0:
            raise ValueError(f"expected a smallest standard deviation > 0, got {smallest}")
        self.momentum, self.smallest = float(momentum), float(smallest)
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def scale_like(self, location: Tensor) -> Tensor:
        """Return sigma, from the moving average."""
        return self.variance.sqrt().to(location.dtype)

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return normal distributions; in training their sigma is computed from the batch."""
        if self.training:
            return _Calibrated(self, location, scale)
        return Normal(location, scale, validate_args=False)

    @torch.no_grad()
    def calibrate(self, errors: Tensor) -> Tensor:
        """Return sigma* of a batch of errors x - mu, and let it enter the moving average."""
        variance = errors.square().mean().clamp(min=self.smallest**2)
        self.batches += 1
        weight = self.batches.to(self.variance).reciprocal().clamp(min=self.momentum)
        self.variance.lerp_(variance.to(self.variance), weight)
        return variance.sqrt()


class _Calibrated(Normal):
    """Normal distributions with the one standard deviation that maximises the likelihood of the values given."""

    def __init__(self, likelihood: OptimalGaussian, location: Tensor, scale: Tensor) -> None:
        super().__init__(location, scale, validate_args=False)
        self.likelihood = likelihood

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log N(value; mu, sigma*^2) for every data dimension."""
        scale = self.likelihood.calibrate(value - self.loc)
        return Normal(self.loc, scale, validate_args=False).log_prob(value)
