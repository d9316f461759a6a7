r"""Variational integration of geodesics: the Euler-Lagrange equations of the discrete energy, stepped forward.

    p_0(z_i, z_{i+1}) = p_i (solved for z_{i+1}),    p_{i+1} = p_1(z_i, z_{i+1})

A symmetric method of order 2, which three steps of h gamma, h (1 - 2 gamma), h gamma, gamma = 1 / (2 - 2^{1/3}), raise
to order 4. It keeps the symplectic form, and the momentum of every symmetry of f, to rounding; the speed has no drift
over long times. It takes no second derivatives of an immersion.

Reference: Marsden & West, "Discrete mechanics and variational integrators" (2001), section 1.5; Yoshida, "Construction
of higher order symplectic integrators" (1990).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.factorisation import inverse_metric
from lsgen.geometry.geodesics.energy import raw_energy
from lsgen.geometry.geodesics.rounding import HIDDEN, rounding_of
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["hidden_steps", "symplectic_steps", "variational_step"]

GAMMA = 1 / (2 - 2 ** (1 / 3))
SOLVES, DRIFT = 20, 0.02


def symplectic_steps(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return where geodesics are at time 1, their velocity there, and whether all steps were solved and kept the speed.

    Args:
        im: the metric.
        z: codes (N, d).
        v: initial velocities (N, d).
        steps: number of steps of order 4.

    """
    p = torch.einsum("nij,nj->ni", im.gram(z, wide=False), v)
    at_first = torch.einsum("ni,ni->n", p, v)
    sound = torch.isfinite(at_first)
    for _ in range(steps):
        for part in (GAMMA, 1 - 2 * GAMMA, GAMMA):
            z, p, solved = variational_step(im, z, p, v, part / steps)
            sound = sound & solved
            v = torch.einsum("nij,nj->ni", inverse_metric(im.gram(z, wide=True), z.dtype).to(z), p)
            sound = sound & ((torch.einsum("ni,ni->n", p, v) - at_first).abs() <= DRIFT * at_first)
    return z, v, sound


def hidden_steps(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> Tensor:
    """Return for which codes (N, d) and velocities (N, d) rounding hides the symplectic steps."""
    curves = torch.stack([z, z + v / steps], 1)
    known = im.segment_data(curves)
    rounding = rounding_of(im, curves, known, raw_energy(im, curves, known))
    return ((rounding > HIDDEN) | (curves[:, 0] == curves[:, 1]).all(-1)) & (v != 0).any(-1)


def variational_step(
    im: RiemannianMetric, z: Tensor, p: Tensor, v: Tensor, h: float, tol: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return position and momentum after one step of order 2, and whether its equation was solved.

    Newton's method starts at z + h v and stops for good where a correction is not smaller than the one before. Position
    and momentum stay where the equation was not solved.

    Args:
        im: the metric.
        z: codes (N, d).
        p: momenta g v (N, d).
        v: velocities (N, d).
        h: time of the step.
        tol: the last correction that is admitted, relative to |h v|; rounding where it is less than that.

    """
    eps, step = torch.finfo(z.dtype).eps, abs(h) * v.norm(dim=-1)
    rounding = 8 * eps * (1 + z.norm(dim=-1) + step)
    enough = torch.maximum(rounding, tol * step)
    after, last = z + h * v, torch.full_like(step, torch.inf)
    going = torch.isfinite(after).all(-1)
    for _ in range(SOLVES):
        ours, _, cross = im.discrete_legendre(z, torch.where(going[:, None], after, z))
        change, info = torch.linalg.solve_ex(cross, (h * p - ours)[..., None])
        size = change[..., 0].norm(dim=-1)
        going = going & (info == 0) & torch.isfinite(size)
        better = going & (size < last)
        after = torch.where(better[:, None], after + change[..., 0], after)
        last = torch.where(better, size, last)
        if bool((~better | (last <= enough)).all()):
            break
    solved = going & (last <= torch.maximum(1e3 * rounding, tol * step))
    after = torch.where(solved[:, None], after, z)
    return after, torch.where(solved[:, None], im.discrete_legendre(z, after)[1] / h, p), solved
