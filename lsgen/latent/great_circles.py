r"""Great circles of the unit sphere, precise for directions that are close and for those that are nearly opposite.

    exp_u(v) = cos|v| u + sin|v| v/|v|,
    log_u(w) = a p / |p|,    p = w - <u, w> u,    a = 2 atan2(|u - w|, |u + w|) .

The tangent part p loses its digits where w is near u or near -u; it is taken of w - u or of w + u, whichever is
shorter, which has the same tangent part and whose coordinates are exact differences there.

Antipodes are joined by infinitely many great circles, and by no shortest one: what depends on the choice is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

__all__ = ["angle", "direction", "exp", "flow", "log", "opposite", "slerp", "tangent", "unit_vector"]


def unit_vector(x: Tensor) -> Tensor:
    """Return x / |x| for vectors (B, d) of any length, and zero if x is zero."""
    largest = x.detach().abs().amax(-1, keepdim=True)
    scaled = x / largest.where(largest > 0, 1)
    length = vector_norm(scaled, dim=-1, keepdim=True)
    return scaled / length.where(length > 0, 1)


def tangent(u: Tensor, v: Tensor) -> Tensor:
    """Return the part of vectors v (B, d) that is orthogonal to unit vectors u (B, d)."""
    return v - (u * v).sum(-1, keepdim=True) * u


def angle(u: Tensor, w: Tensor) -> Tensor:
    """Return the angle between unit vectors (B, d), in radians, (B,)."""
    return 2 * torch.atan2(vector_norm(u - w, dim=-1), vector_norm(u + w, dim=-1))


def exp(u: Tensor, v: Tensor) -> Tensor:
    """Return where the great circle from u (B, d) with velocity v (B, d) arrives after unit time, (B, d)."""
    length = vector_norm(v, dim=-1, keepdim=True)
    return unit_vector(torch.cos(length) * u + torch.sinc(length / torch.pi) * v)


def flow(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return that point and the velocity there, -|v| sin|v| u + cos|v| v, whose length is that of v, (B, d) each."""
    length = vector_norm(v, dim=-1, keepdim=True)
    there = exp(u, v)
    velocity = tangent(there, torch.cos(length) * v - length * torch.sin(length) * u)
    return there, unit_vector(velocity) * length


def log(u: Tensor, w: Tensor) -> Tensor:
    """Return the velocity at u (B, d) of the shortest great circle to w (B, d); NaN for antipodes."""
    part, sine, opposite = _towards(u, w)
    factor = torch.where(sine > 0, angle(u, w).unsqueeze(-1) / sine.where(sine > 0, 1), 1)
    return torch.where(opposite, torch.nan, factor * part)


def direction(u: Tensor, w: Tensor) -> Tensor:
    """Return the unit tangent vector at u (B, d) towards w (B, d); zero where w is u or its antipode."""
    return unit_vector(_towards(u, w)[0])


def opposite(a: Tensor, b: Tensor) -> Tensor:
    """Return whether the directions of codes (B, d) are antipodes, (B,); False where a code is zero."""
    return _towards(unit_vector(a), unit_vector(b))[2].squeeze(-1)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the point at t (B, 1) between codes (B, d): on the great circle of their directions, its norm linear in t.

    Parallel codes and a zero code are joined by the straight segment, and so are antipodal ones, which no single great
    circle joins; see `lsgen.latent.paths.slerp`.
    """
    u, w = unit_vector(a), unit_vector(b)
    norm_a, norm_b = (vector_norm(z, dim=-1, keepdim=True) for z in (a, b))
    part, sine, _ = _towards(u, w)
    straight = (sine < 8 * torch.finfo(a.dtype).eps) | (norm_a == 0) | (norm_b == 0)
    turn = t * angle(u, w).unsqueeze(-1)
    arc = torch.cos(turn) * u + torch.sin(turn) * part / sine.where(~straight, 1)
    return torch.where(straight, torch.lerp(a, b, t), torch.lerp(norm_a, norm_b, t) * arc)


def _towards(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tangent part of w at u, its length (the sine of the angle) and whether the two are antipodes."""
    behind = (u * w).sum(-1, keepdim=True) < 0
    part = tangent(u, w - torch.where(behind, -u, u))
    sine = vector_norm(part, dim=-1, keepdim=True)
    return part, sine, behind & (sine < 8 * torch.finfo(sine.dtype).eps)
