r"""Codes in the Poincare ball: the wrapped normal distribution.

    z = exp_m( v / lambda(m) ),    v ~ N(0, diag(s^2)),

a normal in the tangent space at m, carried there from the origin and wrapped onto the ball. With r = |v|, the
hyperbolic distance of z from m, its density with respect to the hyperbolic volume is

    log q(z) = log N(v; 0, diag(s^2)) - (d - 1) log( sinh(sqrt(c) r) / (sqrt(c) r) ),    v = lambda(m) log_m(z) .

Reference: Mathieu et al., "Continuous hierarchical representations with Poincare variational auto-encoders" (2019),
section 3.2, https://arxiv.org/abs/1901.06033; Nagano et al. (2019), https://arxiv.org/abs/1902.02992.
"""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints

from lsgen.latent.manifolds import PoincareBall
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior

__all__ = ["WrappedNormal", "WrappedNormalPosterior", "WrappedNormalPrior"]


class WrappedNormal(Distribution):
    """The wrapped normal; densities are with respect to the hyperbolic volume.

    Args:
        mean: points m of the ball, (B, d).
        scale: standard deviations s in the tangent space, (B, d).
        ball: the Poincare ball.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor, scale: Tensor, ball: PoincareBall) -> None:
        self._mean, self.scale, self.ball = mean, scale, ball
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre m, (B, d), the Frechet mean."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """The variance s^2 of the tangent vector, (B, d), in units of hyperbolic length."""
        return self.scale.square().expand_as(self._mean)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised points (*sample_shape, B, d)."""
        mean = self._mean.expand(torch.Size(sample_shape) + self._mean.shape)
        v = self.scale * torch.randn_like(mean)
        return self.ball.exp(mean, v / self.ball.conformal_factor(mean))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B,)."""
        mean = self._mean.expand(torch.broadcast_shapes(value.shape, self._mean.shape))
        v = self.ball.conformal_factor(mean) * self.ball.log(mean, value.expand_as(mean))
        radius = self.ball.curvature**0.5 * torch.linalg.vector_norm(v, dim=-1)
        flat = Normal(torch.zeros_like(self.scale), self.scale, validate_args=False).log_prob(v).sum(-1)
        return flat - (self.event_shape[0] - 1) * _log_sinhc(radius)


class WrappedNormalPrior(Prior):
    """The wrapped normal at the origin of the ball.

    Args:
        dim: latent dimension d.
        curvature: c > 0; the sectional curvature is -c.
        scale: standard deviation in the tangent space at the origin.

    Raises:
        ValueError: dim, c or the scale is not positive.
        ImportError: geoopt is not installed.

    """

    origin: Tensor

    def __init__(self, dim: int, curvature: float = 1.0, scale: float = 1.0) -> None:
        super().__init__(dim)
        if not scale > 0:
            raise ValueError(f"expected a scale > 0, got {scale}")
        self.ball, self.scale = PoincareBall(curvature), float(scale)
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    @property
    def manifold(self) -> PoincareBall:
        """The ball."""
        return self.ball

    def forward(self) -> Distribution:
        """Return the wrapped normal at the origin."""
        return WrappedNormal(self.origin, torch.full_like(self.origin, self.scale), self.ball)


class WrappedNormalPosterior(Posterior):
    """Wrapped normals; the heads are the centre, as a tangent vector at the origin, and the log variance.

    Args:
        curvature: c > 0, as that of the prior.

    Raises:
        ValueError: c is not positive.
        ImportError: geoopt is not installed.

    """

    heads: ClassVar[int] = 2

    def __init__(self, curvature: float = 1.0) -> None:
        super().__init__()
        self.ball = PoincareBall(curvature)

    def forward(self, raw: Tensor) -> Distribution:
        """Return the wrapped normal of raw outputs (B, 2 d)."""
        tangent, log_variance = raw.chunk(2, dim=-1)
        return WrappedNormal(self.ball.from_origin(tangent), (log_variance / 2).exp(), self.ball)


def _log_sinhc(x: Tensor) -> Tensor:
    """Return log(sinh(x) / x) for x >= 0, x^2/6 near 0."""
    small = x < 1e-2
    safe = torch.where(small, torch.ones_like(x), x)
    large = safe + torch.log1p(-torch.exp(-2 * safe)) - log(2) - safe.log()
    return torch.where(small, x.square() / 6 - x**4 / 180, large)
