r"""The two coordinate systems of an exponential family, and its divergence.

A family p(x|theta) = exp(theta . t(x) - phi(theta)) has natural coordinates theta, in which the exponential connection
is flat, and mean coordinates eta = d phi(theta) = E[t(x)], in which the mixture connection is flat. The divergence that
belongs to both,

    B(a, b) = phi(a) - phi(b) - eta(b) . (a - b) = KL(p_b || p_a),

is Bregman's of phi. Where the e-geodesic from q to r meets the m-geodesic from p to q at a right angle,

    KL(p || r) = KL(p || q) + KL(q || r)    (the generalised Pythagorean theorem).

Natural coordinates minimise the convex function phi(theta) - eta . theta. Newton's steps s = g^-1 (eta - d phi) are
divided by 1 + |s|_g, and halved until the function (its slope, where rounding hides that) decreases in the domain of
phi. Between close members, where the difference of three large numbers rounds,

    B(a, b) = int_0^1 (1 - t) |a - b|^2_g(b + t (a - b)) dt

by Gauss-Legendre quadrature.

Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), sections 3.3 to 3.5; Barndorff-Nielsen,
"Information and Exponential Families" (1978), chapter 9; Banerjee et al., "Clustering with Bregman divergences" (2005).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.checks import check_vectors
from lsgen.geometry.factorisation import full_rank, inverse_metric, norm
from lsgen.geometry.hessian_metric import HessianMetric, check_family

__all__ = ["NaturalCoordinates", "bregman_divergence", "natural_coordinates"]

ARMIJO, ROUNDING, HALVINGS = 1e-4, 1e4, 40
NEAR, NODES = 0.1, 6


class NaturalCoordinates(NamedTuple):
    """Natural coordinates (B, d), and whether Newton's iteration found each (B,)."""

    theta: Tensor
    converged: Tensor


def natural_coordinates(
    family: HessianMetric, eta: Tensor, initial: Tensor, *, tol: float | None = None, max_iterations: int = 100
) -> NaturalCoordinates:
    r"""Return the natural coordinates of members with given mean coordinates: the inverse of `HessianMetric.dual`.

        d phi(theta) = eta

    Args:
        family: the metric of the log partition function.
        eta: mean coordinates (B, d).
        initial: natural coordinates (B, d) to start from, in the domain of phi.
        tol: bound on the Fisher-Rao length of Newton's last step, in nats^(1/2); 1e-9 in float64 and 1e-4 in float32
            where it is not given.
        max_iterations: bound on the number of Newton steps.

    Returns:
        NaturalCoordinates(theta (B, d), converged (B,)). Mean coordinates that no member has, or whose metric is rank
        deficient, have converged = False, alone.

    Raises:
        TypeError: family is no `HessianMetric`.
        ValueError: shapes or dtypes differ, or a number is not positive or not finite.

    """
    check_family(family)
    codes = flat_codes(family, initial)
    target = check_vectors("mean coordinates eta", eta, initial)
    if max_iterations < 1 or (tol is not None and not tol > 0):
        raise ValueError(f"expected positive tol and max_iterations, got {tol} and {max_iterations}")
    bound = tol if tol is not None else (1e-9 if initial.dtype == torch.float64 else 1e-4)
    with torch.no_grad():
        found = _newton(family, target, codes.z.clone(), bound, max_iterations) if len(target) else None
    theta = codes.z.clone() if found is None else found.theta
    return codes.restored(found or NaturalCoordinates(theta, theta[:, 0] > 0))


def bregman_divergence(family: HessianMetric, a: Tensor, b: Tensor) -> Tensor:
    r"""Return the Bregman divergence of the log partition function, the Kullback-Leibler divergence of b from a.

        B(a, b) = phi(a) - phi(b) - d phi(b) . (a - b) = KL(p_b || p_a)

    Differentiable in both and in the parameters of phi.

    Args:
        family: the metric of the log partition function.
        a: natural coordinates (B, d).
        b: natural coordinates (B, d).

    Returns:
        A tensor (B,), in nats; NaN outside of the domain of phi.

    Raises:
        TypeError: family is no `HessianMetric`.
        ValueError: shapes or dtypes differ, or see `lsgen.geometry.metric`.

    """
    check_family(family)
    codes = flat_codes(family, b)
    end, start = check_vectors("natural coordinates a", a, b), codes.z
    step = end - start
    ends = [norm(family.gram(z.detach(), wide=True), step.detach().double()) for z in (start, end)]
    phi = family.potential(torch.cat([end, start])).reshape(2, -1)
    far = phi[0] - phi[1] - (family.local(start) * step).sum(-1)
    # Members far apart have short steps too where the metric fades, as at probabilities near 0 and 1.
    near = (torch.stack(ends) < NEAR).all(0) & (far.detach().abs() < NEAR**2)
    x, w = np.polynomial.legendre.leggauss(NODES)
    times, weights = ((x + 1) / 2).tolist(), (w / 2 * (1 - x) / 2).tolist()
    parts = [q * _square(family.gram(start + t * step, wide=False), step) for t, q in zip(times, weights, strict=True)]
    close = torch.stack(parts).sum(0)
    return codes.restored(torch.where(near, close, far))


def _square(g: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("ni,nij,nj->n", v, g, v)


def _newton(family: HessianMetric, eta: Tensor, theta: Tensor, tol: float, max_iterations: int) -> NaturalCoordinates:
    """Iterate until each step is shorter than tol, which is still taken, or cannot be taken."""
    converged = torch.zeros_like(theta[:, 0], dtype=torch.bool)
    going = ~converged
    for _ in range(max_iterations):
        inverse = inverse_metric(family.gram(theta, wide=True), theta.dtype)
        excess = (eta - family.local(theta)).double()
        step = torch.einsum("nij,nj->ni", inverse, excess)
        size = (excess * step).sum(-1).clamp(min=0).sqrt()
        converged = converged | (going & (size <= tol))
        going = going & torch.isfinite(size)
        damped = torch.where(going[:, None], step / (1 + size[:, None]), 0).to(theta)
        moved, taken = _shortened(family, eta, theta, damped)
        theta = torch.where((going & taken)[:, None], moved, theta)
        going = going & taken & ~converged
        if not bool(going.any()):
            break
    return NaturalCoordinates(theta, converged)


def _shortened(family: HessianMetric, eta: Tensor, theta: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Return the end of each step, halved until the function decreases in the domain, and whether it did (N,)."""

    def slope(theta: Tensor) -> Tensor:
        return ((family.local(theta) - eta) * step).sum(-1)

    phi, first = family.potential(theta).reshape(-1), slope(theta)
    hidden = first.abs() < ROUNDING * torch.finfo(theta.dtype).eps * (phi.abs() + (eta * theta).sum(-1).abs())
    share, taken, end = torch.ones_like(first), torch.zeros_like(first, dtype=torch.bool), theta
    for _ in range(HALVINGS):
        trial = theta + share[:, None] * step
        change = family.potential(trial).reshape(-1) - phi - share * (eta * step).sum(-1)
        good = torch.where(hidden, slope(trial).abs() <= first.abs(), change <= ARMIJO * share * first)
        good = good & full_rank(family.gram(trial, wide=True), theta.dtype)
        end, taken = torch.where((good & ~taken)[:, None], trial, end), taken | good
        if bool(taken.all()):
            break
        share = torch.where(taken, share, share / 2)
    return end, taken
