r"""Geodesics by continuation in the end point, for curves that do not relax from where they start.

A path c from a to b, at constant speed, gives a family of problems, geodesics gamma_s from a to c(s). From a straight
segment far too long or uneven (30 apart in hyperbolic space it is 10^4 times the distance) no step reaches gamma_1, but
gamma_s is near the segment for small s, and the next is near what the last two foretell,

    gamma_{s + h} = gamma_s + k (gamma_s - gamma_r) + ... ,    c(s + h) - c(s) = k (c(s) - c(r)) + ... ,    gamma_0 = a,

or, where that has less energy, gamma_s followed by the path from c(s) to c(s + h).
A step h that leads to a geodesic is doubled, one that does not is divided by SHRINK; a path with FAILURES of these is
given up, as where the space is torn (paths that arrive have hardly ever more than 5). Solutions on the way need a small
residual, and a length that halved segments admit, no more; the last is judged as any other.

Reference: Allgower & Georg, "Numerical continuation methods" (1990), chapter 2; Nocedal & Wright, "Numerical
Optimization" (2006), section 11.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.geodesics.arc_length import polygon_length, refined_polygon_length
from lsgen.geometry.geodesics.energy import raw_energy, residual, segments
from lsgen.geometry.geodesics.solver import Solution, energy_and_force
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["SEGMENTS", "TURN", "continued"]

SEGMENTS, SAMPLES, ROUNDS, RESAMPLED = 32, 128, 60, 8
SHRINK, FAILURES, STEPS, FEW, LOOSE = 4.0, 10, 20, 8, 0.1
FIRST, TURN, SHARES, TINY = 16.0, 4.0, 12, 1e-12
Minimiser = Callable[[Tensor, int, float], Solution]


class _Family(NamedTuple):
    """Paths c (B, SAMPLES + 1, d) and their lengths (B,), and how far continuation has come.

    Attributes:
        path, whole: c and its length.
        before: the last solution but one (B, n + 1, d).
        curves, at, length: the last solution, its s and its length.
        step: what is next added to s.
        failures: steps that led to no solution.

    """

    path: Tensor
    whole: Tensor
    before: Tensor
    curves: Tensor
    at: Tensor
    length: Tensor
    step: Tensor
    failures: Tensor


def continued(im: RiemannianMetric, initial: Tensor, minimise: Minimiser) -> tuple[Tensor, Tensor]:
    """Return geodesics near those with the ends of initial curves (B, n + 1, d), and which were found.

    Args:
        im: the metric.
        initial: curves (B, n + 1, d) whose ends are joined.
        minimise: takes curves, a number of iterations and a tolerance, and returns solutions.

    """
    b, points, _ = initial.shape
    start = initial[:, :1].expand(b, points, -1)
    zero = initial.new_zeros(b)
    path = at_constant_speed(im, initial)
    whole = polygon_length(im, path)
    failures = torch.where(torch.isfinite(whole), 0, FAILURES)
    state = _Family(path, whole, start, start, zero, zero, _first_step(im, path, points), failures)
    for _ in range(ROUNDS):
        rows = ((state.at < 1) & (state.failures < FAILURES)).nonzero().flatten()
        if not len(rows):
            break
        part = _advanced(im, _Family(*(x[rows] for x in state)), minimise)
        state = _Family(*(old.index_copy(0, rows, new) for old, new in zip(state, part, strict=True)))
    return state.curves, state.at >= 1


def _advanced(im: RiemannianMetric, state: _Family, minimise: Minimiser) -> _Family:
    """Return the families one solution further, or with a smaller step."""
    n = state.curves.shape[1] - 1
    to = (state.at + state.step).clamp(max=1)
    t = torch.linspace(0, 1, n + 1, dtype=to.dtype, device=to.device)
    found = minimise(_guess(im, state, to, t), STEPS, LOOSE)
    finer = refined_polygon_length(im, found.points, im.segment_data(found.points))
    good = (found.residual <= LOOSE) & ((finer - found.length).abs() <= LOOSE * found.length) & ~found.hidden
    keep, step = good[:, None, None], to - state.at
    return _Family(
        state.path,
        state.whole,
        torch.where(keep, state.curves, state.before),
        torch.where(keep, found.points, state.curves),
        torch.where(good, to, state.at),
        torch.where(good, found.length, state.length),
        torch.where(good, torch.where(found.iterations <= FEW, 2 * step, step), step / SHRINK),
        torch.where(good, state.failures, torch.where(step > TINY * to, state.failures + 1, FAILURES)),
    )


def _guess(im: RiemannianMetric, state: _Family, to: Tensor, t: Tensor) -> Tensor:
    """Return what the last two solutions foretell, or the last one with its path, whichever has less energy."""
    end, moved = along(state.path, to[:, None]), state.curves - state.before
    last = moved[:, -1:]
    ahead = ((end - state.curves[:, -1:]) * last).sum(-1, keepdim=True) / last.square().sum(-1, keepdim=True)
    secant = state.curves + ahead * moved
    secant = secant + t[:, None] * (end - secant[:, -1:])
    more = (to - state.at) * state.whole
    share = (state.length / (state.length + more).clamp(min=torch.finfo(more.dtype).tiny))[:, None]
    curve = along(state.curves, (t / share.clamp(min=TINY)).clamp(max=1))
    path = along(state.path, torch.lerp(state.at[:, None], to[:, None], ((t - share) / (1 - share)).clamp(0, 1)))
    joined = torch.where((t < share)[..., None], curve, path)
    joined, secant = (torch.cat([state.path[:, :1], x[:, 1:-1], end], 1) for x in (joined, secant))
    first, second = (raw_energy(im, x).nan_to_num(nan=torch.inf) for x in (joined, secant))
    return torch.where((first <= second)[:, None, None], joined, secant)


def _first_step(im: RiemannianMetric, path: Tensor, points: int) -> Tensor:
    """Return the largest of the shares 1, 1/FIRST, ... (B,) of paths up to which they turn by no more than TURN."""
    t = torch.linspace(0, 1, points, dtype=path.dtype, device=path.device).expand(len(path), -1)
    share, left = torch.ones_like(path[:, 0, 0]), torch.arange(len(path), device=path.device)
    for _ in range(SHARES):
        curves = along(path[left], share[left, None] * t[left])
        energy, _, known = energy_and_force(im, curves)
        found = im.newton_system(curves, known)
        turn = residual(found, points - 1, energy.clamp(min=0).sqrt())
        left = left[~(turn <= TURN)]
        if not len(left):
            break
        share = share.index_put((left,), share[left] / FIRST)
    return share


def along(path: Tensor, s: Tensor) -> Tensor:
    """Return the points (B, K, d) at shares s (B, K) of polygons (B, N, d)."""
    n = path.shape[1] - 1
    place = (s * n).nan_to_num(0).clamp(0, n)
    before = place.floor().clamp(max=n - 1)
    index = before.long()[..., None].expand(-1, -1, path.shape[2])
    left, right = path.gather(1, index), path.gather(1, index + 1)
    part = (place - before)[..., None]
    return torch.where(part < 1, left + part * (right - left), right)


def at_constant_speed(im: RiemannianMetric, curves: Tensor) -> Tensor:
    """Return curves (B, N, d) as polygons (B, SAMPLES + 1, d) whose sides are equally long in the metric."""
    b = len(curves)
    s = torch.linspace(0, 1, SAMPLES + 1, dtype=curves.dtype, device=curves.device).expand(b, -1)
    even = s.contiguous()
    for _ in range(RESAMPLED):
        length = segments(im, along(curves, s)).clamp(min=0).sqrt()
        length = torch.where(torch.isfinite(length), length, 0)
        total = torch.nn.functional.pad(length.cumsum(-1), (1, 0))
        total = total / total[:, -1:].clamp(min=torch.finfo(total.dtype).tiny)
        after = torch.searchsorted(total.contiguous(), even).clamp(1, SAMPLES)
        low, high = total.gather(1, after - 1), total.gather(1, after)
        share = ((even - low) / torch.where(high > low, high - low, 1)).clamp(0, 1)
        left = s.gather(1, after - 1)
        s = left + share * (s.gather(1, after) - left)
    return along(curves, s)
