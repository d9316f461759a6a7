r"""Minimising the discrete energy of a batch of curves: Newton steps, halved until the energy falls.

Every curve has its own step length, and leaves the batch when it is done. Where the Hessian is not positive definite
a curve takes a model that is. Close to the minimum the energy falls by less than its rounding; there a step counts as
progress where the residual falls and the energy does not rise beyond rounding.

Reference: Nocedal & Wright, "Numerical Optimization" (2006), chapters 3 and 10.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.energy import Blocks, System, raw_energy, residual, system
from lsgen.geometry.field import MetricField
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.lengths import polygon, raw_length
from lsgen.geometry.tridiagonal import solve

__all__ = ["Solution", "minimised"]

HALVINGS = 16


class Solution(NamedTuple):
    """Curves (B, N, d); their length, energy, convergence and residual (B,); iterations of the longest (B,)."""

    points: Tensor
    length: Tensor
    energy: Tensor
    converged: Tensor
    residual: Tensor
    iterations: Tensor


class _State(NamedTuple):
    """What is known of each curve: points, energy, residual before the last step, whether it goes on, whether its last
    step was within rounding, iterations done, and the size |f| of its ends.
    """

    curves: Tensor
    energy: Tensor
    residual: Tensor
    active: Tensor
    fine: Tensor
    done: Tensor
    size: Tensor


def minimised(im: Immersion | MetricField, curves: Tensor, max_iterations: int, tol: float) -> Solution:
    """Return the geodesics that curves (B, N, d) with fixed ends relax to."""
    energy = raw_energy(im, curves)
    active = torch.isfinite(energy)
    none = torch.zeros_like(active)
    state = _State(curves, energy, torch.full_like(energy, torch.inf), active, none, none.long(), _size(im, curves))
    for _ in range(max_iterations):
        rows = _working(state.active)
        if rows is None:
            break
        news = _iterated(im, _State(*(x[rows] for x in state)), tol)
        state = _State(*(old.index_copy(0, rows, new) for old, new in zip(state, news, strict=True)))
    return _judged(im, state, tol)


def _working(active: Tensor) -> Tensor | None:
    """Return the rows to work on: the active ones, filled up to the next power of two, so that few shapes occur."""
    count = int(active.sum())
    if not count:
        return None
    size = min(len(active), 1 << (count - 1).bit_length())
    return torch.argsort((~active).to(torch.uint8), stable=True)[:size]


def _iterated(im: Immersion | MetricField, state: _State, tol: float) -> _State:
    n = state.curves.shape[1] - 1
    found = system(im, state.curves)
    length = state.energy.clamp(min=0).sqrt()
    ratio = _ratio(state, found, length)
    now = residual(found, n, length)
    active = state.active & (now > _floor(state, ratio, tol) / 10) & ~(state.fine & (now >= state.residual))
    step, sound = _direction(found)
    curves, energy, moved, fine = _searched(im, state, found, step, ratio, active & sound)
    return _State(curves, energy, now, moved, fine, state.done + moved.long(), state.size)


def _direction(found: System) -> tuple[Tensor, Tensor]:
    """Return the Newton step (B, N-2, d), and for which curves there is one."""
    force = found.force.double()
    step, definite = solve(*found.hessian, force)
    if not bool(definite.all()):
        other, sound = solve(*(found.safe or _damped(found)), force)
        step = torch.where(definite[:, None, None], step, other)
        definite = definite | sound
    return step.to(found.force), definite & torch.isfinite(step).flatten(1).all(-1)


def _damped(found: System) -> Blocks:
    """Return the model with its diagonal raised by what rounding makes uncertain."""
    diagonal = found.hessian.diagonal
    size = diagonal.diagonal(dim1=-2, dim2=-1)
    raised = 10 * size.shape[-1] * torch.finfo(found.g.dtype).eps * size.amax((-2, -1), keepdim=True)
    return Blocks(diagonal + torch.diag_embed(raised.expand_as(size)), found.hessian.next)


def _searched(
    im: Immersion | MetricField, state: _State, found: System, step: Tensor, ratio: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return curves and energies after the longest of the steps 1, 1/2, ... that lowers the energy, which moved, and
    which of them by a step whose gain is within rounding.
    """
    curves, energy, n = state.curves, state.energy, step.shape[1] + 1
    slack = 4 * torch.finfo(energy.dtype).eps * n**0.5 * ratio * energy
    fine = n * (found.force * step).sum((-2, -1)) <= slack
    moved, scale = torch.zeros_like(active), 1.0
    for _ in range(HALVINGS):
        trial = state.curves.clone()
        trial[:, 1:-1] += scale * step
        value = raw_energy(im, trial)
        lower = (value < state.energy) | fine & (value <= state.energy + slack)
        take = active & ~moved & torch.isfinite(value) & lower
        curves = torch.where(take[:, None, None], trial, curves)
        energy = torch.where(take, value, energy)
        moved = moved | take
        if bool((moved | ~active).all()):
            break
        scale /= 2
    return curves, energy, moved, fine


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


def _floor(state: _State, ratio: Tensor, tol: float) -> Tensor:
    """Return the residual that rounding admits: max(tol, c eps n^2 |f| / L) with c = 10."""
    n = state.curves.shape[1] - 1
    return (10 * torch.finfo(ratio.dtype).eps * n**2 * ratio).clamp(min=tol)


def _judged(im: Immersion | MetricField, state: _State, tol: float) -> Solution:
    """Return the curves with what tells whether they are geodesics."""
    curves, n = state.curves, state.curves.shape[1] - 1
    length, found = raw_length(im, curves), system(im, curves)
    remaining = residual(found, n, length)
    chord = state.energy.clamp(min=0).sqrt()
    floor = _floor(state, _ratio(state, found, chord), tol)
    middle = (curves[:, 1:] + curves[:, :-1]) / 2
    halved = torch.stack([curves[:, :-1], middle], 2).flatten(1, 2)
    finer = polygon(im, torch.cat([halved, curves[:, -1:]], 1))
    agrees = (finer - length).abs() <= 0.01 * length
    same = (length == 0) & (curves[:, 0] == curves[:, -1]).all(-1)
    converged = (remaining <= floor) & agrees | same
    remaining = torch.where(same, torch.zeros_like(remaining), remaining)
    return Solution(curves, length, state.energy, converged, remaining, state.done)
