r"""The logarithmic map, the initial velocity of the geodesic that reaches a code at time 1.

The discrete energy of n segments is an action whose Euler-Lagrange equations step the geodesic flow symmetrically
(`lsgen.geometry.geodesics.energy`), so its momentum at the start, which gives a velocity

    v_n = g^-1 n p_0(z_0, z_1) = log_a(b) + c_2 / n^2 + c_4 / n^4 + ...,

errs by even powers of 1/n alone. A second geodesic of k = n // 2 segments, which starts from points of the first, takes
the leading one away,

    (n^2 v_n - k^2 v_k) / (n^2 - k^2) = log_a(b) + O(n^-4) .

Its length is made that of the geodesic, which is fourth order too. Of codes so close that rounding hides the chords it
is b - a + Gamma(b - a, b - a) / 2 (`lsgen.geometry.geodesics.close_codes`).

Reference: Marsden & West, "Discrete mechanics and variational integrators" (2001), section 1.5; Hairer, Lubich &
Wanner, "Geometric Numerical Integration" (2006), section IX.2, for even powers of symmetric methods; Richardson, "The
deferred approach to the limit" (1927).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.factorisation import inverse_metric, norm
from lsgen.geometry.geodesics.boundary_value import Geodesic, geodesic, solve_geodesics
from lsgen.geometry.geodesics.close_codes import Route, close_series, routes_of
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["log_map"]

APART = 0.25


def log_map(im: RiemannianMetric, start: Tensor, end: Tensor, points: int = 33, **options: Any) -> Tensor:
    r"""Return the logarithmic map: the initial velocity of the geodesic that reaches the end at time 1.

        exp_a(log_a(b)) = b,    |log_a(b)|_g = dist(a, b)

    Fourth order in 1/n for n segments, up to what `tol` leaves of the residual. Where the geodesic of half as many
    segments does not converge, or starts with a velocity that differs by more than 25 %, the grid does not resolve the
    start, and the direction is that of n segments alone, of second order. The result is a constant to automatic
    differentiation; `distance` has gradients.

    Args:
        im: the immersion, or the metric itself.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points on each curve.
        options: see `geodesic`.

    Returns:
        Tangent vectors (B, d) at the start; NaN for a pair whose geodesic did not converge.

    Raises:
        TypeError, ValueError: see `geodesic`.

    """
    found, route = solve_geodesics(im, start, end, points, **options)
    a, b = start.detach().reshape(-1, im.dim), end.detach().reshape(-1, im.dim)
    if not len(a):
        return torch.zeros_like(start)
    v, length = torch.zeros_like(a), found.length.reshape(-1)
    with torch.no_grad():
        for way, measure in routes_of(im, a.dtype, a[:1]) if bool(route.any()) else [(Route.CHORDS, im)]:
            rows = (route == way).nonzero().flatten()
            if way is Route.SERIES and len(rows):
                v[rows] = _by_series(measure, a[rows], b[rows], length[rows])
            elif len(rows):
                kind = a.dtype if way is Route.CHORDS else length.dtype
                part = Geodesic(*(_row(x, rows, kind, start.ndim - 1) for x in found))
                v[rows] = _by_momentum(measure, part, options).to(v)
    return torch.where(found.converged.reshape(-1, 1), v, torch.nan).reshape(start.shape)


def _row(x: Any, rows: Tensor, kind: torch.dtype, batch: int) -> Any:
    """Return rows of a tensor with a number of batch dimensions, in a dtype."""
    if not isinstance(x, Tensor):
        return x
    x = x.reshape(-1, *x.shape[batch:])[rows]
    return x.to(kind) if x.is_floating_point() else x


def _by_series(im: RiemannianMetric, a: Tensor, b: Tensor, length: Tensor) -> Tensor:
    """Return the velocities d + c/2 (B, d), of the given lengths."""
    step, near = (b - a).double(), close_series(im, a, b)
    scale = step.abs().amax(-1, keepdim=True)
    v = (step + near.bend / 2) / torch.where(scale > 0, scale, 1)
    size = norm(im.gram(a, wide=True), v)
    return (v * (length.double() / torch.where(size > 0, size, 1))[:, None]).to(a)


def _by_momentum(im: RiemannianMetric, found: Geodesic, options: dict[str, Any]) -> Tensor:
    """Return the initial velocities (B, d) of geodesics from their discrete momenta."""
    coarse, sound = _coarser(im, found, found.points, options)
    return _extrapolated(im, found.points[:, 0], found.points, coarse, sound, found.length)


def _extrapolated(
    im: RiemannianMetric, z: Tensor, curves: Tensor, coarse: Tensor, sound: Tensor, length: Tensor
) -> Tensor:
    """Return the velocities (B, d) of the given lengths, extrapolated where the coarse curves are sound."""
    g = im.gram(z, wide=False)
    inverse = inverse_metric(g.double(), g.dtype).to(g)
    v, u = (_velocity(im, inverse, x) for x in (curves, coarse))
    near = sound & (norm(g, v - u) <= APART * norm(g, v))
    n, k = curves.shape[1] - 1, coarse.shape[1] - 1
    v = torch.where(near[:, None], (n**2 * v - k**2 * u) / (n**2 - k**2), v)
    size = norm(g, v)
    return v * (length / torch.where(size > 0, size, torch.ones_like(size)))[:, None]


def _coarser(im: RiemannianMetric, found: Geodesic, curves: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return geodesics of half as many segments between the same ends, and which of them solve their equation (B,)."""
    n = curves.shape[1] - 1
    at = torch.linspace(0, n, n // 2 + 1, dtype=curves.dtype, device=curves.device)
    before = at.long().clamp(max=n - 1)
    initial = torch.lerp(curves[:, before], curves[:, before + 1], (at - before)[:, None])
    if n < 4:
        return initial, torch.ones_like(curves[:, 0, 0], dtype=torch.bool)
    solver = {key: options[key] for key in ("max_iterations", "tol", "chunk_size") if key in options}
    coarse = geodesic(im, curves[:, 0], curves[:, -1], n // 2 + 1, initial=initial, refinements=0, **solver)
    bound = found.residual.reshape(-1).clamp(min=options.get("tol", 0.0))
    return coarse.points, coarse.converged | (coarse.residual <= bound)


def _velocity(im: RiemannianMetric, inverse: Tensor, curves: Tensor) -> Tensor:
    """Return the velocity (B, d) whose momentum is that of the first segment of curves (B, N, d)."""
    momentum = im.discrete_legendre(curves[:, 0], curves[:, 1])[0]
    return (curves.shape[1] - 1) * torch.einsum("nij,nj->ni", inverse, momentum)
