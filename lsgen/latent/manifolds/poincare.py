r"""The Poincare ball of curvature -1, |x| < 1: geodesics by formulas whose terms do not cancel, in double precision.

With the gap s(x) = 1 - |x|^2, the conformal factor lambda = 2/s, and displacements e = lambda v in the orthonormal
frame at x, whose Euclidean length is hyperbolic length,

    sinh(rho/2) = h = |x - y| / sqrt(s(x) s(y)),
    log_x(y):   e = 2 f(h) ( (y - x) - x |x - y|^2 / s(x) ) / s(y),    f(h) = asinh(h) / (h sqrt(1 + h^2)),
    exp_x(e):   y = x + s(x) (t^2 x + t u) / D,    t = tanh(|e|/2),    u = e/|e|,    s(y) = s(x) (1 - t^2) / D,
                D = 1 + 2 t <x, u> + t^2 |x|^2 = w^2 + t |x + u|^2 + t w s(x),    w = 1 - t = 2 / (1 + exp |e|) .

The second form of D has positive terms only: a geodesic that leaves the boundary, crosses the ball and arrives near the
boundary again keeps its digits. These are the Moebius sums of Ungar, "A gyrovector space approach to hyperbolic
geometry" (2009), chapters 3 and 4, as used by Ganea, Becigneul & Hofmann (2018), https://arxiv.org/abs/1805.09112,
section 2, rewritten in differences.

A code of precision eps lies at most at |x| = 1 - eps (1 - 4 eps in float64, whose own rounding is as coarse): at the
distance log((2 - eps) / eps) from the origin, 16.6 in float32 and 35.4 in float64. The coordinates of a code near
the boundary determine its distance from the origin to about eps / (1 - |x|).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.linalg import vector_norm

__all__ = ["displacement", "distance", "exp", "gap", "largest_norm", "log_sinhc"]


def largest_norm(dtype: torch.dtype) -> float:
    """Return the greatest |x| of a code of this type."""
    return 1 - torch.finfo(dtype).eps * (4 if dtype == torch.float64 else 1)


def gap(x: Tensor) -> Tensor:
    """Return 1 - |x|^2 of points (B, d), (B, 1); NaN where it is not positive."""
    s = 1 - x.square().sum(-1, keepdim=True)
    return s.where(s > 0, torch.nan)


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the hyperbolic distance of points (B, d), (B,); NaN off the ball."""
    chord = vector_norm(y - x, dim=-1, keepdim=True)
    return 2 * torch.asinh(chord / (gap(x) * gap(y)).sqrt()).squeeze(-1)


def displacement(x: Tensor, y: Tensor) -> Tensor:
    """Return log_x(y) in the orthonormal frame at x, (B, d); NaN off the ball."""
    s, end, chord = gap(x), gap(y), (y - x).square().sum(-1, keepdim=True)
    square = chord / (s * end)
    return 2 * _asinhc(square) / torch.sqrt(1 + square) / end * ((y - x) - x * (chord / s))


def exp(x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp_x of displacements e (B, d) in the orthonormal frame at x (B, d), and the gap (B, 1) of that point."""
    length = vector_norm(e, dim=-1, keepdim=True)
    some = length.where(length > 0, 1)
    t, u, s = torch.tanh(length / 2), e / some, gap(x)
    y = e * torch.where(length > 0, t / some, 0.5)
    w = 2 * torch.sigmoid(-length)
    near = 1 + 2 * (x * y).sum(-1, keepdim=True) + t.square() * (1 - s)
    far = w.square() + t * ((x + u).square().sum(-1, keepdim=True) + w * s)
    d = torch.where(t < 0.5, near, far)
    return x + s * (t.square() * x + y) / d, s * w * (1 + t) / d


def log_sinhc(x: Tensor) -> Tensor:
    """Return log(sinh(x) / x) for x >= 0, by its series near 0."""
    small = x < 1e-2
    some = torch.where(small, 1, x)
    large = some + torch.log1p(-torch.exp(-2 * some)) - math.log(2) - some.log()
    return torch.where(small, x.square() / 6 - x**4 / 180, large)


def _asinhc(square: Tensor) -> Tensor:
    """Return asinh(h) / h of h^2, by its series near 0."""
    small = square < 1e-4
    h = torch.where(small, 1, square).sqrt()
    series = 1 - square / 6 * (1 - 9 / 20 * square * (1 - 25 / 42 * square))
    return torch.where(small, series, torch.asinh(h) / h)
