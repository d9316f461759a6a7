r"""GEORCE, a peer of geodesics for the benchmark, from the formulas of its paper.

Of curves x_0 = a, x_{t+1} = x_t + u_t, x_T = b it minimises E = sum_t u_t^T G(x_t) u_t as a problem of control. With
nu_t the derivative of u_t^T G(x) u_t by x at x_t, the stationary steps for fixed G and nu are

    u_t = -(1/2) G_t^-1 (mu + sum_{j > t} nu_j),
    mu  = (sum_t G_t^-1)^-1 ( 2 (a - b) - sum_t G_t^-1 sum_{j > t} nu_j ),

and the curve moves towards theirs by the first of 1, 1/2, 1/4, ... that lowers E. It stops where |dE| is below a
tolerance, relative to E, or nothing lowers E.

Reference: Rygaard & Hauberg, "GEORCE: A fast new control algorithm for computing geodesics" (2025),
https://arxiv.org/abs/2505.05961, algorithm 1.
"""

from __future__ import annotations

from time import process_time
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jvp, vjp

from lsgen.geometry import Immersion

HALVINGS = 12


class Found(NamedTuple):
    """Curves (B, T + 1, d), their energies E (B,), and the number of iterations."""

    points: Tensor
    energy: Tensor
    iterations: int


def georce(im: Immersion, a: Tensor, b: Tensor, points: int, tol: float, most: int, seconds: float) -> Found:
    """Return geodesics between codes (B, d).

    Args:
        im: the immersion.
        a, b: ends (B, d).
        points: number of points T + 1.
        tol: bound on the decrease of E in an iteration, relative to E.
        most: bound on the number of iterations.
        seconds: bound on the CPU time.

    """
    share = torch.linspace(0, 1, points, dtype=a.dtype)[:, None]
    x, start = a[:, None] + share * (b - a)[:, None], process_time()
    energy = left_energy(im, x)
    count = 0
    while count < most:
        count += 1
        u = x.diff(dim=1)
        g, nu = metric_and_slope(im, x[:, :-1], u)
        after = nu.flip(1).cumsum(1).flip(1) - nu  # sum_{j > t} nu_j
        inverse = torch.linalg.inv(g)
        push = (inverse @ after[..., None])[..., 0].sum(1)
        mu = torch.linalg.solve(inverse.sum(1), 2 * (a - b) - push)
        step = -(inverse @ (mu[:, None] + after)[..., None])[..., 0] / 2
        aim = torch.cat([a[:, None], a[:, None] + step.cumsum(1)], 1)
        alpha, new, best = torch.ones_like(energy), x, energy
        for _ in range(HALVINGS):
            trial = x + alpha[:, None, None] * (aim - x)
            value = left_energy(im, trial)
            lower = value < best
            new, best = torch.where(lower[:, None, None], trial, new), torch.where(lower, value, best)
            alpha = torch.where(best < energy, 0, alpha / 2)
            if not bool((alpha > 0).any()):
                break
        done = bool((energy - best <= tol * energy).all())
        x, energy = new, best
        if done or process_time() - start > seconds:
            break
    return Found(x, energy, count)


def left_energy(im: Immersion, x: Tensor) -> Tensor:
    """Return sum_t u_t^T G(x_t) u_t of curves (B, T + 1, d)."""
    u = x.diff(dim=1)
    tangent = jvp(im.fn, (x[:, :-1].flatten(0, 1),), (u.flatten(0, 1),))[1]
    return tangent.flatten(1).square().sum(-1).unflatten(0, u.shape[:2]).sum(-1)


def metric_and_slope(im: Immersion, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return G (B, T, d, d) and nu (B, T, d) at points and steps (B, T, d)."""
    z, v = x.flatten(0, 1), u.flatten(0, 1)

    def squared(z: Tensor) -> Tensor:
        return jvp(im.fn, (z,), (v,))[1].flatten(1).square().sum(-1)

    value, pull = vjp(squared, z)
    nu = pull(torch.ones_like(value))[0]
    g = im.gram(z, wide=False)
    return g.unflatten(0, u.shape[:2]), nu.unflatten(0, u.shape[:2])
