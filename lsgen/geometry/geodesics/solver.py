r"""Minimisation of the discrete energy of a batch of curves by quasi-Newton steps from its Gauss-Newton model.

The model H of the energy (`lsgen.geometry.geodesics.energy`) takes d derivatives of a decoder, a force F(z) one pass
backwards. So up to d steps B_k F(z_k) are taken from the first model, and from each later one twice as many as from the
last, up to MEMORY; with negative signs, where the model is poorer, MEMORY at once. B_0 = H^-1 is one block-tridiagonal
solution; later ones also hold what the forces show of the terms that H lacks. With s = z_{k+1} - z_k and
y = F(z_k) - F(z_{k+1})

    B_{k+1} = (1 - rho s y^T) B_k (1 - rho y s^T) + rho s s^T,    rho = 1 / <y, s>,

which solves B_{k+1} y = s and is applied by recursion over the pairs (L-BFGS); a pair without <y, s> > 0 is left out.
The first model takes the metric at few points of each curve, those after it at all. A metric has its exact Hessian,
which serves one step.

When the steps of a model have done what they can, the residual is taken with the metric at as many points as it needs
to be known to WITHIN; only where that is too large another model follows. Every curve has its own step length, halved
until the energy falls, and leaves the batch when it is done. Where the Hessian is not positive definite a curve takes a
model that is. Close to the minimum the energy falls by less than its rounding; there a step counts as progress where
the residual falls and the energy does not rise beyond rounding.

A curve whose segments rounding hides (`lsgen.geometry.geodesics.rounding`) is left as it is, for others to solve
(`lsgen.geometry.geodesics.close_codes`).

Reference: Nocedal & Wright, "Numerical Optimization" (2006), chapters 3 and 10 and algorithm 7.4; Liu & Nocedal, "On
the limited memory BFGS method for large scale optimization" (1989), https://doi.org/10.1007/BF01589116.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.geodesics.arc_length import AGREES, UNEVEN, raw_length, refined_polygon_length, speed_variation
from lsgen.geometry.geodesics.energy import interpolated_system, raw_energy, residual
from lsgen.geometry.geodesics.rounding import admitted, is_hidden, rounding_of
from lsgen.geometry.geodesics.tridiagonal import solve
from lsgen.geometry.riemannian import Blocks, NewtonSystem, RiemannianMetric

__all__ = [
    "CurveState",
    "Solution",
    "energy_and_force",
    "line_search",
    "minimise_energy",
    "quasi_newton_step",
    "starts_hidden",
]

HALVINGS, MEMORY, PATIENCE, WITHIN = 16, 8, 4, 0.2


class Solution(NamedTuple):
    """Curves (B, N, d); their length, energy, convergence, residual, speed variation, steps done (B,).

    Of those that did not converge `coarse` (B,) are the ones with a small residual whose length the grid does not tell
    (but not less than half of it), and `hidden` (B,) those whose segments rounding hides; `rounding` (B,) is by how
    much, relative to a segment.
    """

    points: Tensor
    length: Tensor
    energy: Tensor
    converged: Tensor
    coarse: Tensor
    residual: Tensor
    speed_variation: Tensor
    iterations: Tensor
    hidden: Tensor
    rounding: Tensor


class CurveState(NamedTuple):
    """The state of the minimisation, one row for each of B curves.

    Attributes:
        curves: the points, (B, N, d).
        energy, force, data: discrete energy, force F (zero if the Newton system has it) and segment data.
        residual: residual of the geodesic equation by the last model.
        floor: the residual below which the curve has converged, from the tolerance and from rounding.
        rounding: share of a segment that is rounding error.
        least: least residual since energies no longer tell two curves apart.
        active: whether the curve is still moved.
        settled: whether the steps from the last model have done what they can.
        fine: whether the last step was within rounding.
        stalls: such steps in a row that did not lower the residual.
        done: steps taken.

    """

    curves: Tensor
    energy: Tensor
    force: Tensor
    data: Tensor
    residual: Tensor
    floor: Tensor
    rounding: Tensor
    least: Tensor
    active: Tensor
    settled: Tensor
    fine: Tensor
    stalls: Tensor
    done: Tensor


def minimise_energy(im: RiemannianMetric, curves: Tensor, max_iterations: int, tol: float) -> Solution:
    """Return the geodesics that curves (B, N, d) with fixed ends relax to."""
    energy, force, known = energy_and_force(im, curves)
    none, worst = torch.zeros_like(energy, dtype=torch.bool), torch.full_like(energy, torch.inf)
    rounding = rounding_of(im, curves, known, energy)
    going = ~is_hidden(rounding, curves.shape[1] - 1)
    state = CurveState(
        curves, energy, force, known, worst, worst, rounding, worst, going, none, none, none.long(), none.long()
    )
    left, rough = max_iterations, not im.exact_hessian
    most = 1 if im.exact_hessian else max(im.dim, MEMORY)
    each = min(im.dim, most) if im.euclidean else most
    while bool(state.active.any()):
        due = state.active & (state.settled | (left == 0))
        if not im.exact_hessian and bool(due.any()):
            state = _among(state, due, partial(_judged, im, tol, left == 0))
            continue
        steps = min(left, each)
        state = _among(state, state.active, partial(_iterated, im, tol, steps, rough))
        left, rough, each = left - steps, False, min(2 * each, most)
    return _solution(im, state)


def starts_hidden(im: RiemannianMetric, curves: Tensor) -> Tensor:
    """Return for which curves (B, N, d) rounding hides the segments."""
    known = im.segment_data(curves)
    return is_hidden(rounding_of(im, curves, known, raw_energy(im, curves, known)), curves.shape[1] - 1)


def _among(state: CurveState, rows: Tensor, work: Callable[[CurveState], CurveState]) -> CurveState:
    """Return the state after a function has been applied to the chosen rows alone.

    Others fill up their number to the next power of two, so that few shapes occur; they are not active meanwhile.
    """
    count = int(rows.sum())
    size = min(len(rows), 1 << max(count - 1, 0).bit_length())
    chosen = torch.argsort((~rows).to(torch.uint8), stable=True)[:size]
    part = state._replace(active=rows)
    part = CurveState(*(x[chosen] for x in part))
    news = work(part)
    news = news._replace(active=torch.where(part.active, news.active, state.active[chosen]))
    return CurveState(*(old.index_copy(0, chosen, new) for old, new in zip(state, news, strict=True)))


def _judged(im: RiemannianMetric, tol: float, last: bool, state: CurveState) -> CurveState:
    """Compute the residual of active curves and end those for which it is small enough; the last time, end all."""
    n = state.curves.shape[1] - 1
    found, length = interpolated_system(im, state.curves, state.force, WITHIN), state.energy.clamp(min=0).sqrt()
    now, rounding = residual(found, n, length), rounding_of(im, state.curves, state.data, state.energy, found)
    floor = admitted(rounding, n, tol)
    done = state.active & ((now <= floor) | last)
    now, floor = torch.where(done, now, state.residual), torch.where(done, floor, state.floor)
    rounding = torch.where(done, rounding, state.rounding)
    return state._replace(
        residual=now, floor=floor, rounding=rounding, active=state.active & ~done, settled=state.settled & ~state.active
    )


def _iterated(im: RiemannianMetric, tol: float, steps: int, rough: bool, state: CurveState) -> CurveState:
    """Build a model of the energy and take steps from it; a curve that a good model does not move is done."""
    n = state.curves.shape[1] - 1
    if rough:
        found = interpolated_system(im, state.curves, state.force)
    else:
        found = im.newton_system(state.curves, state.data)
    length = state.energy.clamp(min=0).sqrt()
    now, rounding = residual(found, n, length), rounding_of(im, state.curves, state.data, state.energy, found)
    floor = admitted(rounding, n, tol)
    at = state._replace(force=found.force, residual=torch.where(state.active, now, state.residual))
    at = at._replace(floor=torch.where(state.active, floor, state.floor), active=state.active & rough)
    at = at._replace(rounding=torch.where(state.active, rounding, state.rounding))
    at = _noted(at, now) if im.exact_hessian else at
    going = state.active & torch.isfinite(state.energy) & _unfinished(at, now)
    slack = 4 * rounding / n**0.5 * state.energy
    pairs: list[tuple[Tensor, Tensor]] = []
    model = _model(found) if steps and bool(going.any()) else None
    for _ in range(steps):
        if model is None or not bool(going.any()):
            break
        step, sound = quasi_newton_step(model, pairs[-MEMORY:], at.force)
        to, moved = line_search(im, at, step, slack, going & sound)
        now = residual(found._replace(force=to.force), n, to.energy.clamp(min=0).sqrt())
        pairs.append(((to.curves - at.curves)[:, 1:-1], at.force - to.force))
        at = to._replace(active=to.active | moved)
        at = at if im.exact_hessian else _noted(at, now)
        going = moved & _unfinished(at, now)
    at = at._replace(settled=at.active & ~going)
    return at._replace(stalls=at.stalls * (not rough), fine=at.fine & (not rough))


def _noted(state: CurveState, now: Tensor) -> CurveState:
    """Return the state with the least residual and the number of steps within rounding that did not lower it."""
    stalls = torch.where(state.fine & (now >= state.least), state.stalls + 1, 0)
    return state._replace(least=torch.where(state.fine, torch.minimum(now, state.least), now), stalls=stalls)


def _unfinished(state: CurveState, now: Tensor) -> Tensor:
    """Return which curves need a smaller residual and, if their steps are within rounding, can still reach one."""
    return (now > state.floor / 10) & ~(state.fine & (now <= state.floor)) & (state.stalls < PATIENCE)


def _model(found: NewtonSystem) -> Blocks:
    """Return the Hessian where it is positive definite, else a positive definite model of it."""
    _, definite = solve(*found.hessian, found.force.double())
    if bool(definite.all()):
        return found.hessian
    other, keep = _damped(found), definite[:, None, None, None]
    return Blocks(*(torch.where(keep, x, y) for x, y in zip(found.hessian, other, strict=True)))


def quasi_newton_step(model: Blocks, pairs: list[tuple[Tensor, Tensor]], force: Tensor) -> tuple[Tensor, Tensor]:
    """Return the step B F (B, N-2, d) by recursion over the pairs (s, y), and for which curves there is one."""
    v, past, eps = force.double(), [], torch.finfo(force.dtype).eps
    for s, y in reversed(pairs):
        s, y = s.double(), y.double()
        curvature = _product(s, y)
        good = curvature > eps * (_product(s, s) * _product(y, y)).sqrt()
        rho = torch.where(good, 1 / torch.where(good, curvature, 1), 0)
        alpha = rho * _product(s, v)
        v = v - alpha * y
        past.append((s, y, rho, alpha))
    step, sound = solve(*model, v)
    for s, y, rho, alpha in reversed(past):
        step = step + (alpha - rho * _product(y, step)) * s
    return step.to(force), sound & torch.isfinite(step).flatten(1).all(-1)


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1), keepdim=True)


def _damped(found: NewtonSystem) -> Blocks:
    """Return the model that is positive definite, with its diagonal raised by its rounding error."""
    diagonal = found.safe.diagonal
    size = diagonal.diagonal(dim1=-2, dim2=-1)
    raised = 10 * size.shape[-1] * torch.finfo(found.force.dtype).eps * size.amax((-2, -1), keepdim=True)
    return Blocks(diagonal + torch.diag_embed(raised.expand_as(size)), found.safe.next)


def line_search(
    im: RiemannianMetric, at: CurveState, step: Tensor, slack: Tensor, active: Tensor
) -> tuple[CurveState, Tensor]:
    """Return the state after the longest of the steps 1, 1/2, ... that lowers the energy, and which curves moved.

    A step is fine where its gain is within rounding.
    """
    slope = (at.force * step).sum((-2, -1))
    fine = (step.shape[1] + 1) * slope <= slack
    to, moved, rows, scale = at, torch.zeros_like(active), active.nonzero().flatten(), 1.0
    for _ in range(HALVINGS):
        if not len(rows):
            break
        old, way, down, within = CurveState(*(x[rows] for x in at)), step[rows], slope[rows], fine[rows]
        trial = old.curves.clone()
        trial[:, 1:-1] += scale * way
        energy, force, known = energy_and_force(im, trial)
        short = (force * way).sum((-2, -1)) >= -0.8 * down
        lower = torch.where(within, short & (energy <= old.energy + slack[rows]), energy < old.energy)
        take = torch.isfinite(energy) & lower
        news = old._replace(curves=trial, energy=energy, force=force, data=known, done=old.done + 1)
        news = news._replace(fine=within & (old.energy - energy <= slack[rows]))
        there, rows = rows[take], rows[~take]
        to = CurveState(*(x.index_copy(0, there, new[take]) for x, new in zip(to, news, strict=True)))
        moved = moved.index_fill(0, there, True)
        scale /= 2
    return to, moved


def energy_and_force(im: RiemannianMetric, curves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the energy of curves, F = -(1/2n) dE/dz (zero if the Newton system has it), and the segment data."""
    if im.exact_hessian:
        known = im.segment_data(curves)
        return raw_energy(im, curves, known), torch.zeros_like(curves[:, 1:-1]), known
    with torch.inference_mode(False), torch.enable_grad():
        live = curves.clone().requires_grad_()
        known = im.segment_data(live)
        energy = raw_energy(im, live, known)
        (gradient,) = torch.autograd.grad(energy.sum(), live)
    return energy.detach(), gradient[:, 1:-1] / (-2 * (curves.shape[1] - 1)), known.detach()


def _solution(im: RiemannianMetric, state: CurveState) -> Solution:
    """Return the curves with their convergence."""
    curves, length = state.curves, raw_length(im, state.curves, state.data)
    chord = state.energy.clamp(min=0).sqrt()
    remaining = state.residual * chord / length.clamp(min=torch.finfo(length.dtype).tiny)
    remaining = torch.where(torch.isfinite(state.residual), remaining, torch.inf)
    same, solved = (length == 0) & (curves[:, 0] == curves[:, -1]).all(-1), remaining <= state.floor
    remaining = torch.where(same, torch.zeros_like(remaining), remaining)
    variation = speed_variation(im, curves, state.data)
    finer = refined_polygon_length(im, curves, state.data)
    agrees = ((finer - length).abs() <= AGREES * length) & (variation <= UNEVEN)
    coarse = solved & ~agrees & (finer >= length / 2)
    hidden = is_hidden(state.rounding, curves.shape[1] - 1) & ~same
    verdict = solved & agrees & ~hidden | same, coarse & ~same & ~hidden
    return Solution(curves, length, state.energy, *verdict, remaining, variation, state.done, hidden, state.rounding)
