r"""Gaussian: with a fixed standard deviation, and with mean and log standard deviation both decoded.

Fixed sigma: F = 1/sigma^2 in h = mu, embedded by mu/sigma.

Decoded (mu, log sigma): F = diag(1/sigma^2, 2), a hyperbolic plane of scalar curvature -1. With x = mu/sqrt(2)
and y = sigma it is sqrt(2) times the hyperboloid of R^{2,1},

    e = sqrt(2) ( (x^2 + y^2 + 1)/2y,  x/y,  (x^2 + y^2 - 1)/2y ),    signature (-, +, +).

Far from (x, y) = (0, 1) the timelike and the second spacelike coordinate nearly cancel. The isometry
(x, y) -> ((x - x0)/y0, y/y0) moves a base point there, where the timelike derivative vanishes. With
X = (x - x0)/y0 and L = log(y/y0) the coordinates are X^2/2Y + cosh L, X/Y, X^2/2Y + sinh L.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from lsgen.likelihoods.base import FlatLikelihood

__all__ = ["FixedGaussian", "Gaussian"]


class FixedGaussian(FlatLikelihood):
    """Independent Gaussians of mean h and one fixed standard deviation.

    Args:
        shape: shape of one observation.
        sigma: the standard deviation, in the units of the data.

    Raises:
        ValueError: sigma is not positive.

    """

    def __init__(self, shape: Sequence[int], sigma: float = 1.0) -> None:
        super().__init__(shape)
        if not sigma > 0:
            raise ValueError(f"expected a standard deviation sigma > 0, got {sigma}")
        self.sigma = float(sigma)

    def forward(self, h: Tensor) -> Distribution:
        """Return Normal(h, sigma)."""
        mean = self.split(h).squeeze(-1)
        scale = torch.full((), self.sigma, dtype=mean.dtype, device=mean.device)
        return Independent(Normal(mean, scale, validate_args=False), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return 1/sigma^2, of shape (B, *shape, 1, 1)."""
        return torch.full_like(self.split(h), self.sigma**-2).unsqueeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept every finite number."""
        return torch.isfinite(x)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return mu/sigma, of shape (B, D)."""
        return self.split(h).flatten(-len(self.shape) - 1) / self.sigma

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the norm of (mu - mu')/sigma."""
        return torch.linalg.vector_norm(self.embed(h) - self.embed(other), dim=-1)


class Gaussian(FlatLikelihood):
    """Independent Gaussians; the heads are the mean and the log standard deviation."""

    heads: ClassVar[int] = 2

    def forward(self, h: Tensor) -> Distribution:
        """Return Normal(mu, exp(log_sigma))."""
        mean, log_sigma = self.split(h).unbind(-1)
        normal = Normal(mean, log_sigma.exp(), validate_args=False)
        return Independent(normal, len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return diag(1/sigma^2, 2), of shape (B, *shape, 2, 2)."""
        log_sigma = self.split(h)[..., 1]
        return torch.diag_embed(torch.stack([(-2 * log_sigma).exp(), torch.full_like(log_sigma, 2.0)], -1))

    def in_support(self, x: Tensor) -> Tensor:
        """Accept every finite number."""
        return torch.isfinite(x)

    @property
    def signature(self) -> Tensor:
        """The signs (-, +, +) for every data dimension, of shape (3 D,)."""
        return torch.tensor([-1.0, 1.0, 1.0]).repeat(self.dimensions)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the hyperboloid coordinates, of shape (B, 3 D), with the base point `at` moved to the origin."""
        mean, log_sigma = self.split(h).unbind(-1)
        base_mean, base_log_sigma = self.split(h.new_zeros(h.shape) if at is None else at.detach()).unbind(-1)
        X = (mean - base_mean) * torch.exp(-base_log_sigma) / sqrt(2)
        L = log_sigma - base_log_sigma
        slope = X * torch.exp(-L)
        half = X * slope / 2
        coordinates = torch.stack([half + torch.cosh(L), slope, half + torch.sinh(L)], -1)
        return sqrt(2) * coordinates.flatten(-len(self.shape) - 1)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        r"""Return the hyperbolic distance, sqrt(2) arccosh(1 + ((mu-mu')^2/2 + (sigma-sigma')^2) / 2 sigma sigma').

        Evaluated as 2 sqrt(2) asinh of half the chord, which keeps small distances.
        """
        (mean, log_sigma), (mean_, log_sigma_) = self.split(h).unbind(-1), self.split(other).unbind(-1)
        difference = (mean - mean_) * torch.exp(-(log_sigma + log_sigma_) / 2)
        half_chord = torch.hypot(difference / sqrt(8), torch.sinh((log_sigma - log_sigma_) / 2))
        return torch.linalg.vector_norm((sqrt(8) * torch.asinh(half_chord)).flatten(-len(self.shape)), dim=-1)
