r"""Geodesics between codes that lie so close that rounding hides the chords between them.

With d = b - a, exact for close codes, the middle m, and c = Gamma(m)(d, d),

    z(t) = a + t d + t (1 - t) c / 2,    log_a(b) = d + c / 2,
    dist(a, b)^2 = (q_a + 4 q_m + q_b) / 6 - |c|_g^2 / 12,    q_z = d^T g(z) d,

up to terms of third order in d: derivatives take the place of differences, and nothing is subtracted but the codes.
By how much q varies and |c|_g / |d|_g, the angle that the segment turns by, tell how good that is. Where it is not good
enough the equations of the discrete energy are solved in float64, by chords, and where float64 hides these too (or the
map knows float32 alone) by the metric at their middles (`lsgen.geometry.geodesics.precision`). Codes of which rounding
hides the chords on finer grids alone are not close: three points would miss what lies between them.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 3; Sterbenz, "Floating-Point Computation" (1974), theorem
4.3.1, for b - a.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.factorisation import full_rank
from lsgen.geometry.geodesics.precision import more_exact_metrics
from lsgen.geometry.geodesics.rounding import HIDDEN
from lsgen.geometry.geodesics.solver import Solution, starts_hidden
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["CloseSeries", "Route", "close_series", "routes_of", "solve_hidden"]

NEAR, ALIKE, JUMP = 0.05, 0.01, 2.5
Solver = Callable[[RiemannianMetric, Tensor], Solution]


class Route(IntEnum):
    """The method by which a geodesic was found."""

    CHORDS, SERIES, DOUBLE, INTRINSIC = range(4)


class CloseSeries(NamedTuple):
    """The geodesics of pairs of close codes by their Taylor series.

    Attributes:
        bend: c (N, d).
        length: of the geodesic (N,).
        variation: the largest of by how much q varies, relative to it, of |c|_g / |d|_g, and of JUMP times the second
            difference of q, relative to it, which a kink between two of the three points leaves (N,).
        residual: tangential acceleration that the series leaves, in units of the length (N,).
        rounding: error of the length by rounding of g, relative to it (N,).
        full: whether the metric has full rank at a, m and b (N,).

    """

    bend: Tensor
    length: Tensor
    variation: Tensor
    residual: Tensor
    rounding: Tensor
    full: Tensor


def close_series(im: RiemannianMetric, a: Tensor, b: Tensor) -> CloseSeries:
    """Return geodesics between close codes (N, d) by their Taylor series, in float64."""
    step = b - a
    scale = step.abs().amax(-1, keepdim=True)
    u = step / torch.where(scale > 0, scale, 1)
    middle = a + step / 2
    g = im.gram(torch.cat([a, middle, b]), wide=True).unflatten(0, (3, -1))
    full = full_rank(g.flatten(0, 1), a.dtype, products=g.dtype).reshape(g.shape[:2]).all(0)
    bend = -im.acceleration(middle, u).double()
    scale, u = scale[:, 0].double(), u.double()
    q = torch.einsum("ni,knij,nj->kn", u, g, u)
    turned = torch.einsum("ni,nij,nj->n", bend, g[1], bend) * scale**2
    least = torch.where(q[1] > 0, q[1], 1)
    turn = (turned / least).sqrt()
    varied = ((q - q[1]).abs() / least).amax(0)
    square = (q[0] + 4 * q[1] + q[2]) / 6 - turned / 12
    size = (g[1].diagonal(dim1=-2, dim2=-1).sum(-1) * u.square().sum(-1) / least).sqrt()
    same = scale == 0
    return CloseSeries(
        bend * scale[:, None] ** 2,
        torch.where(same, 0, scale * torch.where(square > 0, square, 1).sqrt() * (square > 0)),
        torch.where(same, 0, torch.maximum(torch.maximum(varied, turn), JUMP * (q[0] - 2 * q[1] + q[2]).abs() / least)),
        torch.where(same, 0, turn * (turn + varied)),
        torch.where(same, 0, 4 * torch.finfo(a.dtype).eps * size),
        full | same,
    )


def solve_hidden(
    im: RiemannianMetric, initial: Tensor, found: Solution, tol: float, solve: Solver
) -> tuple[Solution, Tensor]:
    """Solve the curves that rounding hides by other routes, and return all solutions with the route of each.

    Solutions are in float64 if any curve was hidden.

    Args:
        im: the immersion or the metric.
        initial: curves (B, points, d) to start from.
        found: solutions (B, ...), some hidden.
        tol: bound on the residual of a converged curve.
        solve: returns the solutions for a metric and curves (N, points, d).

    """
    route = torch.full_like(found.iterations, Route.CHORDS)
    rows, dtype = found.hidden.nonzero().flatten(), found.points.dtype
    if not len(rows):
        return found, route
    found = Solution(*(x.double() if x.is_floating_point() else x for x in found))
    close, curves = starts_hidden(im, initial[rows]), initial[rows].double()
    series, deficient = _by_series(im, curves, dtype, tol)
    taken = close & (series.converged | deficient)
    found, route = _taken(found, route, rows, series, Route.SERIES, taken)
    left = ~taken
    for way, other in routes_of(im, dtype, curves[left][:, 0]):
        if way in (Route.CHORDS, Route.SERIES) or not bool(left.any()):
            continue
        news = solve(other, curves[left])
        sound = news.converged & _agrees(other, news)
        news = news._replace(converged=sound)
        found, route = _taken(found, route, rows[left], news, way, sound)
        left = left.index_put((left.nonzero().flatten(),), ~sound)
    return found, route


def routes_of(im: RiemannianMetric, dtype: torch.dtype, codes: Tensor) -> Iterator[tuple[Route, RiemannianMetric]]:
    """Yield every route for codes (N, d) of a dtype, with the metric that it uses."""
    yield Route.CHORDS, im
    yield Route.SERIES, im
    for other in more_exact_metrics(im, codes.to(dtype)):
        yield Route.DOUBLE if other.by_differences else Route.INTRINSIC, other


def _by_series(im: RiemannianMetric, curves: Tensor, dtype: torch.dtype, tol: float) -> tuple[Solution, Tensor]:
    """Return the curves (N, points, d) of the Taylor series, and where the metric is rank deficient."""
    a, b = curves[:, 0], curves[:, -1]
    near = close_series(im, a.to(dtype), b.to(dtype))
    t = torch.linspace(0, 1, curves.shape[1], dtype=curves.dtype, device=curves.device)[:, None]
    points = torch.lerp(a[:, None], b[:, None], t) + (t * (1 - t) / 2) * near.bend[:, None]
    points[:, 0], points[:, -1] = a, b
    good = near.full & (near.variation <= NEAR) & (near.rounding <= HIDDEN) & (near.residual <= tol)
    good = good & torch.isfinite(near.length) & torch.isfinite(points).flatten(1).all(-1)
    none = torch.zeros_like(good)
    residual = torch.where(near.full, near.residual, torch.inf)
    made = Solution(
        points, near.length, near.length**2, good, none, residual, near.residual, none.long(), none, near.rounding
    )
    return made, ~near.full


def _agrees(im: RiemannianMetric, found: Solution) -> Tensor:
    """Return for which curves the sum of chords agrees with the length by the metric at their middles."""
    n, d = found.points.shape[1:]
    middle, steps = (found.points[:, 1:] + found.points[:, :-1]) / 2, found.points.diff(dim=1)
    g = im.gram(middle.reshape(-1, d), wide=True).reshape(-1, n - 1, d, d)
    length = torch.einsum("bni,bnij,bnj->bn", steps, g, steps).clamp(min=0).sqrt().sum(-1)
    return (length - found.length).abs() <= ALIKE * found.length


def _taken(
    found: Solution, route: Tensor, rows: Tensor, news: Solution, way: Route, which: Tensor
) -> tuple[Solution, Tensor]:
    """Return solutions and routes with the given rows replaced by new ones."""
    at = rows[which]
    taken = Solution(*(old.index_copy(0, at, new[which].to(old)) for old, new in zip(found, news, strict=True)))
    return taken, route.index_fill(0, at, int(way))
