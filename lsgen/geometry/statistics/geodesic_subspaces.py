r"""Exact principal geodesics: the geodesics through the mean that lie closest to codes, by exact distances.

With orthonormal tangent vectors e_1, e_2, ... at the Frechet mean m,

    e_k = argmin sum_i dist(x_i, S_k)^2,    S_k = exp_m(span(e_1, ..., e_k)),    e_k orthogonal to those before,

each found with those before it held. `principal_geodesics` takes distances in the tangent space instead, where e_k are
principal components; the two differ by curvature, and may differ in the order of the directions.

Coordinates t_i of the codes nearest to x_i in S_k, and the direction e_k, change together by Newton's steps. With the
Jacobi fields A_i (`lsgen.geometry.geodesics.jacobi_fields`) in orthonormal frames at the mean and at exp_m(w_i), w_i =
sum_j t_ij e_j, with r_i the logarithm of x_i there and H_i the Hessian of half its squared distance, the sum has

    gradient  -(A_i E)^T r_i  by t_i,    -sum_i t_ik (A_i N)^T r_i  by b,        E = (e_1, ..., e_k),  e_k -> e_k + N b
    Hessian   (A_i E)^T H_i A_i E,  t_ik (A_i E)^T H_i A_i N - [j = k] r_i^T A_i N,  sum_i t_ik^2 (A_i N)^T H_i A_i N

but for derivatives of A_i, which vanish where space is flat. Each t_i is eliminated. What the Hessian of b lacks is
learnt from how the gradient changes, by updates of rank one (SR1); negative eigenvalues count by their size. A step is
halved until the sum falls. The first of the remaining tangent principal directions are starts, and the best is kept;
what is found may still be a local minimum. In flat space these are the principal components, from the first.

Reference: Sommer, Lauze & Nielsen, "Optimization over geodesics for exact principal geodesic analysis" (2014),
https://doi.org/10.1007/s10444-013-9308-1, equation 2; Dennis, Gay & Welsch, "An adaptive nonlinear least-squares
algorithm" (1981), for what the Hessian lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.geodesics.initial_value.jacobi import fields_and_hessian, jacobi_fields
from lsgen.geometry.geodesics.initial_value.shooting import exp_map
from lsgen.geometry.metric_tensor import orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import STEP_TOL, log_maps, solver_options
from lsgen.geometry.statistics.principal import principal_geodesics

__all__ = ["ExactPrincipalGeodesics", "exact_principal_geodesics"]

HALVINGS, STEPS, FLAT = 10, 16, 0.1


class ExactPrincipalGeodesics(NamedTuple):
    """The exact principal geodesics of codes.

    Attributes:
        mean: Frechet mean (d,).
        directions: tangent vectors (k, d) at the mean of unit length |e|_g, orthogonal; for `exp_map`.
        residuals: mean squared distance of the codes to S_1, ..., S_k, (k,).
        explained: share of the Frechet variance that each direction takes off the residual (k,).
        scores: coordinates (n, k) of the nearest codes in S_k.
        nearest: these codes (n, d).
        converged: whether the steps settled and all geodesics converged.

    """

    mean: Tensor
    directions: Tensor
    residuals: Tensor
    explained: Tensor
    scores: Tensor
    nearest: Tensor
    converged: bool


class _Subspace(NamedTuple):
    """Directions (k, d) in the frame at the mean, scores (n, k), logarithms from the nearest codes, sum of squares."""

    axes: Tensor
    scores: Tensor
    nearest: Tensor
    logs: Tensor
    total: Tensor


class _Problem(NamedTuple):
    """The codes, their mean, the frame at it, the options of geodesics, and the bound on a settled step."""

    im: RiemannianMetric
    codes: Tensor
    mean: Tensor
    frame: Tensor
    solver: dict[str, Any]
    bound: Tensor
    max_iterations: int
    starts: int


def exact_principal_geodesics(
    im: RiemannianMetric,
    codes: Tensor,
    k: int = 1,
    *,
    starts: int = 2,
    tol: float = 1e-3,
    max_iterations: int = 32,
    points: int = 33,
    geodesic_options: Mapping[str, Any] | None = None,
) -> ExactPrincipalGeodesics:
    r"""Return the geodesics through the Frechet mean that lie closest to codes, one after the other.

        minimise  sum_i min_{s in S_k} dist(x_i, s)^2    over e_k,    S_k = exp_m(span(e_1, ..., e_k))

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d).
        k: number of geodesics, at most min(n, d).
        starts: number of tangent principal directions, of largest variance, from which each is sought.
        tol: bound on how far the last step moves the nearest codes, over the root of the Frechet variance.
        max_iterations: bound on the steps of each start.
        points: number of points on each geodesic.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        `ExactPrincipalGeodesics`; NaN, and converged = False, where a geodesic did not converge.

    Raises:
        TypeError, ValueError: see `principal_geodesics`.

    """
    if not tol > 0 or max_iterations < 1 or starts < 1:
        raise ValueError(
            f"expected tol > 0, max_iterations >= 1 and starts >= 1, got {tol}, {max_iterations} and {starts}"
        )
    solver = solver_options(points, geodesic_options)
    first = principal_geodesics(im, codes, points=points, geodesic_options=geodesic_options)
    if not 1 <= k <= len(first.directions):
        raise ValueError(f"expected a number of geodesics from 1 to {len(first.directions)}, got {k}")
    codes = codes.detach()
    with torch.no_grad():
        frame = orthonormal_frames(im, first.mean[None])[0].double()
        tangent = torch.linalg.solve_ex(frame, first.directions.double().mT)[0].mT
        variance = (first.scores.double() ** 2).sum() / len(codes)
        problem = _Problem(im, codes, first.mean, frame, solver, tol * variance.sqrt(), max_iterations, starts)
        best, residuals, settled = None, [], first.converged
        for _ in range(k if settled else 0):
            best, done = _next(problem, best, tangent, first.scores.double() @ tangent)
            residuals.append(best.total / len(codes))
            settled = settled and done
    if best is None or not bool(torch.isfinite(best.total)):
        return _failed(codes, first.mean, k)
    left = torch.stack(residuals)
    taken = -torch.cat([variance[None], left]).diff() / variance
    made = [x.to(codes) for x in (best.axes @ frame.mT, left, taken, best.scores, best.nearest)]
    directions, left, taken, scores, nearest = made
    return ExactPrincipalGeodesics(first.mean, directions, left, taken, scores, nearest, settled)


def _next(problem: _Problem, before: _Subspace | None, tangent: Tensor, inside: Tensor) -> tuple[_Subspace, bool]:
    """Return the best subspace with one more direction than before, and whether it settled.

    Args:
        problem: see `_Problem`.
        before: the subspace so far; none at first.
        tangent: tangent principal directions (q, d) in the frame.
        inside: logarithms of the codes at the mean (n, d) in the frame.

    """
    axes = tangent[:0] if before is None else before.axes
    free = tangent - tangent @ axes.mT @ axes
    made: list[tuple[_Subspace, bool]] = []
    for row in free[free.norm(dim=-1) > 1e-3][: problem.starts]:
        new = torch.cat([axes, row[None] / row.norm()])
        alone = (inside @ new[-1])[:, None]
        scores = alone if before is None else torch.cat([before.scores, alone], 1)
        made.append(_settled(problem, _at(problem, new, scores)))
    sound = [pair for pair in made if bool(torch.isfinite(pair[0].total))] or made
    return min(sound, key=lambda pair: (not bool(torch.isfinite(pair[0].total)), float(pair[0].total.nan_to_num())))


def _at(problem: _Problem, axes: Tensor, scores: Tensor) -> _Subspace:
    codes = problem.codes
    w = (scores @ axes @ problem.frame.mT).to(codes)
    shot = exp_map(problem.im, problem.mean.expand_as(codes), w, tol=STEP_TOL[codes.dtype])
    ok = shot.converged & torch.isfinite(shot.point).all(-1)
    nearest = torch.where(ok[:, None], shot.point, problem.mean)
    logs, square = log_maps(problem.im, nearest, codes[:, None], problem.solver)
    return _Subspace(axes, scores, nearest, logs[:, 0], torch.where(ok, square[:, 0].double(), torch.nan).sum())


def _settled(problem: _Problem, at: _Subspace) -> tuple[_Subspace, bool]:
    """Return the subspace after Newton's steps, and whether one more would move it within the bound."""
    now, learnt = _model(problem, at), at.axes.new_zeros(at.axes.shape[1], at.axes.shape[1])
    for _ in range(problem.max_iterations):
        turn, shift, moves = _newton(now, learnt)
        if not bool(moves > problem.bound):
            return at, bool(moves <= problem.bound)
        scale = 1.0
        for _ in range(HALVINGS):
            axis = at.axes[-1] + scale * turn
            trial = _at(problem, torch.cat([at.axes[:-1], axis[None] / axis.norm()]), at.scores + scale * shift)
            if bool(trial.total < at.total):
                break
            scale /= 2
        else:
            return at, False
        at, before, now = trial, now, _model(problem, trial)
        lacks = before.force - now.force - scale * (now.hessian + learnt) @ turn
        size = scale * (lacks @ turn)
        if abs(size) > 1e-8 * lacks.norm() * turn.norm():
            learnt = learnt + lacks[:, None] * lacks / size
    return at, bool(_newton(now, learnt)[2] <= problem.bound)


class _Model(NamedTuple):
    """The quadratic model of the sum in b, with the scores eliminated; vectors of b in the frame at the mean.

    Attributes:
        force: less the gradient by b (d,).
        hessian: by b (d, d).
        others: orthonormal vectors (d, q) orthogonal to the axes.
        own, turning: derivatives of the nearest codes by scores (n, d, k) and by b (n, d, d).
        inverse, mixed, slope: of the Hessian by scores (n, k, k), mixed Hessian (n, k, d), less the gradient (n, k, 1).

    """

    force: Tensor
    hessian: Tensor
    others: Tensor
    own: Tensor
    turning: Tensor
    inverse: Tensor
    mixed: Tensor
    slope: Tensor


def _model(problem: _Problem, at: _Subspace) -> _Model:
    """Return the quadratic model at a subspace; NaN where a field or a logarithm is."""
    w = (at.scores @ at.axes @ problem.frame.mT).to(problem.codes)
    found = jacobi_fields(problem.im, problem.mean.expand_as(w), w, STEPS)
    fields, frame = found.fields[:, -1].double(), found.frame[:, -1].double()
    left = torch.linalg.solve_ex(frame, at.logs.double()[..., None])[0]
    sound = torch.isfinite(fields).all() & torch.isfinite(left).all()
    fields, left = torch.where(sound, fields, 0), torch.where(sound, left, 0)
    others = torch.linalg.qr(at.axes.mT, mode="complete")[0][:, len(at.axes) :]
    own, across = fields @ at.axes.mT, fields @ (others @ others.mT)
    turning, hessian = at.scores[:, -1, None, None] * across, _hessians(problem, at, frame)
    inverse = torch.linalg.pinv(own.mT @ hessian @ own, hermitian=True)
    mixed, slope = own.mT @ hessian @ turning, own.mT @ left
    mixed[:, -1] -= (left.mT @ across)[:, 0]
    force = (turning.mT @ left - mixed.mT @ inverse @ slope).sum(0)[:, 0]
    schur = (turning.mT @ hessian @ turning - mixed.mT @ inverse @ mixed).sum(0)
    return _Model(torch.where(sound, force, torch.nan), schur, others, own, turning, inverse, mixed, slope)


def _newton(model: _Model, learnt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps of the last direction (d,) and of the scores (n, k), and how far they move the nearest codes."""
    others, turn = model.others, torch.zeros_like(model.force)
    if not bool(torch.isfinite(model.force).all()):
        return turn, model.slope[..., 0], torch.tensor(torch.nan)
    if others.shape[1]:
        inside = others.mT @ (model.hessian + learnt) @ others
        values, basis = torch.linalg.eigh((inside + inside.mT) / 2)
        size = values.abs().clamp(min=1e-3 * float(values.abs().max()) + torch.finfo(values.dtype).tiny)
        turn = others @ (basis @ (basis.mT @ (others.mT @ model.force) / size))
    shift = model.inverse @ (model.slope - model.mixed @ turn[:, None])
    moved = model.own @ shift + model.turning @ turn[:, None]
    return turn, shift[..., 0], (moved.square().sum() / len(moved)).sqrt()


def _hessians(problem: _Problem, at: _Subspace, frame: Tensor) -> Tensor:
    """Return the Hessians of half the squared distance to each code at the nearest ones (n, d, d), in frames there.

    Eigenvalues below FLAT, beyond a quarter of a great circle, count as it.
    """
    found, hessian = fields_and_hessian(problem.im, at.nearest, at.logs, STEPS // 4)
    turn = torch.linalg.solve_ex(frame, found.frame[:, 0].double())[0]
    values, basis = torch.linalg.eigh(hessian.double())
    basis = turn @ basis
    return basis * values.clamp(min=FLAT)[:, None] @ basis.mT


def _failed(codes: Tensor, mean: Tensor, k: int) -> ExactPrincipalGeodesics:
    nothing = torch.full_like(codes, torch.nan)
    one = codes.new_full((k,), torch.nan)
    directions = one[:, None].expand(k, codes.shape[1]).clone()
    return ExactPrincipalGeodesics(mean, directions, one, one.clone(), nothing[:, :1].expand(-1, k), nothing, False)
