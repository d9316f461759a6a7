"""Hyperbolic space as a hyperboloid in Minkowski space: the Lorentz model."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lsgen.latent import paths
from lsgen.latent.manifolds import hyperboloid
from lsgen.latent.manifolds.manifold import Manifold, PoincareBall

__all__ = ["Lorentz"]


class Lorentz(Manifold):
    """The hyperboloid <z, z>_L = -z_0^2 + z_1^2 + ... = -1/c, z_0 > 0, of constant curvature -c.

    A code of hyperbolic space of dimension n has n + 1 coordinates, time first. Its time follows from the others, which
    alone are read; lengths are those of the Minkowski product. It is computed in double precision, whatever the
    precision of the codes. Far from the origin coordinates still tell the distance from it to all digits, but where
    around it a code lies ever less precisely: what would lie beyond `reach`, the same as in the ball, is NaN.

    Args:
        curvature: c > 0; the sectional curvature is -c.

    Raises:
        ValueError: c is not positive or not finite.

    """

    def __init__(self, curvature: float = 1.0) -> None:
        self.curvature = PoincareBall(curvature).curvature

    @property
    def ball(self) -> PoincareBall:
        """The Poincare ball of the same curvature, to which it is isometric."""
        return PoincareBall(self.curvature)

    def reach(self, dtype: torch.dtype) -> float:
        """Return the greatest distance from the origin of a code of this precision, 16.6/sqrt(c) in float32."""
        return self.ball.reach(dtype)

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return cosh|v| z + sinh|v| v/|v|, for c = 1."""
        return self._end(self._space(z), self._space(v), z.dtype)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the logarithmic map."""
        return self._code(hyperboloid.log(self._space(z), self._space(other)), z.dtype)

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return arcosh(-c <z, other>_L) / sqrt(c)."""
        half = hyperboloid.chord(self._space(z), self._space(other)).squeeze(-1) / 2
        return (2 * torch.asinh(half) / self.curvature**0.5).to(z.dtype)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the unit vector along which that coordinate grows fastest; zero for time at the origin."""
        rise = self.gradient(z, axis.expand_as(z))
        steep = hyperboloid.length(self._space(z), rise[..., 1:].double())
        return torch.where(steep > 0, rise / steep.where(steep > 0, 1), 0).to(z.dtype)

    def gradient(self, z: Tensor, g: Tensor) -> Tensor:
        """Return the tangent part of (-g_0, g_1, ...) by the Minkowski product."""
        x, rise = self._space(z), g.double()
        slope = rise[..., 1:] + rise[..., :1] * x / hyperboloid.point(x)[..., :1]
        steep = slope + (x * slope).sum(-1, keepdim=True) * x
        return hyperboloid.tangent(x, steep).to(g.dtype)

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the tangent vector with the same space coordinates."""
        return hyperboloid.tangent(self._space(z), v[..., 1:].double()).to(v.dtype)

    def displacement(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the logarithm carried in parallel to the origin, where lengths are Euclidean; its time is 0."""
        x = self._space(z)
        e = hyperboloid.displacement(x, hyperboloid.log(x, self._space(other))[..., 1:])
        return torch.nn.functional.pad(e / self.curvature**0.5, (1, 0)).to(z.dtype)

    def shift(self, z: Tensor, v: Tensor) -> Tensor:
        """Return codes moved along vectors v at the origin that are carried to z in parallel; v_0 is none of them."""
        x = self._space(z)
        return self._end(x, hyperboloid.carried(x, self._space(v))[..., 1:], z.dtype)

    def contains(self, z: Tensor) -> Tensor:
        """Return whether the time of points (B, 1 + n) is that of their other coordinates up to rounding, (B,)."""
        time, slack = self.onto(z)[..., 0], torch.finfo(z.dtype).eps ** 0.5
        return ((time - z[..., 0]).abs() <= slack * time) & z.isfinite().all(-1)

    def onto(self, z: Tensor) -> Tensor:
        """Return the code with the same space coordinates."""
        return self._code(hyperboloid.point(self._space(z)), z.dtype)

    def retraction(self, z: Tensor) -> Tensor:
        """Return the code with the same space coordinates."""
        return self.onto(z)

    def normal_coordinates(self, z: Tensor) -> Tensor:
        """Return how much later z is than the code with the same space coordinates, (B, 1)."""
        return z[..., :1] - self.onto(z)[..., :1]

    def parametrised(self, raw: Tensor) -> Tensor:
        """Return the exponential map at the origin of raw tangent vectors, whose time is not read."""
        x = self._space(raw)
        return self._end(torch.zeros_like(x), x, raw.dtype)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the end of the geodesic and the velocity there."""
        there = self.exp(z, v)
        return there, -self.log(there, z)

    def scaled(self, z: Tensor, factors: Tensor) -> Tensor:
        """Return codes whose tangent vectors at the origin are multiplied by the factors."""
        origin = self.onto(torch.zeros_like(z))
        return self.parametrised(factors * self.log(origin, z))

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return equidistant points (B, N, 1 + n), combinations of the two ends with positive weights."""
        t = paths.times(start, end, points).double()
        x, y = (self._space(z).unsqueeze(-2) for z in (start, end))
        rho = 2 * torch.asinh(hyperboloid.chord(x, y) / 2)
        apart = rho > 0
        some = rho.where(apart, 1)
        near, far = (torch.where(apart, torch.sinh(u * some) / torch.sinh(some), u) for u in (1 - t, t))
        return self._code(hyperboloid.point(near * x + far * y), start.dtype)

    def to_ball(self, z: Tensor) -> Tensor:
        """Return the codes (B, n) of the Poincare ball at the points (B, 1 + n); beyond its reach the last ones."""
        x = self._space(z)
        seen = x / (1 + hyperboloid.point(x)[..., :1])
        return self.ball.onto((seen / self.curvature**0.5).to(z.dtype))

    def from_ball(self, z: Tensor) -> Tensor:
        """Return the points (B, 1 + n) at codes (B, n) of the Poincare ball; NaN off it."""
        x = self.ball.unit(z)
        gap = 1 - x.square().sum(-1, keepdim=True)
        return self._code(hyperboloid.point(2 * x / gap.where(gap > 0, torch.nan)), z.dtype)

    def arguments(self) -> tuple[Any, ...]:
        """Return the curvature."""
        return (self.curvature,)

    def _space(self, z: Tensor) -> Tensor:
        """Return the space coordinates of codes, or of vectors, for c = 1, in double precision."""
        return self.curvature**0.5 * z[..., 1:].double()

    def _end(self, x: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:
        """Return where geodesics arrive, NaN beyond the reach of codes of this type."""
        there = hyperboloid.exp(x, v)
        last = math.cosh(self.curvature**0.5 * self.reach(dtype))
        return self._code(torch.where(there[..., :1] <= last, there, torch.nan), dtype)

    def _code(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return (x / self.curvature**0.5).to(dtype)
