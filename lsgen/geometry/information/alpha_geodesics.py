r"""Geodesics of alpha-connections: from an initial velocity, and between two members of an exponential family.

    z'' = -Gamma^(a)(z)(z', z') = -Gamma(z)(z', z') + a/2 g^-1 T(z', z', .)

e-geodesics (a = 1) of an exponential family are straight in natural coordinates, m-geodesics (a = -1) in mean
coordinates, with the parameter in which the equation above holds. The speed |z'|_g of neither is constant.

Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), sections 2.3 and 3.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.checks import check_vectors
from lsgen.geometry.geodesics.initial_value.runge_kutta import integrate
from lsgen.geometry.geodesics.initial_value.shooting import Exponential, on_manifold
from lsgen.geometry.hessian_metric import HessianMetric, check_family
from lsgen.geometry.information.connections import check_alpha, raised_connection
from lsgen.geometry.information.cubic import StatisticalManifold
from lsgen.geometry.information.dual_coordinates import natural_coordinates
from lsgen.latent import paths

__all__ = ["DualGeodesic", "alpha_exp_map", "e_geodesic", "m_geodesic"]


class DualGeodesic(NamedTuple):
    """Members (B, N, d) along a geodesic, in natural coordinates, and whether all of each were found (B,)."""

    points: Tensor
    converged: Tensor


def alpha_exp_map(
    manifold: StatisticalManifold,
    z: Tensor,
    v: Tensor,
    alpha: float,
    *,
    tol: float | None = None,
    max_steps: int = 1024,
) -> Exponential:
    r"""Return where the alpha-geodesic from z with initial velocity v is at time 1.

        z'' = -Gamma^(a)(z', z'),    z(0) = z,    z'(0) = v

    Args:
        manifold: the statistical manifold.
        z: codes (B, d).
        v: tangent vectors (B, d).
        alpha: see `alpha_connection`.
        tol: see `lsgen.geometry.exp_map`.
        max_steps: bound on the number of steps tried.

    Returns:
        Exponential(point (B, d), velocity (B, d), converged (B,)). Alpha-connections other than Levi-Civita's may be
        incomplete: a geodesic that leaves the manifold in less than time 1 has converged = False, alone.

    Raises:
        TypeError, ValueError: see `lsgen.geometry.exp_map` and `alpha_connection`.

    """
    check_alpha(alpha)
    codes = flat_codes(manifold.metric, z, {"v": v}, moves=True, smooth=True, curved=True)
    if max_steps < 1 or (tol is not None and not tol > 0):
        raise ValueError(f"expected positive tol and max_steps, got {tol} and {max_steps}")
    bound = tol if tol is not None else (1e-9 if z.dtype == torch.float64 else 1e-5)
    manifold.metric.check_definite(manifold.metric.gram(codes.z, wide=True), codes.z)
    # Steps that are tried may leave the manifold; what they find there is refused by its size.
    unchecked = replace(manifold, metric=replace(cast(Any, manifold.metric), definite=True))

    def acceleration(z: Tensor, v: Tensor) -> Tensor:
        return -torch.einsum("nkij,ni,nj->nk", raised_connection(unchecked, z, alpha), v, v)

    found = Exponential(*integrate(acceleration, codes.z, codes.vectors[0], bound, max_steps))
    return codes.restored(on_manifold(manifold.metric.manifold, found))


def e_geodesic(family: HessianMetric, start: Tensor, end: Tensor, points: int = 33) -> DualGeodesic:
    r"""Return the e-geodesic between members of an exponential family: straight in natural coordinates.

        theta(t) = (1 - t) theta_0 + t theta_1

    Args:
        family: the metric of the log partition function.
        start: natural coordinates (B, d).
        end: natural coordinates (B, d).
        points: number of points N >= 2, at equidistant times, both ends included.

    Returns:
        DualGeodesic(points (B, N, d), converged (B,), all True).

    Raises:
        TypeError: family is no `HessianMetric`.
        ValueError: shapes or dtypes differ, or N < 2.

    """
    _check_ends(family, start, end)
    line = paths.linear(start, end, points)
    return DualGeodesic(line, torch.ones(start.shape[:-1], dtype=torch.bool, device=start.device))


def m_geodesic(
    family: HessianMetric,
    start: Tensor,
    end: Tensor,
    points: int = 33,
    *,
    tol: float | None = None,
    max_iterations: int = 100,
) -> DualGeodesic:
    r"""Return the m-geodesic between members of an exponential family: straight in mean coordinates.

        eta(theta(t)) = (1 - t) eta(theta_0) + t eta(theta_1)

    Args:
        family: the metric of the log partition function.
        start: natural coordinates (B, d).
        end: natural coordinates (B, d).
        points: see `e_geodesic`.
        tol: see `natural_coordinates`.
        max_iterations: see `natural_coordinates`.

    Returns:
        DualGeodesic(points (B, N, d), converged (B,)), in natural coordinates.

    Raises:
        TypeError, ValueError: see `e_geodesic` and `natural_coordinates`.

    """
    _check_ends(family, start, end)
    line = paths.linear(start, end, points)
    means = paths.linear(family.dual(start), family.dual(end), points)
    found = natural_coordinates(family, means, line, tol=tol, max_iterations=max_iterations)
    theta = torch.cat([start.detach().unsqueeze(-2), found.theta[..., 1:-1, :], end.detach().unsqueeze(-2)], -2)
    return DualGeodesic(theta, found.converged.all(-1))


def _check_ends(family: HessianMetric, start: Tensor, end: Tensor) -> None:
    check_family(family)
    flat_codes(family, start)
    check_vectors("natural coordinates end", end, start)
