r"""Geodesics as differentiable functions of their ends and of the weights of the map.

A geodesic is found as a constant. Where it solves the equations F = 0 of its discrete energy its points get derivatives
by the implicit function theorem, and its length, of fourth order, from them. The energy, which is stationary, and the
distance as its root have theirs without those of the points. A curve whose length its grid did not tell is every second
(fourth, eighth) point of a geodesic on a finer grid, and is a solution there, where it is solved again. Between codes
so close that the points come from a Taylor series, the series is differentiated.

A curve that solves no equation has derivatives NaN, but 0 where nothing depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.func import grad

from lsgen.geometry.chunks import codes_at_once
from lsgen.geometry.compat import is_batched, is_transformed, outside_transforms, unwrapped
from lsgen.geometry.geodesics.arc_length import raw_length, with_midpoints
from lsgen.geometry.geodesics.close_codes import Route, close_series, routes_of
from lsgen.geometry.geodesics.energy import raw_energy
from lsgen.geometry.geodesics.implicit.energy_hessian import EnergyHessian
from lsgen.geometry.geodesics.implicit.implicit_function import first_derivative, implicit_step, without_derivative
from lsgen.geometry.geodesics.search import Search
from lsgen.geometry.geodesics.solver import minimise_energy
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = [
    "FoundCurves",
    "SolvedPart",
    "differentiable_curves",
    "differentiable_lengths",
    "differentiable_solution",
    "is_followed",
    "plain_curves",
    "values_of",
]


SAME = 1e-4


class FoundCurves(NamedTuple):
    """Geodesics as they were found.

    Attributes:
        points: curves (B, N, d).
        length: their length (B,).
        energy: their energy (B,).
        residual: their tangential acceleration (B,).
        solved: which of them solve their equation (B,).
        route: the `Route` by which each was found (B,).

    """

    points: Tensor
    length: Tensor
    energy: Tensor
    residual: Tensor
    solved: Tensor
    route: Tensor


class SolvedPart(NamedTuple):
    """Geodesics that were solved by one route on one grid.

    Attributes:
        rows: which ones (M,).
        route: the route.
        im: the metric that it uses.
        curves: the curves (M, every (N - 1) + 1, d) on the grid on which they solve their equation.
        every: number of segments there for each of theirs.

    """

    rows: Tensor
    route: Route
    im: RiemannianMetric
    curves: Tensor
    every: int


def is_followed(im: RiemannianMetric, start: Tensor, end: Tensor) -> bool:
    """Return whether derivatives by the codes (N, d) or the weights are asked for."""
    if is_transformed() or any(unpack_dual(x).tangent is not None for x in (start, end)):
        return True
    if not torch.is_grad_enabled() or not len(start):
        return False
    if start.requires_grad or end.requires_grad:
        return True
    return im.segment_data(torch.stack([start[:1], start[:1]], 1)).requires_grad


def values_of(im: RiemannianMetric, *codes: Tensor) -> tuple[Tensor, ...]:
    """Return the values of codes (..., d) outside of all transforms.

    Raises:
        ValueError: codes or weights are batched by `torch.vmap`.

    """
    if is_transformed():
        z = codes[0].reshape(-1, im.dim)[:1]
        if any(is_batched(x) for x in codes) or (len(z) and is_batched(im.segment_data(torch.stack([z, z], 1)))):
            raise ValueError("expected codes in one batch (B, d) and one set of weights, got some under torch.vmap")
    return tuple(unwrapped(x).detach() for x in codes)


def differentiable_solution(
    im: RiemannianMetric, found: FoundCurves, start: Tensor, end: Tensor, search: Search
) -> FoundCurves:
    """Return geodesics whose points, length and energy have derivatives by their ends (B, d) and by the weights."""
    points, length, energy = found.points, found.length, found.energy
    for part in solved_parts(im, found, start, search):
        fine = _with_derivatives(part, start, end)
        curves, news = fine[:, :: part.every], _energy_change(part, start, end)
        points = points.index_add(0, part.rows, (curves - curves.detach()).to(points))
        energy = energy.index_add(0, part.rows, news.to(energy))
        some = found.length[part.rows] > 0
        if part.route is Route.SERIES:
            change = _length_change(part, found, news)[some]
        else:
            change = raw_length(part.im, fine[some])
            change = change - change.detach()
        length = length.index_add(0, part.rows[some], change.to(length))
    rows = (~found.solved).nonzero().flatten()
    if len(rows):
        none = without_derivative(raw_energy(im, torch.stack([start[rows], end[rows]], 1)).to(length))
        points = points.index_add(0, rows, none[:, None, None].expand(-1, *points.shape[1:]))
        length, energy = length.index_add(0, rows, none), energy.index_add(0, rows, none)
    return found._replace(points=points, length=length, energy=energy)


def differentiable_lengths(
    im: RiemannianMetric, found: FoundCurves, start: Tensor, end: Tensor, search: Search
) -> Tensor:
    """Return the lengths (B,) of geodesics, those of solved ones differentiable in ends (B, d) and weights.

    The derivatives are those of E^(1/2), which take none of the points and are of second order in 1/n.
    """
    length = found.length
    for part in solved_parts(im, found, start, search):
        change = _length_change(part, found, _energy_change(part, start, end))
        length = length.index_add(0, part.rows, change.to(length))
    return length


def differentiable_curves(
    im: RiemannianMetric, found: FoundCurves, start: Tensor, end: Tensor, search: Search
) -> Iterator[SolvedPart]:
    """Yield the solved geodesics, differentiable in ends (B, d) and weights, in parts of one route and one grid."""
    for part in solved_parts(im, found, start, search):
        yield part._replace(curves=_with_derivatives(part, start, end))


def plain_curves(im: RiemannianMetric, found: FoundCurves, start: Tensor) -> Iterator[SolvedPart]:
    """Yield the solved geodesics as they were found, in parts of one route."""
    ways = iter([(Route.CHORDS, im)])
    if bool(found.route.any()):
        ways = routes_of(im, start.dtype, unwrapped(start).detach()[:1])
    for way, measure in ways:
        rows = ((found.route == way) & found.solved).nonzero().flatten()
        if len(rows):
            curves = found.points[rows]
            yield SolvedPart(rows, way, measure, curves.to(start.dtype) if way is Route.CHORDS else curves, 1)


def solved_parts(im: RiemannianMetric, found: FoundCurves, start: Tensor, search: Search) -> Iterator[SolvedPart]:
    """Yield the solved geodesics as values, in parts of one route and one grid.

    A curve whose energy is not that which was found is part of one on a finer grid, and is solved there again.
    """
    for part in plain_curves(im, found, start):
        if part.route is Route.SERIES:
            yield part
            continue
        with outside_transforms(part.curves), torch.no_grad():
            energy = found.energy[part.rows].to(part.curves)
            here = (raw_energy(part.im, part.curves) - energy).abs() <= SAME * energy
            rows, curves = part.rows[~here], part.curves[~here]
            parts = [part._replace(rows=part.rows[here], curves=part.curves[here])]
            for halving in range(search.refinements):
                if not len(rows):
                    break
                finer = minimise_energy(part.im, with_midpoints(im, curves), search.max_iterations, search.tol)
                done = finer.converged
                parts.append(part._replace(rows=rows[done], curves=finer.points[done], every=2 ** (halving + 1)))
                rows, curves = rows[~done], finer.points[~done]
        yield from (x for x in parts if len(x.rows))


def _energy_change(part: SolvedPart, start: Tensor, end: Tensor) -> Tensor:
    """Return zeros (M,) with the derivatives of the energy of geodesics, which is stationary in their points.

    Of close codes they are those of the squared length of the series.
    """
    a, b = (x[part.rows, None].to(part.curves) for x in (start, end))
    if part.route is Route.SERIES:
        a, b = start[part.rows], end[part.rows]
        energy = close_series(part.im, a, b).length ** 2
    else:
        energy = raw_energy(part.im, torch.cat([a, part.curves[:, 1:-1], b], 1))
    return first_derivative(energy)


def _length_change(part: SolvedPart, found: FoundCurves, change: Tensor) -> Tensor:
    """Return zeros (M,) with the derivatives of the length E^(1/2) of geodesics; 0 between equal codes."""
    length = found.length[part.rows].to(change)
    return torch.where(length > 0, change / (2 * torch.where(length > 0, length, 1)), 0)


def _with_derivatives(part: SolvedPart, start: Tensor, end: Tensor) -> Tensor:
    """Return curves (M, N, d) with the derivatives of geodesics."""
    a, b, curves = start[part.rows], end[part.rows], part.curves
    if part.route is Route.SERIES:
        t = torch.linspace(0, 1, curves.shape[1], dtype=torch.float64, device=a.device)[:, None]
        straight = torch.lerp(a[:, None].double(), b[:, None].double(), t)
        return straight + (t * (1 - t) / 2) * close_series(part.im, a, b).bend[:, None]
    a, b = a.to(curves), b.to(curves)
    size = max(1, codes_at_once(part.im, curves[:, 0], 2) // curves.shape[1])
    step = implicit_step(_force(part.im, curves, a, b), EnergyHessian(part.im, curves, size))
    return torch.cat([a[:, None], curves[:, 1:-1] + step, b[:, None]], 1)


def _force(im: RiemannianMetric, curves: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return F_i = -(1/2n) dE/dz_i (M, N-2, d) at the points of curves as a function of ends (M, d) and weights."""

    def energy(inner: Tensor) -> Tensor:
        return raw_energy(im, torch.cat([a[:, None], inner, b[:, None]], 1)).sum()

    inner = curves[:, 1:-1].detach()
    if is_transformed() or not torch.is_grad_enabled():
        slope: Tensor = grad(energy)(inner)
    else:
        inner = inner.clone().requires_grad_()
        (slope,) = torch.autograd.grad(energy(inner), inner, create_graph=True)
    return slope / (-2 * (curves.shape[1] - 1))
