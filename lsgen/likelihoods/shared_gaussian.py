r"""Gaussian whose standard deviation is one learned number, shared by all data dimensions.

    p(x|h) = N(h, sigma^2 I),    F = 1/sigma^2 in h = mu, embedded by mu/sigma,

since sigma does not depend on z: the geometry is that of a fixed sigma, at the value learnt so far. The sigma that
maximises the likelihood is the root mean squared error of the reconstruction.

Reference: Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders" (2021), section 4,
https://arxiv.org/abs/2006.13202.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from lsgen.likelihoods.base import FlatLikelihood

__all__ = ["SharedGaussian"]


class SharedGaussian(FlatLikelihood):
    """Independent Gaussians of mean h and one learned standard deviation.

    Args:
        shape: shape of one observation.
        sigma: the standard deviation to start from, in the units of the data.

    Raises:
        ValueError: sigma is not positive.

    """

    def __init__(self, shape: Sequence[int], sigma: float = 1.0) -> None:
        super().__init__(shape)
        if not sigma > 0:
            raise ValueError(f"expected a standard deviation sigma > 0, got {sigma}")
        self.log_sigma = nn.Parameter(torch.tensor(log(sigma)))

    def forward(self, h: Tensor) -> Distribution:
        """Return Normal(h, sigma)."""
        mean = self.split(h).squeeze(-1)
        scale = self.log_sigma.exp().to(mean.dtype)
        return Independent(Normal(mean, scale, validate_args=False), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return 1/sigma^2, of shape (B, *shape, 1, 1)."""
        return torch.exp(-2 * self.log_sigma).to(h.dtype).expand_as(self.split(h)).unsqueeze(-1)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept every finite number."""
        return torch.isfinite(x)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return mu/sigma, of shape (B, D)."""
        return self.split(h).flatten(-len(self.shape) - 1) * torch.exp(-self.log_sigma).to(h.dtype)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the norm of (mu - mu')/sigma."""
        return torch.linalg.vector_norm(self.embed(h) - self.embed(other), dim=-1)
