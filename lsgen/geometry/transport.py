r"""Following the connection: the exponential map, parallel transport along a curve, holonomy of a loop.

    geodesic     z'' = -Gamma(z)(z', z'),         exp_z(v) = z(1) for z(0) = z, z'(0) = v
    transport    w' = -Gamma(z)(z', w)

The exponential map takes classical Runge-Kutta steps, doubled until two step counts agree. Transport takes the implicit
midpoint rule on the segments of the given curve, second order in their length: with A^k_j = Gamma^k_ij dz^i at the
middle of a segment, (1 + A/2) w_{i+1} = (1 - A/2) w_i.

Reference: do Carmo, "Riemannian Geometry" (1992), chapters 2, 3; Hairer, Norsett & Wanner, "Solving Ordinary
Differential Equations I" (1993), chapter II.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes, check_vectors
from lsgen.geometry.curvature import christoffel, warn_of_kinks
from lsgen.geometry.field import MetricField
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.metric import inner
from lsgen.geometry.tensors import connection, inverse_metric

__all__ = ["Exponential", "exp_map", "holonomy", "parallel_transport"]


class Exponential(NamedTuple):
    """Where a geodesic arrives (B, d), with what velocity (B, d), and whether the steps converged (B,)."""

    point: Tensor
    velocity: Tensor
    converged: Tensor


def exp_map(
    im: Immersion | MetricField, z: Tensor, v: Tensor, *, tol: float | None = None, max_steps: int = 1024
) -> Exponential:
    r"""Return the exponential map: where the geodesic from z with initial velocity v is at time 1.

        exp_z(v) = z(1),    z'' = -Gamma(z', z'),    z(0) = z,    z'(0) = v

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: tangent vectors (B, d).
        tol: change of the point under doubling the steps that counts as converged, relative to 1 + |z|; 1e-8 in float64
            and 1e-4 in float32 where it is not given.
        max_steps: bound on the number of steps.

    Returns:
        Exponential(point (B, d), velocity (B, d), converged (B,)).

    Raises:
        TypeError, ValueError: see `metric`; also for vectors of another shape or dtype than the codes.

    """
    flat, vectors = check_codes(im.fn, im.dim, z), check_vectors("vectors v", v, z)
    warn_of_kinks(im, flat)
    bound = tol if tol is not None else (1e-8 if z.dtype == torch.float64 else 1e-4)
    steps = 8
    point, velocity = _shot(im, flat, vectors, steps)
    converged = torch.zeros(len(flat), dtype=torch.bool, device=z.device)
    while steps < max_steps and not bool(converged.all()):
        steps *= 2
        finer, velocity_ = _shot(im, flat, vectors, steps)
        change = (finer - point).norm(dim=-1) / (1 + finer.norm(dim=-1))
        point = torch.where(converged[:, None], point, finer)
        velocity = torch.where(converged[:, None], velocity, velocity_)
        converged = converged | (change <= bound)
    return Exponential(point.reshape(z.shape), velocity.reshape(z.shape), converged.reshape(z.shape[:-1]))


def parallel_transport(im: Immersion | MetricField, curve: Tensor, v: Tensor) -> Tensor:
    r"""Return tangent vectors carried along curves by the Levi-Civita connection.

        w' + Gamma(z', w) = 0,    w(0) = v

    Lengths and angles stay as they are, to second order in the length of a segment.

    Args:
        im: the immersion, or the metric itself.
        curve: curves (B, N, d).
        v: tangent vectors (B, d) at their first points.

    Returns:
        Tangent vectors (B, N, d) at all points.

    Raises:
        TypeError, ValueError: see `metric`; also for shapes other than those above, or fewer than 2 points.

    """
    curves = _checked(im, curve)
    vectors = check_vectors("vectors v", v, curve[..., 0, :])
    carried = [vectors]
    for step in _steps(im, curves).unbind(1):
        carried.append(torch.einsum("nij,nj->ni", step, carried[-1]))
    return torch.stack(carried, 1).reshape(curve.shape)


def holonomy(im: Immersion | MetricField, loop: Tensor) -> Tensor:
    r"""Return the linear map that transport around a loop makes of the tangent vectors at its first point.

    Around a small loop of a surface it is the rotation by the integral of the Gauss curvature inside.

    Args:
        im: the immersion, or the metric itself.
        loop: curves (B, N, d) whose last points are the first.

    Returns:
        Matrices (B, d, d).

    Raises:
        TypeError, ValueError: see `parallel_transport`; also where a curve is not closed.

    """
    curves = _checked(im, loop)
    if not bool((curves[:, 0] == curves[:, -1]).all()):
        raise ValueError("expected closed curves, got some whose last point is not the first")
    total = torch.eye(im.dim, dtype=loop.dtype, device=loop.device).expand(len(curves), -1, -1)
    for step in _steps(im, curves).unbind(1):
        total = step @ total
    return total.reshape(*loop.shape[:-2], im.dim, im.dim)


def _checked(im: Immersion | MetricField, curve: Tensor) -> Tensor:
    check_codes(im.fn, im.dim, curve)
    if curve.ndim < 2 or curve.shape[-2] < 2:
        raise ValueError(f"expected curves (B, N, {im.dim}) of at least 2 points, got {tuple(curve.shape)}")
    return curve.reshape(-1, *curve.shape[-2:])


def _steps(im: Immersion | MetricField, curves: Tensor) -> Tensor:
    """Return the transport over each segment of curves (B, N, d), of shape (B, N-1, d, d)."""
    middle, dz = (curves[:, 1:] + curves[:, :-1]) / 2, curves.diff(dim=1)
    half = torch.einsum("bnkij,bni->bnkj", christoffel(im, middle), dz) / 2
    eye = torch.eye(im.dim, dtype=curves.dtype, device=curves.device)
    return torch.linalg.solve(eye + half, eye - half)


def _acceleration(im: Immersion | MetricField, z: Tensor, v: Tensor) -> Tensor:
    """Return -Gamma(z)(v, v); of an immersion from d first derivatives and one second derivative."""
    if isinstance(im, MetricField):
        return -torch.einsum("nkij,ni,nj->nk", connection(im, z), v, v)
    j = im.expansion(z, 1).t.movedim(0, 1)
    x = im.expansion(z, 2, directions=v[None])
    if not x.curved:
        return torch.zeros_like(v)
    d = im.dim
    products = inner(im, torch.cat([j, x.t[1:].movedim(0, 1)], 1))
    inverse = inverse_metric(products[:, :d, :d].double(), z.dtype)
    return -torch.einsum("nij,nj->ni", inverse, products[:, :d, d].double()).to(z)


def _shot(im: Immersion | MetricField, z: Tensor, v: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return position and velocity at time 1 after so many classical Runge-Kutta steps."""
    h = 1 / steps
    for _ in range(steps):
        a1 = _acceleration(im, z, v)
        v2 = v + h / 2 * a1
        a2 = _acceleration(im, z + h / 2 * v, v2)
        v3 = v + h / 2 * a2
        a3 = _acceleration(im, z + h / 2 * v2, v3)
        v4 = v + h * a3
        a4 = _acceleration(im, z + h * v3, v4)
        z = z + h / 6 * (v + 2 * v2 + 2 * v3 + v4)
        v = v + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
    return z, v
