r"""Frechet regression: the mean of codes as a function of real variables, without a model of its shape.

    m(x) = argmin_z sum_i s_i(x) dist(y_i, z)^2,    s_i(x) = (1 + (x_i - x_)^T C^-1 (x - x_)) / n

with mean x_ and covariance C of the variables (divided by n). The weights sum up to 1; those of codes whose variables
lie far on the other side of the mean are negative. In flat space m is the line of least squares. It differs from a
geodesic regression where space is curved: m need not be a geodesic.

Karcher's iteration z <- exp_z(t sum_i s_i log_z(y_i)) is as for a mean (`frechet_mean`), t halved until the sum falls.
Under negative weights the sum is convex near the codes only where curvature times squared distances is small; what is
found is a local minimum.

Reference: Petersen & Mueller, "Frechet regression for random objects with Euclidean predictors" (2019),
https://doi.org/10.1214/17-AOS1624, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.geodesics.initial_value.shooting import exp_map
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import STEP_TOL, frechet_mean, log_maps, solver_options, vector_norms
from lsgen.geometry.statistics.regression import centred_variables

__all__ = ["FrechetRegression", "frechet_regression"]

HALVINGS = 8


class FrechetRegression(NamedTuple):
    """Conditional means (Q, d), weights of the codes (Q, n), which converged (Q,), residual (Q,).

    The residual is |sum_i s_i log(y_i)| over the root of the Frechet variance of all codes.
    """

    points: Tensor
    weights: Tensor
    converged: Tensor
    residual: Tensor


def frechet_regression(
    im: RiemannianMetric,
    x: Tensor,
    y: Tensor,
    at: Tensor,
    *,
    tol: float = 1e-3,
    max_iterations: int = 32,
    points: int = 33,
    geodesic_options: Mapping[str, Any] | None = None,
) -> FrechetRegression:
    r"""Return the Frechet means of codes conditional on real variables.

        m(x) = argmin_z sum_i s_i(x) dist(y_i, z)^2,    s_i(x) = (1 + (x_i - x_)^T C^-1 (x - x_)) / n

    Args:
        im: the immersion, or the metric itself.
        x: variables (n,) or (n, K).
        y: codes (n, d).
        at: where the mean is taken, (Q,) or (Q, K).
        tol: bound on |sum s log| over the root of the Frechet variance, at a converged mean.
        max_iterations: bound on the iterations.
        points: number of points on each geodesic.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        `FrechetRegression`; NaN, and converged = False, for a mean with a geodesic to some code that did not converge;
        the last code, and converged = False, for one that did not settle.

    Raises:
        TypeError, ValueError: see `frechet_mean` and `geodesic_regression`; also for `at` of another shape.

    """
    check_codes(im.fn, im.dim, y)
    if y.ndim != 2:
        raise ValueError(f"expected codes (n, {im.dim}), got {tuple(y.shape)}")
    if max_iterations < 1 or not tol > 0:
        raise ValueError(f"expected max_iterations >= 1 and tol > 0, got {max_iterations} and {tol}")
    table, centre = centred_variables(x, y)
    if at.ndim != x.ndim or at.shape[1:] != x.shape[1:] or not bool(torch.isfinite(at).all()):
        raise ValueError(f"expected finite places {('Q', *x.shape[1:])}, got {tuple(at.shape)}".replace("'", ""))
    places = at.detach().to(y.device, torch.float64).reshape(len(at), len(centre))
    weights = _weights(table, places - centre).to(y)
    solver, codes = solver_options(points, geodesic_options), y.detach()
    mean = frechet_mean(im, codes, points=points, geodesic_options=geodesic_options)
    if not bool(mean.converged):
        nothing = codes.new_full((len(at), im.dim), torch.nan)
        return FrechetRegression(nothing, weights, nothing[:, 0] == 0, nothing[:, 0])
    with torch.no_grad():
        start = mean.mean.expand(len(at), -1)
        found, residual = _descended(im, start, codes, weights, mean.variance.sqrt(), tol, max_iterations, solver)
    return FrechetRegression(found, weights, residual <= tol, residual)


def _weights(table: Tensor, places: Tensor) -> Tensor:
    """Return s (Q, n) for centred variables (n, K) and places (Q, K)."""
    n = len(table)
    return (1 + places @ torch.linalg.solve(table.mT @ table / n, table.mT)) / n


def _descended(
    im: RiemannianMetric,
    z: Tensor,
    codes: Tensor,
    weights: Tensor,
    scale: Tensor,
    tol: float,
    max_iterations: int,
    solver: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """Return minima (Q, d) of the weighted sums of squared distances, and their residuals (Q,)."""

    def at(z: Tensor) -> tuple[Tensor, Tensor]:
        v, square = log_maps(im, z, codes.expand(len(z), *codes.shape), solver)
        used = weights != 0
        v, square = torch.where(used[..., None], v, 0), torch.where(used, square, 0)
        return torch.einsum("qn,qnd->qd", weights, v), (weights * square).sum(-1)

    def residual_of(z: Tensor, direction: Tensor) -> Tensor:
        size = vector_norms(im, z, direction.nan_to_num()[:, None])[:, 0]
        size = torch.where(torch.isfinite(direction).all(-1), size, torch.nan)
        return torch.where(size == 0, size, size / scale)

    direction, total = at(z)
    step = torch.ones_like(total)
    for _ in range(max_iterations):
        residual = residual_of(z, direction)
        active = (residual > tol) & (step > 0.5**HALVINGS)
        if not bool(active.any()):
            break
        moves = torch.where(active[:, None], step[:, None] * direction, 0)
        trial = exp_map(im, z, moves, tol=STEP_TOL[z.dtype])
        after, fallen = at(torch.where(trial.converged[:, None], trial.point, z))
        better = active & trial.converged & (fallen < total)
        z = torch.where(better[:, None], trial.point, z)
        direction, total = torch.where(better[:, None], after, direction), torch.where(better, fallen, total)
        step = torch.where(better | ~active, 1.0, step / 2)
    residual = residual_of(z, direction)
    return torch.where(residual.isnan()[:, None], torch.nan, z), residual
