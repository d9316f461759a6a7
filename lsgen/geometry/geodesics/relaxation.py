r"""Relaxation of initial curves to geodesics, and what is tried with those that do not relax.

A curve is relaxed on its own grid, and on finer ones, of midpoints, while its grid does not tell its length. One that
is left near a geodesic of a grid is moved there by damped Newton steps (`lsgen.geometry.geodesics.damped_newton`). One
that still has not converged is tried again by continuation in its end point (`lsgen.geometry.geodesics.continuation`)
if it is uneven or turns by more than TURN, as a curve does that has not come far from where it started.

A curve that solves its equation on the finest grid, which does not tell its length either, is left, and so is one of
even speed that turns less: both pass a place where the image bends within a segment, and so would others.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lsgen.geometry.chunks import codes_at_once
from lsgen.geometry.geodesics.arc_length import UNEVEN, with_midpoints
from lsgen.geometry.geodesics.continuation import SEGMENTS, TURN, continued
from lsgen.geometry.geodesics.damped_newton import NEAR, newton_curves
from lsgen.geometry.geodesics.search import Search
from lsgen.geometry.geodesics.solver import Solution, minimise_energy, starts_hidden
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["curves_at_once", "relaxed", "solved_curves"]

ORDER = 4.0


def curves_at_once(im: RiemannianMetric, curves: Tensor, search: Search) -> int:
    """Return how many curves (K, N, d) are worked on at once, at least one."""
    return search.chunk_size or max(1, codes_at_once(im, curves[:, 0], im.newton_order) // curves.shape[1])


def solved_curves(im: RiemannianMetric, initial: Tensor, size: int, search: Search) -> Solution:
    """Return the solutions from initial curves (K, N, d), by all that is tried in turn.

    Args:
        im: the metric.
        initial: curves (K, N, d).
        size: number of curves of N points to work on at once.
        search: bounds on iterations, tolerance and refinements.

    """
    if search.discrete:
        found = relaxed(im, initial, size, search.max_iterations, search.tol)
        return found._replace(converged=found.converged | found.coarse)
    found = _on_finer_grids(im, initial, size, search)
    return _continued(im, initial, found, size, search)


def relaxed(im: RiemannianMetric, curves: Tensor, size: int, max_iterations: int, tol: float) -> Solution:
    """Return what curves (K, N, d) relax to on their own grid, `size` at once."""
    if not len(curves):
        none = curves.new_zeros(0)
        flag = none > 0
        return Solution(curves, none, none, flag, flag, none, none, none.long(), flag, none)
    parts = [minimise_energy(im, part.detach(), max_iterations, tol) for part in curves.split(size)]
    return Solution(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _on_finer_grids(im: RiemannianMetric, curves: Tensor, size: int, search: Search) -> Solution:
    """Solve from initial curves (K, N, d), on finer grids for the curves whose grid is too coarse.

    Of a smooth curve the variation of the speed falls by ORDER with each grid, but for the first, which may be the one
    that tells of a bend; one that varies by too much for those that are left stays as it is.
    """
    found = _polished(im, relaxed(im, curves, size, search.max_iterations, search.tol), size, search)
    within_reach = found.speed_variation <= UNEVEN * ORDER ** (search.refinements + 1)
    rows = (found.coarse & within_reach).nonzero().flatten()
    if not search.refinements or not len(rows):
        return found
    once_less = replace(search, refinements=search.refinements - 1)
    finer = _on_finer_grids(im, with_midpoints(im, found.points[rows]), max(1, size // 2), once_less)
    finer = finer._replace(points=finer.points[:, ::2], iterations=finer.iterations + found.iterations[rows])
    return Solution(*(old.index_copy(0, rows, new) for old, new in zip(found, finer, strict=True)))


def _polished(im: RiemannianMetric, found: Solution, size: int, search: Search) -> Solution:
    """Solve the curves of one grid that have a residual below NEAR, but too large a one, by damped Newton steps."""
    rows = (~found.converged & ~found.coarse & ~found.hidden & (found.residual < NEAR)).nonzero().flatten()
    if not len(rows) or not search.max_iterations:
        return found
    made = [newton_curves(im, part, search.max_iterations, search.tol) for part in found.points[rows].split(size)]
    curves, there = (torch.cat(column) for column in zip(*made, strict=True))
    rows, curves = rows[there], curves[there]
    return _with_converged(found, rows, relaxed(im, curves, size, search.max_iterations, search.tol))


def _continued(im: RiemannianMetric, initial: Tensor, found: Solution, size: int, search: Search) -> Solution:
    """Solve the curves that have not converged by continuation, on a grid of SEGMENTS or more if refinements allow."""
    at_rest = (found.speed_variation <= UNEVEN) & (found.residual <= TURN)
    rows = (~found.converged & ~found.coarse & ~at_rest).nonzero().flatten()
    if len(rows):
        rows = rows[~starts_hidden(im, initial[rows])]
    if not len(rows) or not search.max_iterations:
        return found
    curves, halvings = initial[rows], 0
    while halvings < search.refinements and curves.shape[1] <= SEGMENTS:
        curves, halvings = with_midpoints(im, curves), halvings + 1
    size = max(1, size >> halvings)

    def minimise(curves: Tensor, max_iterations: int, tol: float) -> Solution:
        return relaxed(im, curves, size, max_iterations, tol)

    curves, there = continued(im, curves, minimise)
    rows, curves = rows[there], curves[there]
    news = _on_finer_grids(im, curves, size, replace(search, refinements=search.refinements - halvings))
    return _with_converged(found, rows, news._replace(points=news.points[:, :: 2**halvings]))


def _with_converged(found: Solution, rows: Tensor, news: Solution) -> Solution:
    """Return solutions with those of some rows replaced by the new ones that converged on their grid or a finer one."""
    news = news._replace(iterations=news.iterations + found.iterations[rows])
    solved = news.converged | news.coarse
    rows, news = rows[solved], Solution(*(x[solved] for x in news))
    return Solution(*(old.index_copy(0, rows, new) for old, new in zip(found, news, strict=True)))
