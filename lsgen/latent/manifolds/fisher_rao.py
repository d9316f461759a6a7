r"""The Fisher-Rao geometry of probability vectors in closed form: an orthant of the sphere of radius 2.

With s = sqrt(z) on the unit sphere, lengths are twice those of s, and a velocity v is 2 s s':

    |v|^2 = sum_k v_k^2 / z_k,    d(z, z') = 2 arccos sum_k sqrt(z_k z'_k),
    exp_z(v) = (cos a s + sin a s'/|s'|)^2,    a = |s'|,    s' = v / (2 s),

and vectors are carried in parallel as those of the sphere are.

Squares of a great circle that leaves the orthant are the geodesic reflected at the walls. A coordinate that is 0 has no
velocity there, so that `log` from a face of the simplex does not tell how a geodesic leaves it; `geodesic` does.

Reference: Atkinson & Mitchell, "Rao's distance measure" (1981); Kass, "The geometry of asymptotic inference" (1989).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.latent import great_circles, paths

__all__ = ["distance", "exp", "flow", "geodesic", "log", "roots", "transport"]


def roots(z: Tensor) -> Tensor:
    """Return the point sqrt(z) of the unit sphere, (B, d); numbers below 0 count as 0."""
    return great_circles.unit_vector(z.clamp(min=0).sqrt())


def exp(z: Tensor, v: Tensor) -> Tensor:
    """Return where the geodesic from z (B, d) with velocity v (B, d) arrives after unit time, (B, d)."""
    s = roots(z)
    return great_circles.exp(s, _lifted(s, v)).square()


def flow(z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return where that geodesic arrives, and its velocity there, (B, d) each."""
    s = roots(z)
    there, velocity = great_circles.flow(s, _lifted(s, v))
    return there.square(), 2 * there * velocity


def log(z: Tensor, other: Tensor) -> Tensor:
    """Return the velocity at z (B, d) of the geodesic that arrives at `other` after unit time, (B, d)."""
    s = roots(z)
    return 2 * s * great_circles.log(s, roots(other))


def distance(z: Tensor, other: Tensor) -> Tensor:
    """Return the Fisher-Rao distance, (B,)."""
    return 2 * great_circles.angle(roots(z), roots(other))


def geodesic(start: Tensor, end: Tensor, points: int) -> Tensor:
    """Return equidistant points of the geodesic between probability vectors (B, d), both ends included, (B, N, d)."""
    t = paths.times(start, end, points)
    s, w = (roots(z).unsqueeze(-2) for z in (start, end))
    return great_circles.exp(s, t * great_circles.log(s, w)).square()


def transport(z: Tensor, other: Tensor, v: Tensor) -> Tensor:
    """Return tangent vectors v (B, d) at z (B, d), carried in parallel along the geodesic to `other` (B, d), (B, d)."""
    s, t = roots(z), roots(other)
    u, towards = _lifted(s, v), great_circles.direction(s, t)
    along, turn = (u * towards).sum(-1, keepdim=True), great_circles.angle(s, t).unsqueeze(-1)
    return 2 * t * (u + along * ((torch.cos(turn) - 1) * towards - torch.sin(turn) * s))


def _lifted(s: Tensor, v: Tensor) -> Tensor:
    """Return the velocity on the sphere, 0 where a coordinate is 0."""
    return great_circles.tangent(s, torch.where(s > 0, v / (2 * s.where(s > 0, 1)), 0.0))
