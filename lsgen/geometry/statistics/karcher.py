r"""Karcher's iteration for the Frechet means of several sets, by geodesics that follow the means.

    mu <- exp_mu(t p),    p = B F,    F(mu) = sum_i w_i log_mu(x_i) = -(1/2) g^-1 grad V

with t = 1, halved until the variance V falls and doubled once it has. B = 1 in Karcher's iteration; here Broyden's
update

    B <- B + (s - B y) (s^T B) / (s^T B y),    s = mu_{k+1} - mu_k,    y = F_k - F_{k+1}

learns how F varies, which curvature makes differ from the identity. It is forgotten where it does not descend.

The geodesics from a mean start from those of the mean before, whose points z(t) move by (1 - t) s. The first rounds
have a loose tolerance, and minimise sum_i w_i E(mu, x_i) of discrete energies E, whether or not their grid tells a
length; only sets that have not settled are worked on. At the end every discrete geodesic is found anew, without
those before; if that leads to a shorter geodesic, the iteration goes on with it.

Reference: Karcher, "Riemannian center of mass and mollifier smoothing" (1977); Broyden, "A class of methods for solving
nonlinear simultaneous equations" (1965); Dembo, Eisenstat & Steihaug, "Inexact Newton methods" (1982).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.geodesics.initial_value import exp_map
from lsgen.geometry.geodesics.logarithm import logarithms
from lsgen.geometry.metric_tensor import metric
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["STEP_TOL", "KarcherState", "karcher_means"]

HALVINGS, LOOSE, RECHECKS, SHORTER, ALIKE = 8, 2e-2, 3, 1e-4, 1e-6
STEP_TOL = {torch.float64: 1e-6, torch.float32: 1e-4}
"""The error admitted to an exponential map that is one step of an iteration or of a chain."""
STEP_ERROR = 1e-2
"""The error admitted to a step towards a mean, which the next step makes good."""


class KarcherState(NamedTuple):
    """Means of B sets of n codes, with the geodesics to the codes.

    Attributes:
        mean: codes (B, d).
        v: logarithms of the codes of each set (B, n, d).
        square: squared distances (B, n); NaN where a geodesic did not converge.
        curves: the geodesics (B, n, N, d).
        force: F (B, d).
        variance: V (B,).
        residual: |F|_g over the root of V (B,).
        secant: B (B, d, d).
        step: t (B,).
        done: rounds taken (B,).

    """

    mean: Tensor
    v: Tensor
    square: Tensor
    curves: Tensor
    force: Tensor
    variance: Tensor
    residual: Tensor
    secant: Tensor
    step: Tensor
    done: Tensor


class _Sets(NamedTuple):
    """Sets of codes (B, n, d) with weights that sum to one (B, n)."""

    codes: Tensor
    shares: Tensor


def karcher_means(
    im: RiemannianMetric,
    sets: Tensor,
    shares: Tensor,
    mean: Tensor,
    tol: float,
    max_iterations: int,
    options: dict[str, Any],
) -> KarcherState:
    """Return the means of sets (B, n, d) with weights (B, n), iterated from codes (B, d).

    Args:
        im: the metric.
        sets: codes (B, n, d).
        shares: weights (B, n) that sum to one.
        mean: codes (B, d) to start from.
        tol: bound on the residual of a settled mean.
        max_iterations: bound on the rounds of each set.
        options: number of points and options of each geodesic.

    """
    given, loose = _Sets(sets, shares), {**options, "tol": max(options.get("tol", 0.0), LOOSE), "discrete": True}
    state = _measured(im, given, mean, None, loose)
    state = _iterated(im, given, state, max(tol, LOOSE), max_iterations, loose)
    state = _taken(state, _measured(im, given, state.mean, state.curves, options))
    state = _iterated(im, given, state, tol, max_iterations, options)
    for _ in range(RECHECKS):
        found = _with_shorter(im, given, state, loose, options)
        if found is None:
            break
        state = _iterated(im, given, found, tol, max_iterations, options)
    return state


def _with_shorter(
    im: RiemannianMetric, sets: _Sets, state: KarcherState, loose: dict[str, Any], options: dict[str, Any]
) -> KarcherState | None:
    """Return the state with geodesics that are shorter than its own, or None if no start of their own leads to any.

    Discrete energies tell which there may be: only those are solved to the tolerance of the geodesics, and those that
    the state lacks.
    """
    own, anew = (_measured(im, sets, state.mean, curves, loose) for curves in (state.curves, None))
    missing = state.square.isnan()
    rows = (~(anew.square >= own.square * (1 - SHORTER)) | missing).flatten().nonzero().flatten()
    if not len(rows):
        return None
    n, points, d = state.curves.shape[1:]
    start, end = state.mean[rows // n], sets.codes.reshape(-1, d)[rows]
    begin = {"starts": 1, "graph": None, "initial": anew.curves.reshape(-1, points, d)[rows]}
    v, length, curves = logarithms(im, start, end, **{**options, **begin})
    square = state.square.flatten()
    shorter = (length.square() < square[rows] * (1 - SHORTER)) | (square[rows].isnan() & ~length.isnan())
    if not bool(shorter.any()):
        return None
    rows, b = rows[shorter], len(state.mean)
    news = _summed(
        im,
        sets,
        state.mean,
        state.v.reshape(-1, d).index_copy(0, rows, v[shorter]).reshape(b, n, d),
        square.index_copy(0, rows, length[shorter].square()).reshape(b, n),
        state.curves.reshape(-1, points, d).index_copy(0, rows, curves[shorter]).reshape(b, n, points, d),
    )
    return _taken(state, news)


def _measured(
    im: RiemannianMetric,
    sets: _Sets,
    mean: Tensor,
    curves: Tensor | None,
    options: dict[str, Any],
) -> KarcherState:
    """Return the state at means (B, d), whose geodesics start from curves (B, n, N, d) if there are any.

    Geodesics that do not converge from there are solved as if there were none.
    """
    b, n, d = sets.codes.shape
    start, end = mean[:, None].expand(b, n, d).reshape(-1, d), sets.codes.reshape(-1, d)
    if curves is None:
        v, length, found = logarithms(im, start, end, **options)
    else:
        warm = {**options, "starts": 1, "graph": None, "initial": curves.reshape(b * n, *curves.shape[2:])}
        v, length, found = logarithms(im, start, end, **warm)
        lost = v.isnan().any(-1).nonzero().flatten()
        if len(lost):
            v[lost], length[lost], found[lost] = logarithms(im, start[lost], end[lost], **options)
    v, square = v.reshape(b, n, d), length.reshape(b, n).square()
    return _summed(im, sets, mean, v, square, found.reshape(b, n, -1, d))


def _summed(im: RiemannianMetric, sets: _Sets, mean: Tensor, v: Tensor, square: Tensor, curves: Tensor) -> KarcherState:
    """Return the state at means (B, d), from the logarithms and squared distances there."""
    none = sets.shares == 0
    v, square = torch.where(none[..., None], 0, v), torch.where(none, 0, square)
    force, variance = torch.einsum("bn,bnd->bd", sets.shares, v), (sets.shares * square).sum(-1)
    size = torch.einsum("bi,bij,bj->b", force, metric(im, mean), force).clamp(min=0).sqrt()
    residual = torch.where(variance > 0, size / variance.clamp(min=torch.finfo(size.dtype).tiny).sqrt(), size)
    secant = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device).expand(len(mean), -1, -1)
    ones = torch.ones_like(variance)
    return KarcherState(mean, v, square, curves, force, variance, residual, secant, ones, ones.long() * 0)


def _taken(old: KarcherState, news: KarcherState) -> KarcherState:
    """Return the new state with the secant matrices and the rounds of the old one."""
    return news._replace(secant=old.secant, done=old.done)


def _iterated(
    im: RiemannianMetric,
    sets: _Sets,
    state: KarcherState,
    goal: float,
    max_iterations: int,
    options: dict[str, Any],
) -> KarcherState:
    """Move the means until their residuals are small enough, or they cannot go on."""
    while True:
        active = (state.residual > goal) & (state.step > 0.5**HALVINGS) & (state.done < max_iterations)
        rows = active.nonzero().flatten()
        if not len(rows):
            return state._replace(step=torch.ones_like(state.step))
        part = KarcherState(*(x[rows] for x in state))
        news = _moved(im, _Sets(sets.codes[rows], sets.shares[rows]), part, options)
        state = KarcherState(*(old.index_copy(0, rows, new) for old, new in zip(state, news, strict=True)))


def _moved(im: RiemannianMetric, sets: _Sets, state: KarcherState, options: dict[str, Any]) -> KarcherState:
    """Return the state after one step of every set; a step is halved that does not lower the variance.

    Close to the mean the variance differs by less than the error of its geodesics; there the residual has to fall.
    """
    g, move = metric(im, state.mean), torch.einsum("bij,bj->bi", state.secant, state.force)
    descends = torch.einsum("bi,bij,bj->b", move, g, state.force) > 0
    plain = torch.eye(move.shape[-1], dtype=move.dtype, device=move.device)
    secant = torch.where(descends[:, None, None], state.secant, plain)
    move = im.manifold.tangent(state.mean, state.step[:, None] * torch.where(descends[:, None], move, state.force))
    shot = exp_map(im, state.mean, move, tol=STEP_ERROR)
    reached = torch.where(shot.converged[:, None], shot.point, state.mean)
    shift = reached - state.mean
    t = torch.linspace(1, 0, state.curves.shape[2], dtype=move.dtype, device=move.device)
    trial = _measured(im, sets, reached, state.curves + t[:, None] * shift[:, None, None], options)
    calmer = (trial.residual < state.residual / 2) & (trial.variance <= state.variance * (1 + ALIKE))
    better = shot.converged & ((trial.variance < state.variance) | calmer)
    trial = trial._replace(secant=_broyden(secant, shift, state.force - trial.force), done=state.done)
    trial = trial._replace(step=(2 * state.step).clamp(max=1))
    kept = state._replace(secant=plain.expand_as(secant), step=state.step / 2)
    news = (torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(trial, kept, strict=True))
    return KarcherState(*news)._replace(done=state.done + 1)


def _broyden(secant: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """Return the matrices (B, d, d) after Broyden's update, as they were where it has no sound denominator."""
    image, left = torch.einsum("bij,bj->bi", secant, y), torch.einsum("bi,bij->bj", s, secant)
    size, least = (s * image).sum(-1), 0.1 * s.square().sum(-1)
    sound = (size > least) & torch.isfinite(size)
    update = (s - image)[:, :, None] * left[:, None] / torch.where(sound, size, 1)[:, None, None]
    return torch.where(sound[:, None, None], secant + update, secant)
