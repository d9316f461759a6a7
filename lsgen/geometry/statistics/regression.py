r"""Geodesic regression: the geodesic, or geodesic submanifold, along which codes follow real variables best.

    minimise  sum_i dist(y_i, exp_p(w_i))^2,    w_i = sum_k (x_ik - x_k) v_k    over p and v_1, ..., v_K

with x_k the means. Gauss and Newton's steps solve for changes (a, b) of base and velocities, in a frame carried along,

    minimise  sum_i |log_{y^_i}(y_i) - B_i a - sum_k (x_ik - x_k) A_i b_k|^2,    y^_i = exp_p(w_i),

with the Jacobi fields A_i and B_i along each geodesic (`lsgen.geometry.geodesics.jacobi_fields`): B_i moves its start,
A_i turns it. A step is halved until the sum falls. In flat space this is least squares, at the first step. The first
base is the Frechet mean, the first velocities those of least squares among logarithms there.

R^2 = 1 - sum_i dist(y_i, y^_i)^2 / sum_i dist(y_i, mean)^2 is the share of the Frechet variance that is explained. The
permutation test asks whether y depends on x at all: the share explained by least squares in the tangent space at the
mean, which does not depend on the order of x, is compared with that of permutations of x. Its p-value
(1 + #{at least as large}) / (1 + B) has an exact level, whatever the statistic.

Reference: Fletcher, "Geodesic regression and the theory of least squares on Riemannian manifolds" (2013),
https://doi.org/10.1007/s11263-012-0591-y, sections 3 and 4; Kim et al., "Multivariate general linear models on
Riemannian manifolds" (2014), for several variables; Phipson & Smyth, "Permutation p-values should never be zero"
(2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.geodesics.initial_value.jacobi import fields_and_hessian, jacobi_fields
from lsgen.geometry.geodesics.initial_value.shooting import exp_map
from lsgen.geometry.metric_tensor import orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import STEP_TOL, frechet_mean, log_maps, solver_options
from lsgen.geometry.statistics.permutations import check_permutations, permutation_p_value

__all__ = ["GeodesicRegression", "geodesic_regression"]

HALVINGS, STEPS = 10, 16


class GeodesicRegression(NamedTuple):
    """A geodesic fitted to codes.

    Attributes:
        base: the fit at the mean of the variables (d,).
        velocities: tangent vectors at the base (K, d), the change for one unit of each variable.
        centre: the means of the variables (K,); the fit at x is exp_base(sum_k (x_k - centre_k) velocities_k).
        fitted: the fit at each observation (n, d).
        r_squared: share of the Frechet variance that is explained.
        p_value: of the permutation test; NaN without permutations.
        converged: whether the steps settled and all geodesics converged.
        iterations: steps taken.

    """

    base: Tensor
    velocities: Tensor
    centre: Tensor
    fitted: Tensor
    r_squared: float
    p_value: float
    converged: bool
    iterations: int


class _Fit(NamedTuple):
    """Base, velocities, fitted codes, logarithms from these to the data, and the sum of their squares."""

    base: Tensor
    velocities: Tensor
    fitted: Tensor
    logs: Tensor
    total: Tensor


def geodesic_regression(
    im: RiemannianMetric,
    x: Tensor,
    y: Tensor,
    *,
    permutations: int = 0,
    tol: float = 1e-3,
    max_iterations: int = 32,
    points: int = 33,
    generator: torch.Generator | None = None,
    geodesic_options: Mapping[str, Any] | None = None,
) -> GeodesicRegression:
    r"""Return the geodesic along which codes follow real variables best.

        minimise  sum_i dist(y_i, exp_p(sum_k (x_ik - x_k) v_k))^2

    Args:
        im: the immersion, or the metric itself.
        x: variables (n,) or (n, K), such as a factor of variation.
        y: codes (n, d).
        permutations: number of permutations of the test whether y depends on x; none by default.
        tol: bound on how far the last step moves the fit, over the root of the Frechet variance (root mean squares).
        max_iterations: bound on the steps.
        points: number of points on each geodesic.
        generator: source of the permutations.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        `GeodesicRegression`; NaN, and converged = False, where a geodesic that the fit needs did not converge.

    Raises:
        TypeError, ValueError: see `frechet_mean`; also for variables of another shape, not finite, constant or linearly
            dependent, or fewer than K + 2 codes.

    """
    check_codes(im.fn, im.dim, y)
    if y.ndim != 2:
        raise ValueError(f"expected codes (n, {im.dim}), got {tuple(y.shape)}")
    check_permutations(permutations, least=0)
    if max_iterations < 1 or not tol > 0:
        raise ValueError(f"expected max_iterations >= 1 and tol > 0, got {max_iterations} and {tol}")
    table, centre = centred_variables(x, y)
    solver, y = solver_options(points, geodesic_options), y.detach()
    mean = frechet_mean(im, y, points=points, tol=min(tol, 1e-3), geodesic_options=geodesic_options)
    with torch.no_grad():
        u, square = log_maps(im, mean.mean[None], y[None], solver)
        if not bool(mean.converged & torch.isfinite(square).all()):
            return _failed(y, centre)
        frame = orthonormal_frames(im, mean.mean[None])[0].double()
        inside = torch.linalg.solve(frame, u[0].double().mT).mT
        p_value = permutation_p_value(_share(table), inside, permutations, generator)
        slopes = torch.linalg.pinv(table) @ inside
        fit = _fitted(im, mean.mean, (slopes @ frame.mT).to(y), table, y, solver)
        variance = square.double().sum() / len(y)
        fit, settled, steps = _settled(im, fit, table, y, solver, tol * variance.sqrt(), max_iterations)
    if not bool(torch.isfinite(fit.total)):
        return _failed(y, centre)._replace(p_value=p_value)
    explained = float(1 - fit.total / (variance * len(y))) if variance > 0 else float("nan")
    return GeodesicRegression(fit.base, fit.velocities, centre.to(y), fit.fitted, explained, p_value, settled, steps)


def centred_variables(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return variables (n, K) of codes (n, d) in float64 less their means, and these means (K,), or refuse them.

    Raises:
        ValueError: another shape, values that are not finite, or columns that are constant or linearly dependent.

    """
    n = len(y)
    if not isinstance(x, Tensor) or x.ndim not in (1, 2) or len(x) != n or x.is_complex():
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"expected real variables ({n},) or ({n}, K), one row for each code, got {got}")
    table = x.detach().to(y.device, torch.float64)
    table = table[:, None] if table.ndim == 1 else table
    if not bool(torch.isfinite(table).all()):
        raise ValueError("expected finite variables, got values that are not")
    centre = table.mean(0)
    table = table - centre
    if n < table.shape[1] + 2:
        raise ValueError(f"expected at least {table.shape[1] + 2} codes for {table.shape[1]} variables, got {n}")
    size = table.norm(dim=0)
    scaled = table / torch.where(size > 0, size, 1)
    if not table.shape[1] or int(torch.linalg.matrix_rank(scaled, rtol=1e-10)) < table.shape[1]:
        raise ValueError("expected variables that vary and are not linearly dependent, got some that are")
    return table, centre


def _share(table: Tensor) -> Any:
    """Return the function of permuted variables that gives the share explained in the tangent space."""
    basis = torch.linalg.qr(table)[0]

    def statistic(inside: Tensor, order: Tensor) -> Tensor:
        return torch.einsum("bnk,nd->bkd", basis[order], inside).square().sum((-2, -1))

    return statistic


def _fitted(
    im: RiemannianMetric, base: Tensor, velocities: Tensor, table: Tensor, y: Tensor, solver: dict[str, Any]
) -> _Fit:
    w = table.to(y) @ velocities
    shot = exp_map(im, base.expand_as(y), w, tol=STEP_TOL[y.dtype])
    ok = shot.converged & torch.isfinite(shot.point).all(-1)
    fitted = torch.where(ok[:, None], shot.point, base)
    logs, square = log_maps(im, fitted, y[:, None], solver)
    total = torch.where(ok, square[:, 0].double(), torch.nan).sum()
    return _Fit(base, velocities, fitted, logs[:, 0], total)


def _settled(
    im: RiemannianMetric,
    fit: _Fit,
    table: Tensor,
    y: Tensor,
    solver: dict[str, Any],
    bound: Tensor,
    max_iterations: int,
) -> tuple[_Fit, bool, int]:
    """Return the fit after Gauss-Newton steps, whether one more moves it by no more than a bound, and their number."""
    for iteration in range(max_iterations):
        a, b, moves = _gauss_newton(im, fit, table)
        if not bool(torch.isfinite(moves)) or bool(moves <= bound):
            return fit, bool(moves <= bound), iteration
        scale = 1.0
        for _ in range(HALVINGS):
            trial = _fitted(im, *_moved(im, fit, scale * a, scale * b), table, y, solver)
            if bool(trial.total < fit.total):
                break
            scale /= 2
        else:
            return fit, False, iteration
        fit = trial
    return fit, bool(_gauss_newton(im, fit, table)[2] <= bound), max_iterations


def _gauss_newton(im: RiemannianMetric, fit: _Fit, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps of base (d,) and velocities (K, d) in the frame at the base, and how far they move the fit."""
    w = table.to(fit.base) @ fit.velocities
    found, hessian = fields_and_hessian(im, fit.base.expand_as(w), w, STEPS)
    turns = found.fields[:, -1].double()
    moves = turns @ hessian.double()
    inside = torch.linalg.solve_ex(found.frame[:, -1].double(), fit.logs.double()[..., None])[0]
    n, d = w.shape
    columns = torch.cat([moves[:, None], table[:, :, None, None] * turns[:, None]], 1)
    matrix = columns.transpose(1, 2).reshape(n * d, -1)
    if not bool(torch.isfinite(matrix).all() & torch.isfinite(inside).all()):
        return fit.base, fit.velocities, torch.tensor(torch.nan)
    step = torch.linalg.pinv(matrix) @ inside.reshape(n * d, 1)
    solution = step.reshape(-1, d)
    return solution[0], solution[1:], ((matrix @ step).square().sum() / n).sqrt()


def _moved(im: RiemannianMetric, fit: _Fit, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return base and velocities after a step, the velocities carried along it."""
    frame = orthonormal_frames(im, fit.base[None])[0].double()
    way = jacobi_fields(im, fit.base[None], (frame @ a).to(fit.base)[None], STEPS)
    inside = torch.linalg.solve(frame, fit.velocities.double().mT).mT + b
    base = way.points[0, -1]
    ok = torch.isfinite(base).all() & torch.isfinite(way.frame[0, -1]).all()
    base = torch.where(ok, base, fit.base)
    carried = (inside @ way.frame[0, -1].double().mT).to(fit.base)
    return base, torch.where(ok, carried, fit.velocities)


def _failed(y: Tensor, centre: Tensor) -> GeodesicRegression:
    nothing = torch.full_like(y[0], torch.nan)
    velocities = nothing.expand(len(centre), -1).clone()
    nan = float("nan")
    return GeodesicRegression(nothing, velocities, centre.to(y), torch.full_like(y, torch.nan), nan, nan, False, 0)
