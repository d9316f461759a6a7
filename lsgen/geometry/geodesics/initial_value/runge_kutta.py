"""Adaptive integration of z'' = a(z, z') by the embedded Runge-Kutta pair of orders 5 and 4.

Reference: Dormand & Prince, "A family of embedded Runge-Kutta formulae" (1980).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Acceleration", "integrate"]

Acceleration = Callable[[Tensor, Tensor], Tensor]

NODES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def integrate(
    acceleration: Acceleration, z: Tensor, v: Tensor, tol: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Integrate z'' = a(z, z') from time 0 to 1, each curve until it arrives or its steps underflow.

    The displacement z(t) - z is integrated, which rounds less than z(t).

    Args:
        acceleration: maps codes (N, d) and velocities (N, d) to accelerations (N, d), each code by itself.
        z: codes (N, d) at time 0.
        v: velocities (N, d) at time 0.
        tol: error of a step in position and velocity, relative to |v| plus z(t) - z and z'(t).
        max_steps: bound on the number of steps tried.

    Returns:
        Codes (N, d) and velocities (N, d) at time 1, and whether each curve arrived (N,).

    """
    y, time, speed = torch.stack([torch.zeros_like(v), v], 1), torch.zeros_like(z[:, 0]), v.norm(dim=-1)[:, None]
    first, h, at = _slope(acceleration, z, y), torch.full_like(time, 1 / 8), z
    end, arrived, rows = y, torch.zeros_like(time, dtype=torch.bool), torch.arange(len(z), device=z.device)
    for _ in range(max_steps):
        h = torch.minimum(h, 1 - time)
        trial, slopes = y, [first]
        for row in NODES:
            change = sum(weight * slope for weight, slope in zip(row, slopes, strict=True) if weight)
            trial = y + h[:, None, None] * change
            slopes.append(_slope(acceleration, at, trial))
        error = h[:, None, None] * sum(weight * slope for weight, slope in zip(ERROR, slopes, strict=True))
        size = error.norm(dim=-1) / (speed + y.norm(dim=-1))
        size = torch.where(speed > 0, size, 0).amax(-1) / tol
        size = torch.where(torch.isfinite(size) & torch.isfinite(trial).flatten(1).all(-1), size, torch.inf)
        take = size <= 1
        y, first = (torch.where(take[:, None, None], new, old) for new, old in ((trial, y), (slopes[-1], first)))
        time = torch.where(take, torch.where(h >= 1 - time, torch.ones_like(time), time + h), time)
        h = h * (0.9 * size.clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0)
        going = (time < 1) & (1 + h > 1)
        if not bool(going.all()):
            over, kept = (~going).nonzero().flatten(), going.nonzero().flatten()
            end, arrived = end.index_copy(0, rows[over], y[over]), arrived.index_copy(0, rows[over], time[over] >= 1)
            at, y, time, speed, first, h, rows = (x[kept] for x in (at, y, time, speed, first, h, rows))
        if not len(rows):
            break
    end = end.index_copy(0, rows, y)
    return z + end[:, 0], end[:, 1], arrived


def _slope(acceleration: Acceleration, z: Tensor, y: Tensor) -> Tensor:
    """Return the derivative of y = (w, v), of shape (N, 2, d), at codes z + w."""
    return torch.stack([y[:, 1], acceleration(z + y[:, 0], y[:, 1])], 1)
