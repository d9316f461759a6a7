r"""Damped Newton steps with the exact Hessian of the discrete energy, for curves that quasi-Newton steps leave.

Between nearly antipodal codes of a sphere all curves that are turned about the axis have nearly one energy, and the
Hessian has a small eigenvalue, or a negative one, that no Gauss-Newton model shows. The steps here solve

    (H + mu M) step = F,    H the exact Hessian over 2n, M a positive definite model of it, F = -(1/2n) dE/dz,

by Levenberg and Marquardt: mu falls where the energy falls by as much as its quadratic model foretells, and rises where
it does not, or where the matrix is not positive definite. A curve 1e-5 from antipodes gains 1e-7 of its energy by a
step that turns it by a few degrees, so there are STEPS times as many steps as elsewhere. A curve is left if no step
lowers its energy, if PATIENCE steps in a row gain less than LITTLE of it and do not lower its least residual, or if its
residual exceeds LOST, as where a metric that is given at the middles of segments lets it run off a sphere. Where H is
M, as for piecewise linear maps, there is nothing to gain and no step is taken.

Reference: Nocedal & Wright, "Numerical Optimization" (2006), sections 4.1 and 10.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.geodesics.energy import raw_energy, residual
from lsgen.geometry.geodesics.rounding import admitted, rounding_of
from lsgen.geometry.geodesics.tridiagonal import product, solve
from lsgen.geometry.riemannian import Blocks, NewtonSystem, RiemannianMetric

__all__ = ["NEAR", "newton_curves"]

NEAR, LOST, PATIENCE, LITTLE, ALIKE, STEPS = 1.0, 5.0, 8, 1e-9, 1e-6, 4
SMALLEST, FIRST, LARGEST, TRIALS = 1e-8, 1e-5, 1e2, 20


def newton_curves(im: RiemannianMetric, curves: Tensor, max_iterations: int, tol: float) -> tuple[Tensor, Tensor]:
    """Return curves (B, N, d) after damped Newton steps, and which have reached a small residual.

    Args:
        im: the metric.
        curves: curves (B, N, d), whose ends are kept.
        max_iterations: bound on the number of steps, STEPS times as many.
        tol: bound on the residual, where rounding admits it.

    """
    n, device = curves.shape[1] - 1, curves.device
    there, curves = torch.zeros(len(curves), dtype=torch.bool, device=device), curves.clone()
    rows, before = torch.arange(len(curves), device=device), curves.new_full((len(curves),), torch.inf)
    least, stalls = before.clone(), torch.zeros_like(rows)
    mu = torch.zeros(len(curves), dtype=torch.float64, device=device)
    last = STEPS * max_iterations
    for k in range(last + 1):
        at = curves[rows]
        known = im.segment_data(at)
        energy, found = raw_energy(im, at, known), im.exact_system(at, known)
        now = residual(found, n, energy.clamp(min=0).sqrt())
        done = now <= admitted(rounding_of(im, at, known, energy, found), n, tol) / 4
        there[rows[done]] = True
        gained = (now < least[rows]) | (energy < (1 - LITTLE) * before[rows])
        stalls[rows] = torch.where(gained, 0, stalls[rows] + 1)
        least[rows], before[rows] = torch.minimum(now, least[rows]), energy
        going = ~done & (now <= LOST) & (stalls[rows] < PATIENCE)
        going = going & ~_alike(found) if k == 0 else going
        if k == last or not bool(going.any()):
            break
        rows = rows[going]
        curves[rows], mu[rows], moved = _stepped(im, at[going], energy[going], _rows(found, going), mu[rows])
        rows = rows[moved]
        if not len(rows):
            break
    return curves, there


def _stepped(
    im: RiemannianMetric, at: Tensor, energy: Tensor, found: NewtonSystem, mu: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return curves after one step that lowers their energy, the next mu (B,), and which moved."""
    n, force = at.shape[1] - 1, found.force.double()
    to, next_mu, moved = at, mu, torch.zeros_like(mu, dtype=torch.bool)
    for _ in range(TRIALS):
        shift = mu[:, None, None, None]
        raised = Blocks(*(h + shift * m for h, m in zip(found.hessian, found.safe, strict=True)))
        step, sound = solve(*raised, force)
        trial = at.clone()
        trial[:, 1:-1] += step.to(at)
        now = raw_energy(im, trial)
        foretold = n * ((force + mu[:, None, None] * product(*found.safe, step)) * step).sum((-2, -1))
        ratio = (energy - now).double() / foretold
        take = ~moved & sound & torch.isfinite(now) & (now <= energy) & (ratio > 1e-2)
        eased = torch.where(ratio > 0.5, torch.where(mu > SMALLEST, mu / 4, 0), torch.where(ratio < 0.1, 4 * mu, mu))
        to, next_mu = torch.where(take[:, None, None], trial, to), torch.where(take, eased, next_mu)
        moved = moved | take
        mu = torch.where(moved, mu, torch.where(mu > 0, 2.5 * mu, FIRST))
        if bool((moved | (mu > LARGEST)).all()):
            break
    return to, next_mu, moved


def _alike(found: NewtonSystem) -> Tensor:
    """Return for which curves (B,) the exact Hessian is the model."""
    size = found.safe.diagonal.abs().amax((1, 2, 3))
    return (found.hessian.diagonal - found.safe.diagonal).abs().amax((1, 2, 3)) <= ALIKE * size


def _rows(found: NewtonSystem, rows: Tensor) -> NewtonSystem:
    hessian, safe = (Blocks(*(x[rows] for x in blocks)) for blocks in (found.hessian, found.safe))
    return NewtonSystem(found.g[rows], hessian, safe, found.force[rows], found.full[rows])
