r"""Codes in the Poincare ball: the Riemannian normal distribution, which has the most entropy of given spread.

    q(z) = exp( -rho^2 / 2 sigma^2 ) / Z,    rho = d(m, z),
    Z = |S^{d-1}| int_0^inf exp( -rho^2 / 2 sigma^2 ) (sinh(sqrt(c) rho)/sqrt(c))^{d-1} drho ,

with respect to the hyperbolic volume. z = exp_m(rho u) with u uniform on the unit sphere of the tangent space and rho
by the inverse of its distribution function, which carries the derivative in sigma: no draw is rejected, as those of the
paper's adaptive rejection sampling are. Z is a quadrature in logarithms, at any d, c and sigma; the paper's sum of
error functions cancels for small sigma or large d. See `hyperbolic_radii` and `radial_quantiles`.

Centres, draws and densities are computed in double precision; codes are of the precision of the scales.

Reference: Mathieu et al., "Continuous hierarchical representations with Poincare variational auto-encoders" (2019),
section 3.2 and appendix B, https://arxiv.org/abs/1901.06033; Pennec, "Intrinsic statistics on Riemannian manifolds"
(2006), for the entropy.
"""

from __future__ import annotations

from functools import cached_property
from math import log
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from lsgen.latent.families.ball_normal import BallPosterior, BallPrior
from lsgen.latent.families.hyperbolic_radii import HyperbolicRadius
from lsgen.latent.families.radial_quantiles import (
    RadialTable,
    log_normaliser,
    mean_statistic,
    radial_quantile,
    radial_table,
)
from lsgen.latent.families.von_mises_fisher import log_sphere_area
from lsgen.latent.great_circles import unit_vector
from lsgen.latent.manifolds import poincare
from lsgen.latent.manifolds.manifold import PoincareBall
from lsgen.latent.manifolds.refusal import known_to_hold

__all__ = ["RiemannianNormal", "RiemannianNormalPosterior", "RiemannianNormalPrior"]


class RiemannianNormal(Distribution):
    """The Riemannian normal; densities are with respect to the hyperbolic volume.

    A draw that lies further from the origin than codes of this precision reach (see `PoincareBall.reach`) becomes the
    last code on its way there.

    Args:
        mean: points m of the ball, (B, d).
        scale: sigma > 0, in units of hyperbolic length, (B,); their precision is that of the draws.
        ball: the Poincare ball.

    Raises:
        ValueError: a centre is not a point of the ball, or a scale is not positive. (In a training step on an
            accelerator, which would have to wait for the answer, densities and draws are NaN where that is so.)

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor, scale: Tensor, ball: PoincareBall) -> None:
        self._centre, self.ball = ball.unit(mean), ball
        if known_to_hold(self._centre.norm(dim=-1) >= 1):
            rim = 1 / ball.curvature**0.5
            raise ValueError(f"expected centres in the ball |z| < {rim:g}, got {float(mean.norm(dim=-1).max()):g}")
        if known_to_hold(scale <= 0):
            raise ValueError(f"expected scales > 0, got {float(scale.min()):g}")
        self.scale = scale.expand(mean.shape[:-1]).where(scale > 0, torch.nan)
        self._kappa = 1 / (ball.curvature * self.scale.double().square())
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre m, (B, d), the Frechet mean."""
        return (self._centre / self.ball.curvature**0.5).to(self.scale.dtype)

    @property
    def variance(self) -> Tensor:
        """The variance E[rho^2]/d of each coordinate of log_m(z) in units of hyperbolic length, (B, d)."""
        square = 2 * self._mean_statistic / (self.ball.curvature * self.event_shape[0])
        return square.to(self.scale.dtype).unsqueeze(-1).expand_as(self._centre)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised points (*sample_shape, B, d); they have first derivatives in sigma only."""
        shape, dtype, device = torch.Size(sample_shape) + self.batch_shape, self.scale.dtype, self.scale.device
        kappa = self._flat.expand(torch.Size(sample_shape).numel(), -1)
        half = torch.finfo(dtype).eps / 4  # rand gives multiples of eps / 2, also 0
        share = (torch.rand(kappa.shape, dtype=dtype, device=device).double() + half).clamp(max=1 - 2**-53)
        radius = radial_quantile(kappa, share, self._table).view(*shape, 1)
        u = unit_vector(torch.randn(shape + self.event_shape, dtype=torch.float64, device=device))
        return self.ball.code(*poincare.exp(self._centre, radius * u), dtype, beyond=None)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B,); NaN for codes that do not lie in the ball."""
        rho = poincare.distance(self._centre, self.ball.unit(value))
        return (-self._kappa * rho.square() / 2 - self._log_normaliser).to(self.scale.dtype)

    def entropy(self) -> Tensor:
        """Return log Z + E[rho^2]/(2 sigma^2), (B,)."""
        return (self._log_normaliser + self._kappa * self._mean_statistic).to(self.scale.dtype)

    @property
    def _flat(self) -> Tensor:
        return self._kappa.reshape(-1)

    @cached_property
    def _table(self) -> RadialTable:
        return radial_table(HyperbolicRadius(self.event_shape[0] - 1), self._flat)

    @property
    def _mean_statistic(self) -> Tensor:
        """E[c rho^2]/2, (B,)."""
        return mean_statistic(self._flat, self._table).view(self.batch_shape)

    @property
    def _log_normaliser(self) -> Tensor:
        """log Z, (B,)."""
        d = self.event_shape[0]
        radial = log_normaliser(self._flat, self._table).view(self.batch_shape)
        return radial + log_sphere_area(d) - d / 2 * log(self.ball.curvature)


class RiemannianNormalPrior(BallPrior):
    """The Riemannian normal at the origin of the ball.

    Args:
        dim: latent dimension d.
        curvature: c > 0; the sectional curvature is -c.
        scale: sigma.

    Raises:
        ValueError: dim, c or the scale is not positive.

    """

    def millionth(self) -> float:
        """Return the distance from the origin that one draw in a million exceeds."""
        c = self.ball.curvature
        kappa = torch.tensor([1 / (c * self.scale**2)], dtype=torch.float64)
        share = torch.tensor([[1 - 1e-6]], dtype=torch.float64)
        table = radial_table(HyperbolicRadius(self.dim - 1), kappa)
        return float(radial_quantile(kappa.unsqueeze(0), share, table)) / c**0.5

    def at_origin(self) -> Distribution:
        """Return the Riemannian normal at the origin."""
        return RiemannianNormal(self.origin, torch.full_like(self.origin[0], self.scale), self.ball)


class RiemannianNormalPosterior(BallPosterior):
    """Riemannian normals; the heads are the centre, as a tangent vector at the origin, and the log variance.

    The logarithm of sigma^2 is the mean of the second head over dimensions. The centre of a tangent vector v lies at
    the distance 2 |v| from the origin, in every precision.

    Args:
        curvature: c > 0, as that of the prior.

    Raises:
        ValueError: c is not positive.

    """

    twice_differentiable: ClassVar[bool] = False

    def around(self, centre: Tensor, log_variance: Tensor) -> Distribution:
        """Return the Riemannian normals around centres (B, d)."""
        return RiemannianNormal(centre, (log_variance.mean(-1) / 2).exp(), self.ball)
