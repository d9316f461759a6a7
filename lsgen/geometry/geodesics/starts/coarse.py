r"""Coarse-to-fine starts: curves relaxed on coarse grids, whose points then become every second one of a finer grid.

    5 -> 9 -> 17 -> 33 points, as far as the grid asked for, with the middles of segments added in between

On few points a curve moves far at the cost of a few evaluations, past hills that hold a fine one back. The solution of
a coarse grid is no geodesic, since its chords leap over what they should go round; it is a place to start from, so that
few steps with a loose tolerance are enough.

Reference: Brandt, "Multi-level adaptive solutions to boundary-value problems" (1977), for nested iteration.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lsgen.geometry.geodesics.arc_length import with_midpoints
from lsgen.geometry.geodesics.solver import minimise_energy
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import Euclidean

__all__ = ["COARSEST", "coarse_to_fine", "resampled"]

COARSEST, FINEST, TOL, STEPS = 5, 33, 3e-2, 8


def coarse_to_fine(im: RiemannianMetric, curves: Tensor, points: int, size: int) -> Tensor:
    """Return curves (B, points, d) between the ends of curves (B, COARSEST, d), relaxed on one grid after another.

    Not relaxed are curves of a metric that may be indefinite somewhere, since that is checked along every curve, and
    those on a curved manifold, whose own paths are the starts.

    Args:
        im: the metric.
        curves: curves (B, COARSEST, d).
        points: number of points N of the curves that are returned, which no grid has as many of.
        size: number of curves of N points to work on at once.

    """
    relaxes = im.definite and im.manifold == Euclidean()
    while relaxes and curves.shape[1] < min(points, FINEST) and len(curves):
        at_once = max(1, size * points // curves.shape[1])
        relaxed = [minimise_energy(im, part, STEPS, TOL).points for part in curves.split(at_once)]
        curves = with_midpoints(im, torch.cat(relaxed))
    return resampled(curves, points)


def resampled(curves: Tensor, points: int) -> Tensor:
    """Return polygons (B, N, d) at other numbers of equidistant parameters."""
    if curves.shape[1] == points:
        return curves
    return interpolate(curves.mT, points, mode="linear", align_corners=True).mT
