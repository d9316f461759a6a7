r"""The exponential map, by integration of the geodesic equation from a start and an initial velocity.

    z'' = -Gamma(z)(z', z'),        exp_z(v) = z(1) for z(0) = z, z'(0) = v

Adaptive: an embedded Runge-Kutta pair (`lsgen.geometry.geodesics.initial_value.runge_kutta`). Symplectic: the
Euler-Lagrange equations of the discrete energy (`lsgen.geometry.geodesics.energy`) stepped forward,

    p_0(z_i, z_{i+1}) = p_i (solved for z_{i+1}),    p_{i+1} = p_1(z_i, z_{i+1}),

a symmetric method of order 2 that three steps of h gamma, h (1 - 2 gamma), h gamma, gamma = 1 / (2 - 2^{1/3}), raise to
order 4. It keeps the symplectic form, and the momentum of every symmetry of f, to rounding; the speed has no drift over
long times. It takes no second derivatives of an immersion.

Reference: Marsden & West, "Discrete mechanics and variational integrators" (2001), section 1.5; Yoshida, "Construction
of higher order symplectic integrators" (1990).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.factorisation import inverse_metric
from lsgen.geometry.geodesics.energy import raw_energy
from lsgen.geometry.geodesics.initial_value.runge_kutta import integrate
from lsgen.geometry.geodesics.precision import more_exact_metrics
from lsgen.geometry.geodesics.rounding import HIDDEN, rounding_of
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["Exponential", "exp_map"]

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
        found = Exponential(*integrate(im.acceleration, flat, vectors, bound, max_steps))
        hidden = ~found.converged & (torch.finfo(z.dtype).eps * flat.norm(dim=-1) > FAR * bound * vectors.norm(dim=-1))
    else:
        found = _symplectic(im, flat, vectors, steps)
        hidden = _hidden(im, flat, vectors, steps)
    rows = hidden.nonzero().flatten()
    for other in more_exact_metrics(im, flat) if len(rows) else ():
        part = flat[rows].double(), vectors[rows].double()
        if method == "adaptive":
            news = Exponential(*integrate(other.acceleration, *part, bound, max_steps))
        else:
            news = _symplectic(other, *part, steps)
        found = Exponential(*(x.index_copy(0, rows, y.to(x)) for x, y in zip(found, news, strict=True)))
        rows = rows[~news.converged if method == "adaptive" else _hidden(other, *part, steps)]
        if not len(rows):
            break
    return codes.restored(found._replace(converged=found.converged.index_fill(0, rows, False)))


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
