r"""Minimising the discrete energy of a batch of curves: quasi-Newton steps from Gauss and Newton's model of it.

The model H of the energy (`lsgen.geometry.energy`) takes d derivatives of a decoder, a force F(z) one pass backwards.
So up to d steps B_k F(z_k) are taken from one model. B_0 = H^-1 is one block-tridiagonal solution; later ones also hold
what the forces show of the terms that H lacks. With s = z_{k+1} - z_k and y = F(z_k) - F(z_{k+1})

    B_{k+1} = (1 - rho s y^T) B_k (1 - rho y s^T) + rho s s^T,    rho = 1 / <y, s>,

which solves B_{k+1} y = s and is applied by recursion over the pairs (L-BFGS); a pair without <y, s> > 0 is left out.
The first model takes the metric at few points of each curve. Those after it are exact, and the last gives the residual.
A metric has its exact Hessian, which serves one step.

Every curve has its own step length, halved until the energy falls, and leaves the batch when it is done. Where the
Hessian is not positive definite a curve takes a model that is. Close to the minimum the energy falls by less than its
rounding; there a step counts as progress where the residual falls and the energy does not rise beyond rounding.

Reference: Nocedal & Wright, "Numerical Optimization" (2006), chapters 3 and 10 and algorithm 7.4; Liu & Nocedal, "On
the limited memory BFGS method for large scale optimization" (1989), https://doi.org/10.1007/BF01589116.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.energy import Blocks, System, raw_energy, residual, sketch, system
from lsgen.geometry.field import MetricField
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.lengths import polygon, raw_length
from lsgen.geometry.tridiagonal import solve

__all__ = ["Solution", "minimised"]

HALVINGS, MEMORY = 16, 8


class Solution(NamedTuple):
    """Curves (B, N, d); their length, energy, convergence and residual (B,); steps done (B,)."""

    points: Tensor
    length: Tensor
    energy: Tensor
    converged: Tensor
    residual: Tensor
    iterations: Tensor


class _State(NamedTuple):
    """What is known of each curve: points, energy, force F (zero where it was not asked for), residual at the last
    model, what rounding admits of it, whether it goes on, whether its last step was within rounding, steps done, and
    the size |f| of its ends.
    """

    curves: Tensor
    energy: Tensor
    force: Tensor
    residual: Tensor
    floor: Tensor
    active: Tensor
    fine: Tensor
    done: Tensor
    size: Tensor


def minimised(im: Immersion | MetricField, curves: Tensor, max_iterations: int, tol: float) -> Solution:
    """Return the geodesics that curves (B, N, d) with fixed ends relax to."""
    rough = isinstance(im, Immersion) and max_iterations > 0
    energy, force = _evaluated(im, curves, rough)
    none, worst = torch.zeros_like(energy, dtype=torch.bool), torch.full_like(energy, torch.inf)
    state = _State(curves, energy, force, worst, worst, ~none, none, none.long(), _size(im, curves))
    left = max_iterations
    while (rows := _working(state.active)) is not None:
        steps = min(left, im.dim if isinstance(im, Immersion) else 1)
        news = _iterated(im, _State(*(x[rows] for x in state)), steps, tol, rough)
        state = _State(*(old.index_copy(0, rows, new) for old, new in zip(state, news, strict=True)))
        left, rough = left - steps, False
    return _judged(im, state)


def _working(active: Tensor) -> Tensor | None:
    """Return the rows to work on: the active ones, filled up to the next power of two, so that few shapes occur."""
    count = int(active.sum())
    if not count:
        return None
    size = min(len(active), 1 << (count - 1).bit_length())
    return torch.argsort((~active).to(torch.uint8), stable=True)[:size]


def _iterated(im: Immersion | MetricField, state: _State, steps: int, tol: float, rough: bool) -> _State:
    """Take a model, and some steps from it; after a rough model every curve is to be judged by another."""
    n = state.curves.shape[1] - 1
    found = sketch(im, state.curves, state.force) if rough and isinstance(im, Immersion) else system(im, state.curves)
    length = state.energy.clamp(min=0).sqrt()
    ratio = _ratio(state, found, length)
    before, floor = residual(found, n, length), _floor(ratio, n, tol)
    going = state.active & torch.isfinite(state.energy) & _unfinished(before, state.residual, state.fine, floor)
    at = state._replace(force=found.force, residual=before, floor=floor, active=state.active & rough)
    rounding = 4 * torch.finfo(ratio.dtype).eps * n**0.5 * ratio
    pairs: list[tuple[Tensor, Tensor]] = []
    model = _model(found) if steps and bool(going.any()) else None
    for more in range(steps - 1, -1, -1):
        if model is None or not bool(going.any()):
            break
        step, sound = _direction(model, pairs[-MEMORY:], at.force)
        to, moved = _searched(im, at, step, rounding * at.energy, going & sound, more > 0)
        if more:
            now = residual(found._replace(force=to.force), n, to.energy.clamp(min=0).sqrt())
            pairs.append(((to.curves - at.curves)[:, 1:-1], at.force - to.force))
            going, before = moved & _unfinished(now, before, to.fine, floor), now
        at = to._replace(active=to.active | moved)
    return at


def _unfinished(now: Tensor, before: Tensor, fine: Tensor, floor: Tensor) -> Tensor:
    """Return which residuals are to fall further, and can where the last step was within rounding."""
    return (now > floor / 10) & ~(fine & ((now >= before) | (now <= floor)))


def _model(found: System) -> Blocks:
    """Return the Hessian where it is positive definite, else a model that is."""
    _, definite = solve(*found.hessian, found.force.double())
    if bool(definite.all()):
        return found.hessian
    other, keep = found.safe or _damped(found), definite[:, None, None, None]
    return Blocks(*(torch.where(keep, x, y) for x, y in zip(found.hessian, other, strict=True)))


def _direction(model: Blocks, pairs: list[tuple[Tensor, Tensor]], force: Tensor) -> tuple[Tensor, Tensor]:
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


def _damped(found: System) -> Blocks:
    """Return the model with its diagonal raised by what rounding makes uncertain."""
    diagonal = found.hessian.diagonal
    size = diagonal.diagonal(dim1=-2, dim2=-1)
    raised = 10 * size.shape[-1] * torch.finfo(found.g.dtype).eps * size.amax((-2, -1), keepdim=True)
    return Blocks(diagonal + torch.diag_embed(raised.expand_as(size)), found.hessian.next)


def _searched(
    im: Immersion | MetricField, at: _State, step: Tensor, slack: Tensor, active: Tensor, forces: bool
) -> tuple[_State, Tensor]:
    """Return where the longest of the steps 1, 1/2, ... that lowers the energy leads, with forces if they are needed,
    and which curves moved. A step is fine where its gain is within rounding.
    """
    fine = (step.shape[1] + 1) * (at.force * step).sum((-2, -1)) <= slack
    to, moved, scale = at, torch.zeros_like(active), 1.0
    for _ in range(HALVINGS):
        trial = at.curves.clone()
        trial[:, 1:-1] += scale * step
        energy, force = _evaluated(im, trial, forces)
        lower = (energy < at.energy) | fine & (energy <= at.energy + slack)
        take = active & ~moved & torch.isfinite(energy) & lower
        news = at._replace(curves=trial, energy=energy, force=force, fine=fine, done=at.done + 1)
        to = _State(*(torch.where(take.view(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(news, to, strict=True)))
        moved = moved | take
        if bool((moved | ~active).all()):
            break
        scale /= 2
    return to, moved


def _evaluated(im: Immersion | MetricField, curves: Tensor, forces: bool) -> tuple[Tensor, Tensor]:
    """Return the energy of curves, and F = -(1/2n) dE/dz by one pass backwards, or zeros without."""
    if not forces:
        return raw_energy(im, curves), torch.zeros_like(curves[:, 1:-1])
    with torch.inference_mode(False), torch.enable_grad():
        live = curves.clone().requires_grad_()
        energy = raw_energy(im, live)
        (gradient,) = torch.autograd.grad(energy.sum(), live)
    return energy.detach(), gradient[:, 1:-1] / (-2 * (curves.shape[1] - 1))


def _size(im: Immersion | MetricField, curves: Tensor) -> Tensor:
    """Return the norm of f at the ends (B,), in the frame that chords are taken in; 0 for a metric."""
    if isinstance(im, MetricField):
        return torch.zeros_like(curves[:, 0, 0])
    if im.signature is not None:
        return torch.full_like(curves[:, 0, 0], len(im.signature) ** 0.5)
    ends = im.fn(im.lifted(curves[:, :: curves.shape[1] - 1].flatten(0, 1)))
    return ends.reshape(len(curves), 2, -1).norm(dim=-1).amax(-1)


def _ratio(state: _State, found: System, length: Tensor) -> Tensor:
    """Return 1 + |f| / L; rounding of the codes moves the image by eps |J| |z|, which |f| here includes."""
    slope = found.g.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=0).sqrt().amax(-1)
    size = state.size + slope * state.curves.norm(dim=-1).amax(-1)
    return 1 + size / length.clamp(min=torch.finfo(length.dtype).tiny)


def _floor(ratio: Tensor, n: int, tol: float) -> Tensor:
    """Return the residual that rounding admits: max(tol, c eps n^2 |f| / L) with c = 10."""
    return (10 * torch.finfo(ratio.dtype).eps * n**2 * ratio).clamp(min=tol)


def _judged(im: Immersion | MetricField, state: _State) -> Solution:
    """Return the curves with what tells whether they are geodesics."""
    curves, length = state.curves, raw_length(im, state.curves)
    chord = state.energy.clamp(min=0).sqrt()
    remaining = state.residual * chord / length.clamp(min=torch.finfo(length.dtype).tiny)
    remaining = torch.where(torch.isfinite(state.residual), remaining, torch.inf)
    middle = (curves[:, 1:] + curves[:, :-1]) / 2
    halved = torch.stack([curves[:, :-1], middle], 2).flatten(1, 2)
    finer = polygon(im, torch.cat([halved, curves[:, -1:]], 1))
    agrees = (finer - length).abs() <= 0.01 * length
    same = (length == 0) & (curves[:, 0] == curves[:, -1]).all(-1)
    converged = (remaining <= state.floor) & agrees | same
    remaining = torch.where(same, torch.zeros_like(remaining), remaining)
    return Solution(curves, length, state.energy, converged, remaining, state.done)
