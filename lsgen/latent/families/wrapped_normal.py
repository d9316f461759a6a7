r"""Codes in the Poincare ball: the wrapped normal distribution.

    z = exp_m( v / lambda(m) ),    v ~ N(0, diag(s^2)),

a normal in the tangent space at m, carried there from the origin and wrapped onto the ball. With r = |v|, the
hyperbolic distance of z from m, its density with respect to the hyperbolic volume is

    log q(z) = log N(v; 0, diag(s^2)) - (d - 1) log( sinh(sqrt(c) r) / (sqrt(c) r) ),    v = lambda(m) log_m(z) .

Centres, draws and densities are computed in double precision; codes are of the precision of the scales.

Reference: Mathieu et al., "Continuous hierarchical representations with Poincare variational auto-encoders" (2019),
section 3.2, https://arxiv.org/abs/1901.06033; Nagano et al. (2019), https://arxiv.org/abs/1902.02992.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints

from lsgen.latent.families.ball_normal import BallPosterior, BallPrior
from lsgen.latent.manifolds import poincare
from lsgen.latent.manifolds.manifold import PoincareBall
from lsgen.latent.manifolds.refusal import known_to_hold

__all__ = ["WrappedNormal", "WrappedNormalPosterior", "WrappedNormalPrior"]


class WrappedNormal(Distribution):
    """The wrapped normal; densities are with respect to the hyperbolic volume.

    A draw that lies further from the origin than codes of this precision reach (see `PoincareBall.reach`) becomes the
    last code on its way there.

    Args:
        mean: points m of the ball, (B, d).
        scale: standard deviations s in the tangent space, (B, d); their precision is that of the draws.
        ball: the Poincare ball.

    Raises:
        ValueError: a centre is not a point of the ball. (In a training step on an accelerator, which would have to wait
            for the answer, its densities and draws are NaN.)

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor, scale: Tensor, ball: PoincareBall) -> None:
        self._centre, self.scale, self.ball = ball.unit(mean), scale, ball
        if known_to_hold(self._centre.norm(dim=-1) >= 1):
            rim = 1 / ball.curvature**0.5
            raise ValueError(f"expected centres in the ball |z| < {rim:g}, got {float(mean.norm(dim=-1).max()):g}")
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre m, (B, d), the Frechet mean."""
        return (self._centre / self.ball.curvature**0.5).to(self.scale.dtype)

    @property
    def variance(self) -> Tensor:
        """The variance s^2 of the tangent vector, (B, d), in units of hyperbolic length."""
        return self.scale.square().expand_as(self._centre)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised points (*sample_shape, B, d)."""
        shape, scale = torch.Size(sample_shape) + self._centre.shape, self.scale
        v = scale * torch.randn(shape, dtype=scale.dtype, device=scale.device)
        return self.ball.code(*poincare.exp(self._centre, self.ball.unit(v)), scale.dtype, beyond=None)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B,); NaN for codes that do not lie in the ball."""
        e = poincare.displacement(self._centre, self.ball.unit(value))
        scale = self.scale.double()
        flat = Normal(torch.zeros_like(scale), scale, validate_args=False).log_prob(e / self.ball.curvature**0.5)
        volume = (self.event_shape[0] - 1) * poincare.log_sinhc(torch.linalg.vector_norm(e, dim=-1))
        return (flat.sum(-1) - volume).to(self.scale.dtype)


class WrappedNormalPrior(BallPrior):
    """The wrapped normal at the origin of the ball.

    Args:
        dim: latent dimension d.
        curvature: c > 0; the sectional curvature is -c.
        scale: standard deviation in the tangent space at the origin.

    Raises:
        ValueError: dim, c or the scale is not positive.

    """

    def millionth(self) -> float:
        """Return the distance from the origin that one draw in a million exceeds."""
        from scipy.stats import chi

        return self.scale * float(chi.isf(1e-6, self.dim))

    def at_origin(self) -> Distribution:
        """Return the wrapped normal at the origin."""
        return WrappedNormal(self.origin, torch.full_like(self.origin, self.scale), self.ball)


class WrappedNormalPosterior(BallPosterior):
    """Wrapped normals; the heads are the centre, as a tangent vector at the origin, and the log variance.

    The centre of a tangent vector v lies at the distance 2 |v| from the origin, in every precision.

    Args:
        curvature: c > 0, as that of the prior.

    Raises:
        ValueError: c is not positive.

    """

    def around(self, centre: Tensor, log_variance: Tensor) -> Distribution:
        """Return the wrapped normals around centres (B, d)."""
        return WrappedNormal(centre, (log_variance / 2).exp(), self.ball)
