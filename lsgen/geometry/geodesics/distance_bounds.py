r"""Lower bounds of geodesic distances, the other side of what a geodesic's length says.

    lower bound <= dist(a, b) <= length of any curve from a to b

A map f into a Euclidean space shortens no curve, so that |f(b) - f(a)| is one; a decoder makes every curve of codes one
of distributions, so that the Fisher-Rao distance of the decoded ends is a better one. Neither sees how far a curve has
to go within the image, and both are rounded by eps |f|: where that is not small no bound is given.

Reference: Burago, Burago & Ivanov, "A Course in Metric Geometry" (2001), section 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.geodesics.precision import computes_in_double, double_metric
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["lower_bounds"]


def lower_bounds(im: RiemannianMetric, start: Tensor, end: Tensor, hidden: Tensor) -> Tensor:
    """Return lower bounds (N,) of the distances of codes (N, d); in float64 if some are hidden.

    Args:
        im: the metric.
        start: codes (N, d).
        end: codes (N, d).
        hidden: whether rounding hides the differences of values between them (N,). There the bound is found in
            float64, and is NaN if the codes are in float64 already or the map does not compute in it.

    """
    found = _measured(im, start, end)
    rows = hidden.nonzero().flatten()
    if not len(rows):
        return found
    news = found.new_full((len(rows),), torch.nan, dtype=torch.float64)
    if start.dtype == torch.float32 and computes_in_double(im, start[rows]):
        news = _measured(double_metric(im), start[rows].double(), end[rows].double())
    same = (start[rows] == end[rows]).all(-1)
    return found.double().index_copy(0, rows, torch.where(same, 0, news))


def _measured(im: RiemannianMetric, start: Tensor, end: Tensor) -> Tensor:
    return in_chunks(lambda a, b: (im.lower_bound(a, b),), im, start, None, order=1, beside=(end,))[0]
