r"""The hyperboloid of curvature -1 in Minkowski space, <X, X>_L = -X_0^2 + |x|^2 = -1, X = (X_0, x) with X_0 > 0.

A point is told by its space coordinates x, since X_0 = sqrt(1 + |x|^2). With D = y - x, s = x + y, S = X_0 + Y_0, and D
split into its parts along s and across it, the squared chord q = <Y - X, Y - X>_L = 4 sinh^2(rho/2) is

    q = (|D_across|^2 S^2 + 4 |D_along|^2) / (2 + 2 X_0 Y_0 + 2 <x, y> + |D_across|^2)    where <x, y> >= 0,
    q = 2 (|x|^2 + |y|^2 + |x|^2 |y|^2) / (1 + X_0 Y_0) - 2 <x, y>                        where <x, y> < 0.

All terms are positive, so that neither points that are near each other nor those that are far from the origin lose
digits which their coordinates have. Then

    rho = 2 asinh(sqrt(q)/2),    log_X(Y) = rho / sinh(rho) (Y - X - q/2 X),
    exp_X(V) = cosh|V| X + sinh|V| V/|V|,    |V|_L^2 = |v_across|^2 + (v_along / X_0)^2,

where V is split by the direction of x. Carried in parallel from the origin, e becomes (<x, e>, e + <x, e> x/(1 + X_0)).

Reference: Nickel & Kiela, "Learning continuous hierarchies in the Lorentz model of hyperbolic geometry" (2018),
https://arxiv.org/abs/1806.03417, equations 2 to 9; the forms of q are its equation 5, rewritten in differences.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm

__all__ = ["carried", "chord", "displacement", "exp", "length", "log", "point", "tangent"]


def point(x: Tensor) -> Tensor:
    """Return the points (B, 1 + d) with given space coordinates (B, d)."""
    return torch.cat([_time(x), x], -1)


def chord(x: Tensor, y: Tensor) -> Tensor:
    """Return sqrt(q), which is 2 sinh(rho/2), of points with space coordinates (B, d), (B, 1)."""
    difference, total = y - x, x + y
    time, other, product = _time(x), _time(y), _dot(x, y)
    square = _dot(total, total)
    along = _dot(difference, total) / square.where(square > 0, 1)
    across = difference - along * total
    apart = torch.cat([across * (time + other), 2 * along * total], -1)
    same = vector_norm(apart, dim=-1, keepdim=True)
    same = same / (2 + 2 * (time * other + product.clamp(min=0)) + _dot(across, across)).sqrt()
    a, b = _dot(x, x), _dot(y, y)
    opposite = 2 * (a + b + a * b) / (1 + time * other) - 2 * product
    behind = product < 0
    return torch.where(behind, opposite.where(behind, 1).sqrt(), same)


def log(x: Tensor, y: Tensor) -> Tensor:
    """Return log_X(Y), (B, 1 + d), of points with space coordinates (B, d)."""
    h = chord(x, y) / 2
    ratio = torch.where(h > 0, torch.asinh(h) / (h * torch.sqrt(1 + h.square())).where(h > 0, 1), 1)
    return tangent(x, ratio * (y - x - 2 * h.square() * x))


def exp(x: Tensor, v: Tensor) -> Tensor:
    """Return exp_X(V), (B, 1 + d), for space coordinates (B, d) of a point and of a tangent vector there."""
    rho = length(x, v)
    return point(torch.cosh(rho) * x + torch.where(rho > 0, torch.sinh(rho) / rho.where(rho > 0, 1), 1) * v)


def length(x: Tensor, v: Tensor) -> Tensor:
    """Return |V|_L, (B, 1), for space coordinates (B, d) of a point and of a tangent vector there."""
    square = _dot(x, x)
    along = _dot(x, v) / square.where(square > 0, 1)
    return vector_norm(torch.cat([v - along * x, along * x / _time(x)], -1), dim=-1, keepdim=True)


def tangent(x: Tensor, v: Tensor) -> Tensor:
    """Return the tangent vectors (B, 1 + d) with space coordinates v (B, d) at the points with x (B, d)."""
    return torch.cat([_dot(x, v) / _time(x), v], -1)


def carried(x: Tensor, e: Tensor) -> Tensor:
    """Return vectors e (B, d) at the origin carried in parallel to the points with x (B, d), as (B, 1 + d)."""
    return tangent(x, e + _dot(x, e) / (1 + _time(x)) * x)


def displacement(x: Tensor, v: Tensor) -> Tensor:
    """Return the vectors (B, d) at the origin that tangent vectors with space coordinates v (B, d) are carried from."""
    time = _time(x)
    return v - _dot(x, v) / (time * (1 + time)) * x


def _time(x: Tensor) -> Tensor:
    return torch.sqrt(1 + _dot(x, x))


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(-1, keepdim=True)
