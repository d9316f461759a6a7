r"""The geometry that codes have by construction: flat space, the sphere, the Poincare ball.

Paths through a latent space follow it: interpolation runs along geodesics, a traversal leaves its anchor along the
geodesic in the direction of one coordinate. (The geometry that a decoder induces is another matter: `lsgen.geometry`.)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lsgen.latent import great_circles, paths
from lsgen.latent.manifolds import poincare

__all__ = ["Choice", "Euclidean", "Manifold", "PoincareBall", "Sphere"]


@dataclass(frozen=True)
class Choice:
    """A group of coordinates, start ... start + w - 1, that takes one of K values.

    Attributes:
        start: the first of the coordinates.
        values: what they can be, (K, w).

    """

    start: int
    values: Tensor


class Manifold(ABC):
    """Abstract geometry of codes (B, d).

    Codes that cannot move, such as classes, are isolated points: a manifold of dimension 0, on which every tangent
    vector is 0. `choices` lists the values that they can take.
    """

    def __eq__(self, other: object) -> bool:
        """Return whether the other is the same manifold."""
        return type(self) is type(other) and self.arguments() == other.arguments()

    def __hash__(self) -> int:
        return hash((type(self), self.arguments()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self.arguments()))})"

    def arguments(self) -> tuple[Any, ...]:
        """Return the arguments of the constructor; manifolds of one type are equal where these are."""
        return ()

    @abstractmethod
    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return where the geodesic from z with velocity v arrives after unit time, (B, d)."""

    @abstractmethod
    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the velocity at z of the shortest geodesic that arrives at `other` after unit time, (B, d)."""

    @abstractmethod
    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the length of that geodesic, (B,)."""

    @abstractmethod
    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the unit tangent vector at z that points along a coordinate axis, (B, d)."""

    @property
    def measure(self) -> Manifold:
        """The manifold whose volume densities of codes refer to: itself, or the manifold that contains it."""
        return self

    @property
    def continuous(self) -> bool:
        """Whether codes can move continuously; if not, they are isolated points."""
        return True

    def check_continuous(self) -> None:
        """Raise an error if codes are isolated points, which cannot move.

        Raises:
            TypeError: every code is apart from every other.

        """
        if not self.continuous:
            raise TypeError(f"expected codes that can move continuously, got those of {self}")

    @property
    def coordinates(self) -> int | None:
        """The number d of coordinates of a code; None where any number will do."""
        return None

    @property
    def choices(self) -> list[Choice]:
        """The groups of coordinates that take one of a list of values; empty unless a manifold overrides it."""
        return []

    def onto(self, z: Tensor) -> Tensor:
        """Return the code nearest to each point z (B, d) of the ambient space."""
        return z

    def retraction(self, z: Tensor) -> Tensor:
        """Return codes as a smooth function of points z (B, d) near the manifold, each code that of itself."""
        return z

    def normal_coordinates(self, z: Tensor) -> Tensor:
        """Return smooth coordinates (B, k) across the manifold of points z (B, d) near it; codes have 0."""
        return z[..., :0]

    def contains(self, z: Tensor) -> Tensor:
        """Return whether points (B, d) lie on the manifold up to rounding, (B,)."""
        slack = torch.finfo(z.dtype).eps ** 0.5
        return (torch.linalg.vector_norm(self.onto(z) - z, dim=-1) <= slack * z.shape[-1] ** 0.5) & z.isfinite().all(-1)

    def parametrised(self, raw: Tensor) -> Tensor:
        """Return codes as a differentiable function of unconstrained numbers (B, d)."""
        return raw

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the part of v (B, d) along which the code z can move, (B, d)."""
        return v

    def conformal_factor(self, z: Tensor) -> Tensor:
        """Return the length of a tangent vector over its Euclidean one, (B, 1), or for each coordinate (B, d)."""
        return torch.ones_like(z[..., :1])

    def gradient(self, z: Tensor, g: Tensor) -> Tensor:
        """Return the gradient at z of a function on the manifold, (B, d), the tangent vector of steepest ascent.

        Args:
            z: codes (B, d).
            g: its derivatives by the coordinates (B, d).

        """
        return self.tangent(z, g) / self.conformal_factor(z).square()

    def displacement(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the vector (B, d) along which `shift` moves z to `other`; its Euclidean length is their distance."""
        return self.conformal_factor(z) * self.log(z, other)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the geodesic from z with velocity v is after unit time, and its velocity there, (B, d) each.

        It keeps volume and the length of v, and is undone by the velocity -v. At a wall it is reflected.
        """
        return self.exp(z, v), v

    def shift(self, z: Tensor, v: Tensor) -> Tensor:
        """Return codes moved along geodesics by the part of v (B, d) that they can follow; they stop at a wall.

        The length of v is that on the manifold, whatever the conformal factor.
        """
        return self.exp(z, self.tangent(z, v) / self.conformal_factor(z))

    def scaled(self, z: Tensor, factors: Tensor) -> Tensor:
        """Return codes whose coordinates are multiplied by factors (B, d), as far as they can move."""
        return self.onto(z * factors)

    def inside(self, z: Tensor, margin: float) -> Tensor:
        """Return codes moved to at least a margin from every wall."""
        return z

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Return codes (B, d) with one coordinate moved by a step, (): along the geodesic in its direction."""
        unit = torch.zeros_like(z)
        unit[..., axis] = 1
        return self.exp(z, step * self.direction(z, unit))

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return equidistant points of the geodesic between two codes, both ends included.

        Args:
            start: codes (B, d).
            end: codes (B, d).
            points: number of points N >= 2.

        Returns:
            Codes (B, N, d).

        Raises:
            ValueError: the shapes differ or N < 2.

        """
        t = paths.times(start, end, points)
        velocity = self.log(start, end).unsqueeze(-2)
        return self.exp(start.unsqueeze(-2), t * velocity)

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return codes at the given signed distances along the geodesics through the anchor in direction of each axis.

        Args:
            anchor: codes (B, d).
            axes: integer indices (K,) of coordinates.
            values: distances (N,).

        Returns:
            Codes (B, K, N, d).

        """
        d = anchor.shape[-1]
        units = torch.nn.functional.one_hot(axes, d).to(anchor)
        at = anchor.unsqueeze(-2)
        velocity = self.direction(at.expand(*anchor.shape[:-1], len(axes), d), units)
        steps = values.to(anchor)[:, None] * velocity.unsqueeze(-2)
        return self.exp(anchor[..., None, None, :].expand_as(steps), steps)


class Euclidean(Manifold):
    """Flat space; a traversal sets the coordinate to the given values, wherever the anchor is."""

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return z + v."""
        return z + v

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return other - z."""
        return other - z

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return |other - z|."""
        return torch.linalg.vector_norm(other - z, dim=-1)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the axis."""
        return axis.expand_as(z)

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return the straight segment, (B, N, d)."""
        return paths.linear(start, end, points)

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return copies of the anchor in which one coordinate at a time takes the given values, (B, K, N, d)."""
        return paths.axis_traversal(anchor, axes, values)


class Sphere(Manifold):
    """The unit sphere in R^d; geodesics are great circles.

    Antipodes have no shortest geodesic: their logarithm and their geodesic are NaN.

    A traversal along an axis turns the anchor towards that axis; where the anchor lies on the axis it has no direction
    and stays.
    """

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return cos|v| z + sin|v| v/|v|."""
        return great_circles.exp(z, v)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the tangent part of `other` at z, scaled to the angle; NaN for antipodes."""
        return great_circles.log(z, other)

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the angle, from chords, which keeps small ones."""
        return great_circles.angle(z, other)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the unit tangent vector towards the axis, or zero on it."""
        return great_circles.direction(z, axis)

    def onto(self, z: Tensor) -> Tensor:
        """Return z over its length."""
        return great_circles.unit_vector(z)

    def contains(self, z: Tensor) -> Tensor:
        """Return whether points (B, d) have length 1 up to rounding, (B,)."""
        return super().contains(z) & (z != 0).any(-1)

    def retraction(self, z: Tensor) -> Tensor:
        """Return z over its length; NaN at the centre."""
        return z * z.square().sum(-1, keepdim=True).rsqrt()

    def normal_coordinates(self, z: Tensor) -> Tensor:
        """Return log |z|, (B, 1)."""
        return z.square().sum(-1, keepdim=True).log() / 2

    def parametrised(self, raw: Tensor) -> Tensor:
        """Return raw numbers over their length."""
        return great_circles.unit_vector(raw)

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the part of v that is orthogonal to z."""
        return great_circles.tangent(z, v)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the point of the great circle and its velocity, -|v| sin|v| z + cos|v| v."""
        return great_circles.flow(z, v)


class PoincareBall(Manifold):
    """The ball c |z|^2 < 1 with the metric of constant curvature -c.

    It is computed in double precision, whatever the precision of the codes. What a code of their precision cannot
    represent, because it lies beyond `reach`, is NaN.

    Args:
        curvature: c > 0; the sectional curvature is -c.

    Raises:
        ValueError: c is not positive or not finite.

    """

    def __init__(self, curvature: float = 1.0) -> None:
        if not 0 < curvature < math.inf:
            raise ValueError(f"expected a curvature c > 0 (the space has sectional curvature -c), got {curvature}")
        self.curvature = float(curvature)

    def reach(self, dtype: torch.dtype) -> float:
        """Return the greatest distance from the origin of a code of this precision, 16.6/sqrt(c) in float32."""
        return 2 * math.atanh(poincare.largest_norm(dtype)) / self.curvature**0.5

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the exponential map."""
        x = self.unit(z)
        return self.code(*poincare.exp(x, 2 / poincare.gap(x) * self.unit(v)), z.dtype)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the logarithmic map."""
        x, y = self.unit(z), self.unit(other)
        return (poincare.gap(x) / 2 * poincare.displacement(x, y) / self.curvature**0.5).to(z.dtype)

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the hyperbolic distance."""
        return (poincare.distance(self.unit(z), self.unit(other)) / self.curvature**0.5).to(z.dtype)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the axis over its length lambda(z)."""
        return axis / self.conformal_factor(z)

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return equidistant points (B, N, d): each from the nearer end, where its coordinates are precise."""
        t = paths.times(start, end, points).double()
        x, y = (self.unit(z).unsqueeze(-2) for z in (start, end))
        first, second = poincare.displacement(x, y), poincare.displacement(y, x)
        there, back = poincare.exp(x, t * first), poincare.exp(y, (1 - t) * second)
        point, gap = (torch.where(t < 0.5, a, b) for a, b in zip(there, back, strict=True))
        return self.code(point, gap, start.dtype)

    def conformal_factor(self, z: Tensor) -> Tensor:
        """Return lambda(z) = 2 / (1 - c |z|^2), (B, 1): hyperbolic over Euclidean length."""
        return (2 / poincare.gap(self.unit(z))).to(z.dtype)

    def from_origin(self, v: Tensor) -> Tensor:
        """Return the exponential map at the origin, (B, d)."""
        return self.exp(torch.zeros_like(v), v)

    def onto(self, z: Tensor) -> Tensor:
        """Return z; points too near the boundary for this precision move inwards to the last representable code."""
        x = self.unit(z)
        return self.code(x, torch.ones_like(x[..., :1]), z.dtype, beyond=None)

    def parametrised(self, raw: Tensor) -> Tensor:
        """Return the exponential map at the origin of raw tangent vectors."""
        return self.from_origin(raw)

    def scaled(self, z: Tensor, factors: Tensor) -> Tensor:
        """Return codes whose tangent vectors at the origin are multiplied by the factors."""
        return self.from_origin(factors * self.log(torch.zeros_like(z), z))

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the end of the geodesic and the velocity there."""
        there = self.exp(z, v)
        return there, -self.log(there, z)

    def unit(self, z: Tensor) -> Tensor:
        """Return codes (B, d) as points of the ball of curvature -1, in double precision."""
        return self.curvature**0.5 * z.double()

    def arguments(self) -> tuple[Any, ...]:
        """Return the curvature."""
        return (self.curvature,)

    def code(self, x: Tensor, gap: Tensor, dtype: torch.dtype, beyond: float | None = torch.nan) -> Tensor:
        """Return the codes of points of the ball of curvature -1.

        Args:
            x: points (B, d), in double precision.
            gap: 1 - |x|^2, (B, 1).
            dtype: precision of the codes.
            beyond: what points beyond the reach of that precision become; None for the last point within it.

        """
        limit = poincare.largest_norm(dtype)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        x = torch.where(norm > limit, x * (limit / norm.clamp(min=limit)), x)
        if beyond is not None:
            x = torch.where(gap < (1 - limit) * (1 + limit), beyond, x)
        return (x / self.curvature**0.5).to(dtype)
