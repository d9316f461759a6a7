r"""The geometry that codes have by construction: flat space, the sphere, the Poincare ball.

Paths through a latent space follow it: interpolation runs along geodesics, a traversal leaves its anchor along the
geodesic in the direction of one coordinate. (The geometry that a decoder induces is another matter: `lsgen.geometry`.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lsgen.latent import paths

__all__ = ["Euclidean", "Manifold", "PoincareBall", "Sphere"]


class Manifold(ABC):
    """Abstract geometry of codes (B, d)."""

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
        t = paths.linear(torch.zeros_like(start[..., :1]), torch.ones_like(start[..., :1]), points)
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

    A traversal along an axis turns the anchor towards that axis; where the anchor lies on the axis it has no direction
    and stays.
    """

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return cos|v| z + sin|v| v/|v|."""
        length = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        return normalize(torch.cos(length) * z + torch.sinc(length / torch.pi) * v, dim=-1)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the tangent part of `other` at z, scaled to the angle; antipodes have no unique geodesic."""
        return self.distance(z, other).unsqueeze(-1) * normalize(_tangent(z, other), dim=-1)

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the angle, from chords, which keeps small ones."""
        chord = torch.linalg.vector_norm(z - other, dim=-1)
        return 2 * torch.atan2(chord, torch.linalg.vector_norm(z + other, dim=-1))

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the unit tangent vector towards the axis, or zero on it."""
        return normalize(_tangent(z, axis), dim=-1)


class PoincareBall(Manifold):
    """The ball c |z|^2 < 1 with the metric of constant curvature -c, by geoopt (extra `hyperbolic`).

    Args:
        curvature: c > 0; the sectional curvature is -c.

    Raises:
        ValueError: c is not positive.
        ImportError: geoopt is not installed.

    """

    def __init__(self, curvature: float = 1.0) -> None:
        if not curvature > 0:
            raise ValueError(f"expected a curvature c > 0 (the space has sectional curvature -c), got {curvature}")
        self.curvature = float(curvature)
        self._ball = _geoopt().PoincareBall(c=torch.tensor(self.curvature, dtype=torch.float64))

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the exponential map."""
        return self._like(z).expmap(z, v)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the logarithmic map."""
        return self._like(z).logmap(z, other)

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the hyperbolic distance."""
        return self._like(z).dist(z, other)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the axis over its length lambda(z)."""
        return axis / self.conformal_factor(z)

    def conformal_factor(self, z: Tensor) -> Tensor:
        """Return lambda(z) = 2 / (1 - c |z|^2), (B, 1): hyperbolic over Euclidean length."""
        return self._like(z).lambda_x(z, keepdim=True)

    def from_origin(self, v: Tensor) -> Tensor:
        """Return the exponential map at the origin, (B, d)."""
        return self._like(v).expmap0(v)

    def _like(self, z: Tensor) -> Any:
        return self._ball.to(z)


def _tangent(z: Tensor, v: Tensor) -> Tensor:
    return v - (v * z).sum(-1, keepdim=True) * z


def _geoopt() -> Any:
    try:
        import geoopt
    except ImportError as error:
        raise ImportError("the Poincare ball needs geoopt: pip install 'lsgen[hyperbolic]'") from error
    return geoopt
