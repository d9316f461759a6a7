r"""The exponential map, by integration of the geodesic equation from a start and an initial velocity.

    z'' = -Gamma(z)(z', z'),        exp_z(v) = z(1) for z(0) = z, z'(0) = v

Adaptive: the embedded Runge-Kutta pair of orders 5 and 4, every curve with its own steps. Symplectic: the
Euler-Lagrange equations of the discrete energy (`lsgen.geometry.geodesics.energy`) stepped forward,

    p_0(z_i, z_{i+1}) = p_i (solved for z_{i+1}),    p_{i+1} = p_1(z_i, z_{i+1}),

a symmetric method of order 2 that three steps of h gamma, h (1 - 2 gamma), h gamma, gamma = 1 / (2 - 2^{1/3}), raise to
order 4. It keeps the symplectic form, and the momentum of every symmetry of f, to rounding; the speed has no drift over
long times. It takes no second derivatives of an immersion.

Reference: Dormand & Prince, "A family of embedded Runge-Kutta formulae" (1980); Marsden & West, "Discrete mechanics and
variational integrators" (2001), section 1.5; Yoshida, "Construction of higher order symplectic integrators" (1990).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.factorisation import inverse_metric
from lsgen.geometry.geodesics.energy import raw_energy
from lsgen.geometry.geodesics.precision import more_exact_metrics
from lsgen.geometry.geodesics.rounding import HIDDEN, rounding_of
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["Exponential", "exp_map"]

NODES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
GAMMA = 1 / (2 - 2 ** (1 / 3))
SOLVES, DRIFT, FAR = 20, 0.02, 0.01


class Exponential(NamedTuple):
    """The end of a geodesic (B, d), its velocity there (B, d), and whether the steps converged (B,)."""

    point: Tensor
    velocity: Tensor
    converged: Tensor


def exp_map(
    im: RiemannianMetric,
    z: Tensor,
    v: Tensor,
    *,
    method: Literal["adaptive", "symplectic"] = "adaptive",
    tol: float | None = None,
    max_steps: int = 1024,
    steps: int = 64,
) -> Exponential:
    r"""Return the exponential map: where the geodesic from z with initial velocity v is at time 1.

        exp_z(v) = z(1),    z'' = -Gamma(z', z'),    z(0) = z,    z'(0) = v

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: tangent vectors (B, d).
        method: "adaptive", or "symplectic" for long curves.
        tol: error of a step in position and velocity, relative to |v| plus what they have come to, z(t) - z and z'(t),
            that the adaptive method admits; 1e-9 in float64 and 1e-5 in float32 where it is not given.
        max_steps: bound on the number of adaptive steps tried.
        steps: number of symplectic steps.

    Returns:
        Exponential(point (B, d), velocity (B, d), converged (B,)). A curve whose adaptive steps did not reach time 1,
        or whose symplectic equations were not solved or changed its squared speed by 2 %, has converged = False, alone.

    Raises:
        TypeError, ValueError: see `metric`; also for vectors of another shape or dtype than the codes, another method,
            or numbers that are not positive.

    """
    codes = flat_codes(im, z, {"v": v}, moves=True, smooth=True)
    flat, (vectors,) = codes.z, codes.vectors
    if method not in ("adaptive", "symplectic"):
        raise ValueError(f'expected method "adaptive" or "symplectic", got {method!r}')
    if steps < 1 or max_steps < 1 or (tol is not None and not tol > 0):
        raise ValueError(f"expected positive tol, max_steps and steps, got {tol}, {max_steps} and {steps}")
    if method == "adaptive":
        bound = tol if tol is not None else (1e-9 if z.dtype == torch.float64 else 1e-5)
        found = _adaptive(im, flat, vectors, bound, max_steps)
        hidden = ~found.converged & (torch.finfo(z.dtype).eps * flat.norm(dim=-1) > FAR * bound * vectors.norm(dim=-1))
    else:
        found = _symplectic(im, flat, vectors, steps)
        hidden = _hidden(im, flat, vectors, steps)
    rows = hidden.nonzero().flatten()
    for other in more_exact_metrics(im, flat) if len(rows) else ():
        part = flat[rows].double(), vectors[rows].double()
        news = _adaptive(other, *part, bound, max_steps) if method == "adaptive" else _symplectic(other, *part, steps)
        found = Exponential(*(x.index_copy(0, rows, y.to(x)) for x, y in zip(found, news, strict=True)))
        rows = rows[~news.converged if method == "adaptive" else _hidden(other, *part, steps)]
        if not len(rows):
            break
    return codes.restored(found._replace(converged=found.converged.index_fill(0, rows, False)))


def _slope(im: RiemannianMetric, z: Tensor, y: Tensor) -> Tensor:
    """Return the derivative of y = (w, v), of shape (N, 2, d), at codes z + w."""
    return torch.stack([y[:, 1], im.acceleration(z + y[:, 0], y[:, 1])], 1)


def _adaptive(im: RiemannianMetric, z: Tensor, v: Tensor, tol: float, max_steps: int) -> Exponential:
    """Integrate the displacement w from z, which rounds less than z + w, until each curve arrives or is stuck."""
    y, time, speed = torch.stack([torch.zeros_like(v), v], 1), torch.zeros_like(z[:, 0]), v.norm(dim=-1)[:, None]
    first, h, at = _slope(im, z, y), torch.full_like(time, 1 / 8), z
    end, arrived, rows = y, torch.zeros_like(time, dtype=torch.bool), torch.arange(len(z), device=z.device)
    for _ in range(max_steps):
        h = torch.minimum(h, 1 - time)
        trial, slopes = y, [first]
        for row in NODES:
            change = sum(weight * slope for weight, slope in zip(row, slopes, strict=True) if weight)
            trial = y + h[:, None, None] * change
            slopes.append(_slope(im, at, trial))
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
    return Exponential(z + end[:, 0], end[:, 1], arrived)


def _hidden(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> Tensor:
    """Return for which codes (N, d) and velocities (N, d) rounding hides the symplectic steps."""
    curves = torch.stack([z, z + v / steps], 1)
    known = im.segment_data(curves)
    rounding = rounding_of(im, curves, known, raw_energy(im, curves, known))
    return ((rounding > HIDDEN) | (curves[:, 0] == curves[:, 1]).all(-1)) & (v != 0).any(-1)


def _symplectic(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> Exponential:
    p = torch.einsum("nij,nj->ni", im.gram(z, wide=False), v)
    at_first = torch.einsum("ni,ni->n", p, v)
    sound = torch.isfinite(at_first)
    for _ in range(steps):
        for part in (GAMMA, 1 - 2 * GAMMA, GAMMA):
            z, p, solved = _variational(im, z, p, v, part / steps)
            sound = sound & solved
            v = torch.einsum("nij,nj->ni", inverse_metric(im.gram(z, wide=True), z.dtype).to(z), p)
            sound = sound & ((torch.einsum("ni,ni->n", p, v) - at_first).abs() <= DRIFT * at_first)
    return Exponential(z, v, sound)


def _variational(im: RiemannianMetric, z: Tensor, p: Tensor, v: Tensor, h: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return position and momentum after one step, and whether its equation was solved; both stay where it was not."""
    bound = 8 * torch.finfo(z.dtype).eps
    after, last = z + h * v, torch.full_like(z[:, 0], torch.inf)
    going = torch.isfinite(after).all(-1)
    for _ in range(SOLVES):
        ours, _, cross = im.discrete_legendre(z, torch.where(going[:, None], after, z))
        change, info = torch.linalg.solve_ex(cross, (h * p - ours)[..., None])
        size = change[..., 0].norm(dim=-1) / (1 + after.norm(dim=-1))
        going = going & (info == 0) & torch.isfinite(size)
        better = going & (size < last)
        after = torch.where(better[:, None], after + change[..., 0], after)
        last = torch.where(better, size, last)
        if bool((~better | (last <= bound)).all()):
            break
    solved = going & (last <= 1e3 * bound)
    after = torch.where(solved[:, None], after, z)
    return after, torch.where(solved[:, None], im.discrete_legendre(z, after)[1] / h, p), solved
