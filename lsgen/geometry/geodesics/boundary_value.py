r"""Geodesics between codes, as a batch of boundary value problems.

    minimise E = n sum_i |f(z_{i+1}) - f(z_i)|^2    over the interior points of a curve with given ends

by Newton and quasi-Newton steps (`lsgen.geometry.geodesics.energy`, `lsgen.geometry.geodesics.solver`), of an immersion
or of a metric given directly.

A curve has converged if the tangential acceleration max_i n^2 |g^-1 F_i|_g / L is small, the length on the grid with
midpoints added agrees within 0.3 %, and the speed varies by no more than 2 %. If only one of the last two fails the
grid is too coarse: chords are shorter than what they span, and a polygon of few leaps where the image bends most. Such
a curve is solved again with twice as many segments, and again; its points are then every second or fourth of those,
its other numbers those of the finer grid.
The length is fourth order in 1/n (`lsgen.geometry.geodesics.arc_length`); the points and the
energy are second order. What is tried with a curve that has not converged is told in
`lsgen.geometry.geodesics.relaxation`. Between codes so close, or so far out, that rounding hides the chords the
geodesic is found from derivatives or in float64 (`lsgen.geometry.geodesics.close_codes`).

A local minimum bounds the distance from above. With several starts the best is kept, and what the starts disagree by is
reported, as is |d(a, b) - d(b, a)|, each from starts of its own.

Reference: Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379, for the energy of latent curves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import FlatCodes, flat_codes
from lsgen.geometry.checks import check_codes
from lsgen.geometry.compat import outside_transforms
from lsgen.geometry.dtypes import dtype_name
from lsgen.geometry.geodesics.close_codes import Route, solve_hidden
from lsgen.geometry.geodesics.distance_bounds import lower_bounds
from lsgen.geometry.geodesics.implicit import (
    FoundCurves,
    differentiable_lengths,
    differentiable_solution,
    is_followed,
    values_of,
)
from lsgen.geometry.geodesics.precision import in_dtype
from lsgen.geometry.geodesics.relaxation import curves_at_once, solved_curves
from lsgen.geometry.geodesics.rounding import HIDDEN
from lsgen.geometry.geodesics.search import Search
from lsgen.geometry.geodesics.solver import Solution
from lsgen.geometry.geodesics.starts import CodeGraph, manifold_paths, starting_curves
from lsgen.geometry.jets import unchanged
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import Euclidean

__all__ = ["Geodesic", "distance", "flat_ends", "geodesic", "solve_geodesics"]


class Geodesic(NamedTuple):
    """The shortest curves found, with diagnostics of their convergence.

    Attributes:
        points: curves (B, N, d), ends included.
        length: length (B,), fourth order in 1/n; an upper bound of the distance up to that error.
        lower_bound: lower bound of the distance (B,), up to rounding; NaN where none is known
            (`RiemannianMetric.lower_bound`), or rounding hides it. The geodesic is the shortest for certain where it
            equals the length; elsewhere the distance lies between the two.
        energy: discrete energy (B,).
        converged: whether each solves the geodesic equation (B,).
        residual: tangential acceleration in units of the length (B,); inf where the metric is rank deficient.
        speed_variation: standard deviation of the speed over its mean (B,); no more than 0.02 of a converged curve.
        asymmetry: |d(a, b) - d(b, a)| (B,), each the best of its own starts; NaN with one start.
        spread: longest less shortest of the converged solutions (B,); NaN with one start.
        rounding: error that rounding leaves of a segment, relative to it (B,); above 0.002 it is the reason why a curve
            did not converge.
        iterations: steps of the slowest curve.

    """

    points: Tensor
    length: Tensor
    lower_bound: Tensor
    energy: Tensor
    converged: Tensor
    residual: Tensor
    speed_variation: Tensor
    asymmetry: Tensor
    spread: Tensor
    rounding: Tensor
    iterations: int


def geodesic(
    im: RiemannianMetric,
    start: Tensor,
    end: Tensor,
    points: int = 33,
    *,
    initial: Tensor | None = None,
    starts: int = 1,
    graph: CodeGraph | None = None,
    max_iterations: int = 100,
    tol: float = 1e-4,
    refinements: int = 3,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Geodesic:
    r"""Return a geodesic between each pair of codes, by quasi-Newton steps on the discrete energy.

        minimise n sum_i |f(z_{i+1}) - f(z_i)|^2    over the interior points

    Points, length and energy are differentiable in both ends and in the weights, once, by the implicit function theorem
    (`lsgen.geometry.geodesics.implicit`). Derivatives of a curve that did not converge are NaN.

    Args:
        im: the immersion, or the metric itself.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N >= 3 on each curve, ends included.
        initial: curves (B, N, d) to start from, whose ends are replaced; else the shortest paths in the graph; else
            straight segments.
        starts: number k of starts of each pair. With k >= 2 the problem is solved from k starts in each direction,
            which are different ones: those given or of the graph, straight segments, and curves relaxed on coarse grids
            first, from straight segments and from segments bent at random (`lsgen.geometry.geodesics.starts`).
        graph: nearest neighbours among codes (`CodeGraph`).
        max_iterations: bound on the steps of each curve on each grid.
        tol: bound on the residual of a converged curve, where rounding admits it.
        refinements: how often the number of segments is doubled for curves whose length their grid does not tell.
        chunk_size: number of curves to work on at once.
        generator: of the random bends.

    Returns:
        `Geodesic`. A curve that did not converge has converged = False; its points are the best found. Of several
        starts the shortest converged one is kept. Equal codes have distance 0.

    Raises:
        TypeError: im is no `RiemannianMetric`, or see `metric`.
        ValueError: shapes differ, fewer than 3 points or 1 start, or see `metric`.

    """
    search = Search(initial, starts, graph, max_iterations, tol, refinements, chunk_size, generator)
    found, route = solve_geodesics(im, start, end, points, search)
    a, b = start.reshape(-1, im.dim), end.reshape(-1, im.dim)
    if is_followed(im, a, b):
        flat = flat_solution(found, route)
        live = differentiable_solution(im, flat, a, b, search)
        found = found._replace(
            points=live.points.reshape(found.points.shape),
            length=live.length.reshape(found.length.shape),
            energy=live.energy.reshape(found.length.shape),
        )
    result: Geodesic = in_dtype(found, start.dtype)
    return result


def solve_geodesics(
    im: RiemannianMetric, start: Tensor, end: Tensor, points: int, search: Search
) -> tuple[Geodesic, Tensor]:
    """Return geodesics, in float64 if rounding hid some, and the `Route` by which each was found (B,).

    On a curved manifold each path of the manifold is a start, and the shortest geodesic is kept.
    """
    ends = flat_ends(im, start, end, points)
    if im.manifold == Euclidean():
        return _solved(im, ends, points, search)
    with torch.no_grad():
        a, b = values_of(im, ends.z, ends.vectors[0])
        paths = manifold_paths(im.manifold, a, b, points)
        paths = paths.reshape(len(paths), *ends.batch, points, im.dim)
    given = search.initial is not None
    first = search if given or search.graph is not None else replace(search, initial=paths[0])
    found, route = _solved(im, ends, points, first)
    for path in () if given else paths[1:]:
        other, way = _solved(im, ends, points, replace(search, initial=path, starts=1, graph=None))
        found, route = _shorter(found, route, other, way)
    codes = im.manifold.retraction(found.points)
    inside = im.manifold.conformal_factor(codes).isfinite().all(-1).all(-1)
    return found._replace(points=codes, converged=found.converged & inside), route


def _shorter(found: Geodesic, route: Tensor, other: Geodesic, way: Tensor) -> tuple[Geodesic, Tensor]:
    """Return the shorter converged geodesic of each pair."""
    better = other.converged & ~(found.converged & (found.length <= other.length))
    made: dict[str, Any] = {"iterations": max(found.iterations, other.iterations)}
    for name in set(Geodesic._fields) - set(made):
        old, new = getattr(found, name), getattr(other, name)
        made[name] = torch.where(better[(..., *[None] * (old.ndim - better.ndim))], new, old)
    return Geodesic(**made), torch.where(better.flatten(), way, route)


def _solved(im: RiemannianMetric, ends: FlatCodes, points: int, search: Search) -> tuple[Geodesic, Tensor]:
    """Return geodesics in coordinates, in which the codes fill flat space or are surrounded by it."""
    a, b = values_of(im, ends.z, ends.vectors[0])
    if search.initial is not None:
        check_codes(im.fn, im.dim, search.initial)
        if search.initial.shape != (*ends.batch, points, im.dim):
            shape = tuple(search.initial.shape)
            raise ValueError(f"expected initial curves {(*ends.batch, points, im.dim)}, got {shape}")
        search = replace(search, initial=values_of(im, search.initial.reshape(-1, points, im.dim))[0])
    with outside_transforms(a), torch.no_grad():
        size = curves_at_once(im, a[:, None].expand(-1, points, -1), search) if len(a) else 1

        def solve(measure: RiemannianMetric, z: Tensor) -> Solution:
            return solved_curves(measure, z, size, search)

        with unchanged():
            given = {name: getattr(search, name) for name in ("starts", "initial", "graph", "generator")}
            curves = starting_curves(im, a, b, points, size=size, **given)
            solved, route = solve_hidden(im, curves.flatten(0, 1), solve(im, curves.flatten(0, 1)), search.tol, solve)
        solved = Solution(*(x.unflatten(0, curves.shape[:2]) for x in solved))
        found, route = _best(solved, route.unflatten(0, curves.shape[:2]))
        hidden = (route != Route.CHORDS) | (found.rounding > HIDDEN)
        found = found._replace(lower_bound=lower_bounds(im, a, b, hidden).to(found.length))
    return ends.restored(found), route


def distance(im: RiemannianMetric, start: Tensor, end: Tensor, points: int = 33, **options: Any) -> Tensor:
    r"""Return the geodesic distance of codes, differentiable in both ends and in the weights.

        d/db dist(a, b) = g(b) c'(1) / |c'(1)|

    By the envelope theorem the curve itself need not be differentiated: the gradient is that of E / 2L, of second order
    in 1/n. Second derivatives are refused.

    Args:
        im: the immersion, or the metric itself.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points on each curve.
        options: see `geodesic`.

    Returns:
        A tensor (B,); NaN for a pair whose geodesic did not converge.

    Raises:
        TypeError, ValueError: see `geodesic`.

    """
    search = Search(**options)
    found, route = solve_geodesics(im, start, end, points, search)
    length, a, b = found.length, start.reshape(-1, im.dim), end.reshape(-1, im.dim)
    if is_followed(im, a, b):
        live = differentiable_lengths(im, flat_solution(found, route), a, b, search)
        length = live.reshape(length.shape)
    return torch.where(found.converged, length, torch.nan).to(start.dtype)


def flat_solution(found: Geodesic, route: Tensor) -> FoundCurves:
    """Return geodesics with one batch dimension; those that converged are the solved ones."""
    points = found.points.reshape(-1, *found.points.shape[-2:])
    length, energy, residual, solved = (
        x.reshape(-1) for x in (found.length, found.energy, found.residual, found.converged)
    )
    return FoundCurves(points, length, energy, residual, solved, route)


def flat_ends(im: RiemannianMetric, start: Tensor, end: Tensor, points: int) -> FlatCodes:
    """Return checked start and end codes with one batch dimension; the end codes are the `vectors`."""
    first = flat_codes(im, start, moves=True, curved=True)
    last = flat_codes(im, end, moves=True, curved=True).z
    if start.shape != end.shape or start.dtype != end.dtype:
        raise ValueError(f"expected two ends of one shape and dtype, got {_what(start)} and {_what(end)}")
    if points < 3:
        raise ValueError(f"expected at least 3 points, got {points}")
    return replace(first, vectors=(last,))


def _what(z: Tensor) -> str:
    return f"{dtype_name(z.dtype)} {tuple(z.shape)}"


def _best(solved: Solution, route: Tensor) -> tuple[Geodesic, Tensor]:
    """Keep the shortest converged of the solutions (K, B, ...) of each pair; the second half of K runs backwards."""
    count = solved.length.shape[0]
    rank = torch.where(solved.converged, solved.length, torch.inf)
    rank = torch.where(solved.converged.any(0), rank, solved.energy.nan_to_num(nan=torch.inf))
    chosen = rank.argmin(0)
    row = torch.arange(len(chosen), device=chosen.device)
    points, length, energy, converged, _, residual, variation, _, _, rounding = (x[chosen, row] for x in solved)
    points = torch.where((chosen >= (count + 1) // 2)[:, None, None], points.flip(1), points) if count > 1 else points
    asymmetry = spread = torch.full_like(length, torch.nan)
    if count > 1:
        ours = torch.where(solved.converged, solved.length, torch.nan)
        forward, backward = (_least(part) for part in ours.chunk(2))
        asymmetry = (forward - backward).abs()
        longest = torch.where(solved.converged, solved.length, -torch.inf).amax(0)
        spread = torch.where(converged, longest - length, torch.nan)
    iterations = int(solved.iterations.amax()) if len(length) else 0
    none = torch.full_like(length, torch.nan)
    found = Geodesic(
        points, length, none, energy, converged, residual, variation, asymmetry, spread, rounding, iterations
    )
    return found, route[chosen, row]


def _least(lengths: Tensor) -> Tensor:
    """Return the least along the first dimension, NaN where all are."""
    least = lengths.nan_to_num(nan=torch.inf).amin(0)
    return torch.where(torch.isinf(least), torch.nan, least)
