r"""Adaptive integration of differential equations by the embedded Runge-Kutta pair of orders 5 and 4.

Every curve has its own steps, whose error is bounded part by part of the state. Between steps the state is the pair's
own polynomial of order 4, so that times at which it is wanted do not shorten the steps.

Reference: Dormand & Prince, "A family of embedded Runge-Kutta formulae" (1980); Hairer, Norsett & Wanner, "Solving
ordinary differential equations I" (1993), section II.6, for the polynomial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.factorisation import norm

__all__ = ["Acceleration", "Followed", "follow", "integrate"]

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
BETWEEN = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)
FIRST = 1 / 8


class Followed(NamedTuple):
    """The parts of the states at the wanted times, the last states (N, K) and the last times (N,), 1 at the end.

    Each part is (N, T, length of the part), NaN where a curve did not come so far.
    """

    states: tuple[Tensor, ...]
    last: Tensor
    time: Tensor


def follow(
    slope: Callable[[Tensor, Tensor], Tensor],
    base: Tensor,
    y: Tensor,
    parts: Sequence[int],
    scale: Tensor,
    times: Tensor,
    tol: float,
    max_steps: int,
    least: float,
    beside: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Followed:
    """Integrate y' = slope(base, y) from time 0 to 1, each curve until it arrives or cannot go on.

    Args:
        slope: maps bases (n, ...) and states (n, K) to slopes (n, K), each curve by itself; it may be NaN.
        base: what belongs to each curve and does not change (N, ...).
        y: states at time 0 (N, K).
        parts: lengths of the parts of the state, of sum K, whose errors are bounded each by itself.
        scale: what is added to the size of each part (N, number of parts) before errors are divided by it.
        times: increasing times in [0, 1] at which states are wanted (T,).
        tol: the error of a step that is admitted in each part, relative to its size.
        max_steps: bound on the number of steps tried.
        least: the step below which a curve is given up.
        beside: another relative error of a step (n,) that has to be admitted too, of bases, states after the step and
            their errors (n, K).

    """
    time, h = torch.zeros_like(y[:, 0]), torch.full_like(y[:, 0], FIRST)
    states = tuple(y.new_full((len(y), len(times), k), torch.nan) for k in parts)
    for kept, part in zip(states, y.split(list(parts), -1), strict=True):
        kept[:, times <= 0] = part[:, None]
    last, reached, rows = y.clone(), time.clone(), torch.arange(len(y), device=y.device)
    first = slope(base, y)
    for _ in range(max_steps if len(y) else 0):
        h = torch.minimum(h, 1 - time)
        trial, slopes = y, [first]
        for row in NODES:
            trial = y + h[:, None] * _combined(row, slopes)
            slopes.append(slope(base, trial))
        error, known = h[:, None] * _combined(ERROR, slopes), scale + _sizes(y, parts)
        size = torch.where(known > 0, _sizes(error, parts) / known, 0).amax(-1) / tol
        if beside is not None:
            size = torch.maximum(size, beside(base, trial, error) / tol)
        size = torch.where(torch.isfinite(size) & torch.isfinite(trial).all(-1), size, torch.inf)
        take, later = size <= 1, torch.where(h >= 1 - time, torch.ones_like(time), time + h)
        wanted = take[:, None] & (times > time[:, None]) & (times <= later[:, None])
        which, when = wanted.nonzero().unbind(-1)
        share = (times[when] - time[which]) / (later - time)[which]
        columns = zip(*(x.split(list(parts), -1) for x in (y, trial, *slopes)), strict=True)
        for kept, column in zip(states, columns, strict=True):
            kept[rows[which], when] = _between([x[which] for x in column], h[which], share)
        y, first = (torch.where(take[:, None], new, old) for new, old in ((trial, y), (slopes[-1], first)))
        time = torch.where(take, later, time)
        h = h * (0.9 * size.clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0)
        going = (time < 1) & (h > least)
        if not bool(going.all()):
            over, kept = (~going).nonzero().flatten(), going.nonzero().flatten()
            last, reached = last.index_copy(0, rows[over], y[over]), reached.index_copy(0, rows[over], time[over])
            base, scale, y, time, first, h, rows = (x[kept] for x in (base, scale, y, time, first, h, rows))
        if not len(rows):
            break
    return Followed(states, last.index_copy(0, rows, y), reached.index_copy(0, rows, time))


def integrate(
    acceleration: Acceleration,
    z: Tensor,
    v: Tensor,
    tol: float,
    max_steps: int,
    gram: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Integrate z'' = a(z, z') from time 0 to 1, each curve until it arrives or its steps underflow.

    The displacement z(t) - z is integrated, which rounds less than z(t).

    Args:
        acceleration: maps codes (N, d) and velocities (N, d) to accelerations (N, d), each code by itself.
        z: codes (N, d) at time 0.
        v: velocities (N, d) at time 0.
        tol: error of a step in position and velocity, relative to |v| plus z(t) - z and z'(t).
        max_steps: bound on the number of steps tried.
        gram: the metric (N, d, d) at codes (N, d). If it is given, the error of a step e in position and velocity is
            also bounded in it, relative to the speed at time 0: |e|_g <= tol |v|_g.

    Returns:
        Codes (N, d) and velocities (N, d) at time 1, and whether each curve arrived (N,).

    """
    d = z.shape[-1]

    def slope(base: Tensor, y: Tensor) -> Tensor:
        return torch.cat([y[:, d:], acceleration(base[:, :d] + y[:, :d], y[:, d:])], -1)

    def in_metric(measure: Callable[[Tensor], Tensor], base: Tensor, y: Tensor, error: Tensor) -> Tensor:
        with torch.no_grad():
            g = measure(base[:, :d] + y[:, :d])
            found = torch.maximum(norm(g, error[:, :d]), norm(g, error[:, d:]))
            return torch.where(base[:, d] > 0, found / base[:, d], 0)

    start, speed = torch.cat([torch.zeros_like(v), v], -1), v.norm(dim=-1)[:, None].expand(-1, 2)
    least = torch.finfo(z.dtype).eps
    base, beside = z, None
    if gram is not None:
        with torch.no_grad():
            length = norm(gram(z), v)
        base, beside = torch.cat([z, length[:, None]], -1), partial(in_metric, gram)
    found = follow(slope, base, start, (d, d), speed, z.new_empty(0), tol, max_steps, least, beside)
    return z + found.last[:, :d], found.last[:, d:], found.time >= 1


def _combined(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """Return the weighted sum of slopes."""
    total = torch.zeros_like(slopes[0])
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            total = total + weight * slope
    return total


def _sizes(y: Tensor, parts: Sequence[int]) -> Tensor:
    """Return the norms of the parts of states (N, number of parts)."""
    return torch.stack([part.norm(dim=-1) for part in y.split(list(parts), -1)], -1)


def _between(column: list[Tensor], h: Tensor, share: Tensor) -> Tensor:
    """Return the states a share (M,) of the way along steps, from those before, after, and all slopes (M, K)."""
    step, s = h[:, None], share[:, None]
    y, new, *slopes = column
    rise = new - y
    bend = step * slopes[0] - rise
    turn = rise - step * slopes[-1] - bend
    return y + s * (rise + (1 - s) * (bend + s * (turn + (1 - s) * step * _combined(BETWEEN, slopes))))
