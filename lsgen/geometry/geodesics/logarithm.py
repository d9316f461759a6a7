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

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.compat import outside_transforms
from lsgen.geometry.factorisation import inverse_metric, norm
from lsgen.geometry.geodesics.arc_length import raw_length
from lsgen.geometry.geodesics.boundary_value import flat_solution, solve_geodesics
from lsgen.geometry.geodesics.close_codes import Route, close_series
from lsgen.geometry.geodesics.implicit import (
    FoundCurves,
    SolvedPart,
    differentiable_curves,
    is_followed,
    plain_curves,
    values_of,
)
from lsgen.geometry.geodesics.relaxation import curves_at_once, relaxed
from lsgen.geometry.geodesics.search import Search
from lsgen.geometry.jets import unchanged
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["log_map", "logarithms"]

APART = 0.25


def log_map(im: RiemannianMetric, start: Tensor, end: Tensor, points: int = 33, **options: Any) -> Tensor:
    r"""Return the logarithmic map: the initial velocity of the geodesic that reaches the end at time 1.

        exp_a(log_a(b)) = b,    |log_a(b)|_g = dist(a, b)

    Fourth order in 1/n for n segments, up to what `tol` leaves of the residual. Where the geodesic of half as many
    segments does not converge, or starts with a velocity that differs by more than 25 %, the grid does not resolve the
    start, and the direction is that of n segments alone, of second order. Differentiable in both codes and in the
    weights, once, by the implicit function theorem (`lsgen.geometry.geodesics.implicit`).

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
    return logarithms(im, start, end, points, **options)[0]


def logarithms(
    im: RiemannianMetric, start: Tensor, end: Tensor, points: int, **options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logarithms (B, d) as `log_map` does, the distances (B,), and the curves (B, N, d) they belong to.

    Args:
        im: the metric.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points on each curve.
        options: see `Search`. Of discrete geodesics the distance is the root of the energy E, whose gradient by the
            start is exactly -2g times the logarithm.

    """
    search = Search(**options)
    found, route = solve_geodesics(im, start, end, points, search)
    flat, a, b = flat_solution(found, route), start.reshape(-1, im.dim), end.reshape(-1, im.dim)
    if search.discrete:
        flat = flat._replace(length=flat.energy.clamp(min=0).sqrt())
    followed = is_followed(im, a, b)
    with torch.set_grad_enabled(followed and torch.is_grad_enabled()):
        v = torch.full_like(a, torch.nan)
        for part in _curves(im, flat, a, b, search, followed):
            rows = part.rows
            if part.route is Route.SERIES:
                news = _by_series(part.im, a[rows], b[rows])
            else:
                length = flat.length[rows].to(part.curves)
                if followed:
                    fine = raw_length(part.im, part.curves)
                    length = length + (fine - fine.detach())
                curves = part.curves[:, :: part.every]
                residual = flat.residual[rows].to(curves)
                news = _by_momentum(part.im, curves, length, residual, search)
            v = v.index_copy(0, rows, news.to(v))
        v = im.manifold.tangent(start.reshape(-1, im.dim), v)
    length = torch.where(flat.solved, flat.length, torch.nan).to(start.dtype)
    return v.reshape(start.shape), length.reshape(start.shape[:-1]), found.points.to(start.dtype)


def _curves(
    im: RiemannianMetric, flat: FoundCurves, a: Tensor, b: Tensor, search: Search, followed: bool
) -> Iterator[SolvedPart]:
    """Yield the solved geodesics, with derivatives if they are followed."""
    if not followed:
        return plain_curves(im, flat, a)
    return differentiable_curves(im, flat, a, b, search)


def _by_series(im: RiemannianMetric, a: Tensor, b: Tensor) -> Tensor:
    """Return the velocities d + c/2 (B, d), of the length of the series."""
    step, near = (b - a).double(), close_series(im, a, b)
    scale = step.detach().abs().amax(-1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    v = _of_length(im.gram(a, wide=True), (step + near.bend / 2) / scale, near.length / scale[:, 0])
    return (v * scale).to(a)


def _by_momentum(im: RiemannianMetric, curves: Tensor, length: Tensor, residual: Tensor, search: Search) -> Tensor:
    """Return the initial velocities (B, d) of geodesics (B, N, d) of given lengths from their discrete momenta.

    They are extrapolated where coarser curves are sound, unless discrete geodesics are enough.
    """
    g = im.gram(curves[:, 0], wide=False)
    inverse = inverse_metric(g.double(), g.dtype).to(g)
    v = _velocity(im, inverse, curves)
    if search.discrete:
        return v
    coarse, sound = _coarser(im, curves, residual, search)
    u = _velocity(im, inverse, coarse)
    near = sound & (norm(g, v - u) <= APART * norm(g, v))
    n, k = curves.shape[1] - 1, coarse.shape[1] - 1
    v = torch.where(near[:, None], (n**2 * v - k**2 * u) / (n**2 - k**2), v)
    return _of_length(g, v, length)


def _of_length(g: Tensor, v: Tensor, length: Tensor) -> Tensor:
    """Return vectors (B, d) scaled to lengths (B,); vectors 0 as they are."""
    square = torch.einsum("ni,nij,nj->n", v, g, v)
    some = square > 0
    return v * torch.where(some, length / torch.where(some, square, 1).sqrt(), 1)[:, None]


def _coarser(im: RiemannianMetric, curves: Tensor, residual: Tensor, search: Search) -> tuple[Tensor, Tensor]:
    """Return geodesics of half as many segments between the same ends, and which of them solve their equation (B,).

    They start from every second point, where they hardly move. One that does not relax from there is not sound, since
    another geodesic would not tell the error of the first.
    """
    n = curves.shape[1] - 1
    at = torch.linspace(0, n, n // 2 + 1, dtype=curves.dtype, device=curves.device)
    before = at.long().clamp(max=n - 1)
    initial = torch.lerp(curves[:, before], curves[:, before + 1], (at - before)[:, None])
    if n < 4:
        return initial, torch.ones_like(curves[:, 0, 0], dtype=torch.bool)
    (plain,) = values_of(im, initial)
    with outside_transforms(plain), torch.no_grad(), unchanged():
        found = relaxed(im, plain, curves_at_once(im, plain, search), search.max_iterations, search.tol)
    sound = found.residual <= residual.clamp(min=search.tol)
    a, b = curves[:, 0], curves[:, -1]
    flat = FoundCurves(
        found.points, found.length, found.energy, found.residual, sound, torch.zeros_like(found.iterations)
    )
    points = im.manifold.retraction(found.points)
    for part in _curves(im, flat, a, b, search, is_followed(im, a, b)):
        points = points.index_copy(0, part.rows, part.curves)
    return points, sound


def _velocity(im: RiemannianMetric, inverse: Tensor, curves: Tensor) -> Tensor:
    """Return the velocity (B, d) whose momentum is that of the first segment of curves (B, N, d)."""
    momentum = im.discrete_legendre(curves[:, 0], curves[:, 1])[0]
    return (curves.shape[1] - 1) * torch.einsum("nij,nj->ni", inverse, momentum)
