r"""Distances on tori as the least over all ways round both circles, from closed forms and Clairaut's relation.

A flat torus of metric r^2 du^2 + s^2 dv^2 + t^2 (du + dv)^2 has one geodesic for each pair of windings. On the torus of
revolution, with w = a + b cos v, a geodesic of Clairaut constant c has

    |du| = int b c dv / (w sqrt(w^2 - c^2)),    L = int b w dv / sqrt(w^2 - c^2),    w >= c all along.

Its rotations are a Jacobi field that vanishes where it turns, w = c, so that a shortest geodesic turns once at most.
All geodesics that turn once or never are enumerated by c, for every winding, and the shortest is the distance.

Reference: do Carmo, "Differential Geometry of Curves and Surfaces" (1976), section 4.4, example 5, and 5.5 for
conjugate points.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["FlatTorus", "Revolution", "flat_torus_distance", "revolution_distance"]

SHARES, NODES, HALVINGS, CROWDED = 100, 48, 40, 6
Enumerated = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
f64 = torch.float64


class FlatTorus(nn.Module):
    """The flat torus r^2 du^2 + s^2 dv^2 + t^2 (du + dv)^2 in R^6, of points on two circles."""

    def __init__(self, sizes: Tensor) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, z: Tensor) -> Tensor:
        """Return the image (N, 6) of points (N, 4)."""
        (a, b), (r, s, t) = z.split(2, -1), self.sizes.to(z)
        both = torch.stack([a[:, 0] * b[:, 0] - a[:, 1] * b[:, 1], a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0]], -1)
        return torch.cat([r * a, s * b, t * both], -1)


class Revolution(nn.Module):
    """The torus of revolution, of points on two circles."""

    def __init__(self, major: float, minor: float) -> None:
        super().__init__()
        self.major, self.minor = major, minor

    def forward(self, z: Tensor) -> Tensor:
        """Return the image (N, 3) of points (N, 4)."""
        return torch.cat([(self.major + self.minor * z[:, 2:3]) * z[:, :2], self.minor * z[:, 3:]], -1)


def flat_torus_distance(sizes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the distances (B,) of angles (B, 2) on a flat torus of sizes (r, s, t)."""
    turns = 2 * pi * torch.cartesian_prod(*[torch.arange(-3, 4, dtype=f64)] * 2)
    u, v = (_wrapped(y - x)[:, None] + turns).unbind(-1)
    squares = torch.stack([u, v, u + v], -1).square() @ sizes.square()
    return squares.amin(-1).sqrt()


def revolution_distance(major: float, minor: float, x: Tensor, y: Tensor) -> Tensor:
    """Return the distances (B,) of angles (B, 2) as (u, v) on the torus of revolution, in float64."""
    across = _wrapped(y[:, 0] - x[:, 0]).abs()
    first, last = _wrapped(x[:, 1]), _wrapped(y[:, 1])
    least = torch.full_like(across, torch.inf)
    for turn in (-1, 0, 1):
        low, high = torch.minimum(first, last + 2 * pi * turn), torch.maximum(first, last + 2 * pi * turn)
        least = torch.minimum(least, _least(_direct(major, minor, low, high), across))
    for side in (-1, 1):
        least = torch.minimum(least, _least(_turning(major, minor, side * first, side * last), across))
    return least


def _wrapped(angle: Tensor) -> Tensor:
    """Return angles in [-pi, pi)."""
    return torch.remainder(angle + pi, 2 * pi) - pi


def _least(lengths: Enumerated, across: Tensor) -> Tensor:
    """Return the least length of the geodesics that arrive, one way or the other, or inf where none does."""
    rows, least = torch.arange(len(across)), torch.full_like(across, torch.inf)
    shares = torch.linspace(0, 1, SHARES, dtype=f64)[:-1]
    reached = lengths(rows.repeat_interleave(len(shares)), shares.repeat(len(rows)))[0].view(len(rows), -1)
    for wanted in (across, 2 * pi - across):
        short = reached <= wanted[:, None]
        row, place = (short[:, 1:] != short[:, :-1]).nonzero().unbind(1)
        low, high, below = shares[place], shares[place + 1], short[row, place]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            same = (lengths(row, middle)[0] <= wanted[row]) == below
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        least = least.scatter_reduce(0, row, lengths(row, low)[1], "amin")
    return least


def _direct(major: float, minor: float, low: Tensor, high: Tensor) -> Enumerated:
    """Return |du| and L of the geodesics along which v runs from low to high, from the meridian on."""

    def lengths(rows: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        a, b = low[rows], high[rows]
        marks = [pi * torch.ceil(a / pi + 1e-12) + pi * k for k in range(4)]
        ends = [a, *(torch.minimum(torch.maximum(mark, a), b) for mark in marks), b]
        sizes = torch.stack([major + minor * v.cos() for v in ends])
        least = sizes.amin(0)
        gap = least * (1 - share) ** CROWDED
        du = length = torch.zeros_like(a)
        for v, u, p, q in zip(ends[:-1], ends[1:], sizes[:-1], sizes[1:], strict=True):
            narrow, wide = torch.where(p <= q, v, u), torch.where(p <= q, u, v)
            more, extra = _piece(major, minor, narrow, wide, least - gap, torch.minimum(p, q) - least + gap)
            du, length = du + more, length + extra
        return du, length

    return lengths


def _turning(major: float, minor: float, first: Tensor, last: Tensor) -> Enumerated:
    """Return |du| and L of the geodesics that turn at some v beyond both ends, from the nearest turn to v = pi."""

    def lengths(rows: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        outer = torch.maximum(first.abs(), last.abs())[rows]
        turn = pi - (pi - outer) * (1 - share) ** CROWDED
        c, du, length = major + minor * turn.cos(), torch.zeros_like(turn), torch.zeros_like(turn)
        for v in (first[rows], last[rows]):
            gap = 2 * minor * torch.sin((turn + v.abs()) / 2) * torch.sin((turn - v.abs()) / 2)
            for piece in (
                _piece(major, minor, turn, v.clamp(min=0), c, torch.zeros_like(c)),
                _piece(major, minor, v.clamp(max=0), torch.zeros_like(v), c, gap),
            ):
                du, length = du + piece[0], length + piece[1]
        return du, length

    return lengths


def _piece(major: float, minor: float, narrow: Tensor, wide: Tensor, c: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """Return |du| and L between two v of one half circle, the end of smaller w first, which exceeds c by a gap."""
    nodes, weights = (torch.as_tensor(r) for r in np.polynomial.legendre.leggauss(NODES))
    far = (wide - narrow).abs().sqrt()[:, None]
    s = far * (1 + nodes) / 2
    v = narrow[:, None] + torch.where(wide > narrow, 1.0, -1.0)[:, None] * s * s
    w = major + minor * v.cos()
    rise = 2 * minor * (torch.sin((v + narrow[:, None]) / 2) * torch.sin(s * s / 2)).abs()
    root = ((rise + gap[:, None]) * (w + c[:, None])).clamp(min=torch.finfo(f64).tiny).sqrt()
    scale = weights * far * s * minor / root
    return (scale * c[:, None] / w).sum(-1), (scale * w).sum(-1)
