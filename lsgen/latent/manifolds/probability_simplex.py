r"""The simplex of probability vectors with the Fisher-Rao metric, such as the mixtures of topics of documents.

    g(v, w) = sum_i v_i w_i / p_i

The square root takes it to the positive orthant of a sphere of radius 2: with s = sqrt(p), |s| = 1, a velocity v is
2 s u for a tangent vector u of the unit sphere, and |v|_g = 2 |u|. So geodesics are squares of great circles,

    distance    2 angle(s, s') = 2 arccos sum_i sqrt(p_i p'_i),    at most pi
    exp         p(v) = (cos|u| s + sin|u| u/|u|)^2
    log         2 s log_s(s')
    transport   2 s' T(v / 2s), T that of the sphere

A great circle that leaves the orthant is reflected at its walls, as squares know no sign. Where p_i = 0 a velocity has
no i-th component, so that no velocity leads away from a wall; `geodesic` and `traversal` do.

Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), section 2.2; Kass & Vos, "Geometrical Foundations
of Asymptotic Inference" (1997), section 7.3.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from lsgen.latent import great_circles, paths
from lsgen.latent.manifolds.manifold import Choice, Manifold, Sphere
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["ProbabilitySimplex"]


@final
class ProbabilitySimplex(Simplex):
    """All mixtures of K classes, with the Fisher-Rao metric; `Simplex` has the classes alone.

    Args:
        classes: number K.

    """

    @property
    def measure(self) -> Manifold:
        """Itself."""
        return self

    @property
    def continuous(self) -> bool:
        """True."""
        return True

    @property
    def choices(self) -> list[Choice]:
        """None."""
        return []

    def onto(self, z: Tensor) -> Tensor:
        """Return the nearest probability vectors, by the distance of flat space.

        Reference: Duchi et al., "Efficient projections onto the l1-ball" (2008), figure 1.
        """
        ordered = z.sort(-1, descending=True).values
        count = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
        excess = (ordered.cumsum(-1) - 1) / count
        last = (ordered > excess).sum(-1, keepdim=True).clamp(min=1) - 1
        return (z - excess.gather(-1, last)).clamp(min=0)

    def retraction(self, z: Tensor) -> Tensor:
        """Return z over its sum."""
        return z / z.sum(-1, keepdim=True)

    def normal_coordinates(self, z: Tensor) -> Tensor:
        """Return the logarithm of the sum, (B, 1)."""
        return z.sum(-1, keepdim=True).log()

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return v - z sum_i v_i, the part of v that keeps the sum."""
        return v - z * v.sum(-1, keepdim=True)

    def conformal_factor(self, z: Tensor) -> Tensor:
        """Return 1/sqrt(z), for each coordinate."""
        return z.clamp(min=torch.finfo(z.dtype).tiny).rsqrt()

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the square of the great circle."""
        s = _root(z)
        return great_circles.exp(s, _lifted(s, v)).square()

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the velocity of the geodesic to `other`."""
        s = _root(z)
        return 2 * s * great_circles.log(s, _root(other))

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return twice the angle of the square roots."""
        return 2 * great_circles.angle(_root(z), _root(other))

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the unit tangent vector towards a class, or zero at it."""
        s = _root(z)
        return s * great_circles.direction(s, axis.expand_as(s))

    def transport(self, z: Tensor, other: Tensor, v: Tensor) -> Tensor:
        """Return tangent vectors v (B, d) at z, parallel along the geodesic to `other`, (B, d)."""
        s, t = _root(z), _root(other)
        u, towards = _lifted(s, v), great_circles.direction(s, t)
        along, turn = (u * towards).sum(-1, keepdim=True), great_circles.angle(s, t).unsqueeze(-1)
        return 2 * t * (u + along * ((torch.cos(turn) - 1) * towards - torch.sin(turn) * s))

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the end of the geodesic and the velocity there."""
        s = _root(z)
        there, velocity = Sphere().flow(s, _lifted(s, v))
        return there.square(), 2 * there * velocity

    def shift(self, z: Tensor, v: Tensor) -> Tensor:
        """Return codes moved along the part of v, in coordinates 2 sqrt(z), that is tangent there."""
        s = _root(z)
        return great_circles.exp(s, great_circles.tangent(s, v) / 2).square()

    def inside(self, z: Tensor, margin: float) -> Tensor:
        """Return codes with probabilities of at least the margin, or of 1/K if that is less."""
        least = min(margin, 1 / self.classes)
        return least + (1 - self.classes * least) * z

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Return codes moved by the step towards a class, or away from it, as far as the simplex reaches."""
        return self.traversal(z, torch.tensor([axis], device=z.device), step.reshape(1))[..., 0, 0, :]

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return equidistant points of the geodesic, (B, N, d)."""
        t = paths.times(start, end, points)
        return great_circles.slerp(_root(start).unsqueeze(-2), _root(end).unsqueeze(-2), t).square()

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return codes at signed distances towards classes, (B, K, N, d), stopped at classes and walls.

        Args:
            anchor: codes (B, d).
            axes: classes (K,).
            values: distances (N,); negative ones lead away from the class.

        """
        s = _root(anchor)[..., None, :]
        units = torch.nn.functional.one_hot(axes, anchor.shape[-1]).to(anchor)
        s, units = torch.broadcast_tensors(s, units)
        reach = great_circles.angle(s, units)[..., None]
        turn = torch.minimum(torch.maximum(values.to(anchor) / 2, reach - math.pi / 2), reach).unsqueeze(-1)
        towards = great_circles.direction(s, units)[..., None, :]
        return (torch.cos(turn) * s[..., None, :] + torch.sin(turn) * towards).square()


def _root(p: Tensor) -> Tensor:
    """Return sqrt(p) of length 1."""
    return great_circles.unit_vector(p.clamp(min=0).sqrt())


def _lifted(s: Tensor, v: Tensor) -> Tensor:
    """Return the velocities u = v / 2s of square roots; components at p_i = 0 are none."""
    return great_circles.tangent(s, torch.where(s > 0, v / (2 * s.where(s > 0, 1)), 0))
