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

from functools import cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints

from lsgen.latent.manifolds import poincare
from lsgen.latent.manifolds.manifold import PoincareBall
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior
from lsgen.latent.refusal import known_to_hold

__all__ = ["WrappedNormal", "WrappedNormalPosterior", "WrappedNormalPrior", "centres_of"]


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


class WrappedNormalPrior(Prior):
    """The wrapped normal at the origin of the ball.

    Args:
        dim: latent dimension d.
        curvature: c > 0; the sectional curvature is -c.
        scale: standard deviation in the tangent space at the origin.

    Raises:
        ValueError: dim, c or the scale is not positive.

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
        """Return the wrapped normal at the origin.

        Raises:
            ValueError: more than one draw in a million lies beyond the reach of codes of this precision.

        """
        dtype, most = self.origin.dtype, self.scale * _millionth(self.dim)
        reach = self.ball.reach(dtype)
        if most > reach:
            raise ValueError(
                f"expected draws within {reach:.3g} of the origin, the reach of {str(dtype)[6:]} in a ball of "
                f"curvature {self.ball.curvature:g}, got dim {self.dim} and scale {self.scale:g}, of which one in a "
                f"million lies beyond {most:.3g}: a smaller scale or curvature or higher precision is needed"
            )
        return WrappedNormal(self.origin, torch.full_like(self.origin, self.scale), self.ball)


class WrappedNormalPosterior(Posterior):
    """Wrapped normals; the heads are the centre, as a tangent vector at the origin, and the log variance.

    The centre of a tangent vector v lies at the distance 2 |v| from the origin, in every precision.

    Args:
        curvature: c > 0, as that of the prior.

    Raises:
        ValueError: c is not positive.

    """

    heads: ClassVar[int] = 2

    def __init__(self, curvature: float = 1.0) -> None:
        super().__init__()
        self.ball = PoincareBall(curvature)

    @property
    def manifold(self) -> PoincareBall:
        """The ball."""
        return self.ball

    def forward(self, raw: Tensor) -> Distribution:
        """Return the wrapped normal of raw outputs (B, 2 d).

        Raises:
            ValueError: a centre lies beyond the reach of codes of this precision. (In a training step on an
                accelerator, which would have to wait for the answer, its densities and draws are NaN.)

        """
        tangent, log_variance = raw.chunk(2, dim=-1)
        return WrappedNormal(centres_of(tangent, self.ball), (log_variance / 2).exp(), self.ball)


def centres_of(tangent: Tensor, ball: PoincareBall) -> Tensor:
    """Return the points of the ball at tangent vectors v (B, d) at the origin, 2 |v| from it, in double precision.

    Raises:
        ValueError: a centre lies beyond the reach of codes of this precision. (In a training step on an accelerator,
            which would have to wait for the answer, it is NaN.)

    """
    distance, reach = 2 * torch.linalg.vector_norm(tangent, dim=-1), ball.reach(tangent.dtype)
    if known_to_hold(distance > reach):
        raise ValueError(
            f"expected centres within {reach:.3g} of the origin, the reach of {str(tangent.dtype)[6:]} in a ball of "
            f"curvature {ball.curvature:g}, got an encoder that puts one at {float(distance.max()):.3g}"
        )
    return ball.from_origin(tangent.double().where((distance <= reach).unsqueeze(-1), torch.nan))


@cache
def _millionth(dim: int) -> float:
    """Return the length of a standard normal vector that one in a million exceeds."""
    from scipy.stats import chi

    return float(chi.isf(1e-6, dim))
