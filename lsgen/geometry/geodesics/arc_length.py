r"""Energy, length and speed variation of curves.

For a smooth curve of any speed, sampled at n + 1 equidistant parameters, the length is fourth order in 1/n, by formulas
of each metric (`RiemannianMetric.smooth_length`). The sum of the lengths of segments alone is second order. What
rounding hides is measured in float64, or by the metric (`lsgen.geometry.geodesics.rounding`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lsgen.geometry.batching import FlatCodes, flat_curves
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.compat import has_values
from lsgen.geometry.factorisation import square_root
from lsgen.geometry.geodesics.energy import raw_energy, segments
from lsgen.geometry.geodesics.precision import as_metric_field, computes_in_double, double_metric
from lsgen.geometry.geodesics.rounding import coordinate_length, is_hidden, rounding_of
from lsgen.geometry.riemannian import RiemannianMetric, interleaved

__all__ = ["AGREES", "UNEVEN", "curve_energy", "curve_length"]

JAGGED, AGREES, UNEVEN = 0.02, 3e-3, 0.02


def curve_energy(im: RiemannianMetric, curve: Tensor) -> Tensor:
    r"""Return the energy of curves over the parameter interval [0, 1], of second order in 1/n.

        E = int |c'(t)|_g^2 dt = n sum_i |f(z_{i+1}) - f(z_i)|^2    (of a metric, n sum_i |z_{i+1} - z_i|^2_g(m_i))

    Differentiable in the points and the weights. E >= L^2, with equality where the speed is constant.

    Args:
        im: the immersion, or the metric itself.
        curve: curves (B, N, d) at equidistant parameters.

    Returns:
        A tensor (B,).

    Raises:
        TypeError, ValueError: see `metric`; also for curves of another shape, or fewer than 2 points.

    """
    curves = _checked_curves(im, curve)
    return curves.restored(_measured(im, curves.z, raw_energy))


def curve_length(im: RiemannianMetric, curve: Tensor) -> Tensor:
    r"""Return the length of smooth curves, of fourth order in 1/n.

        L = int |c'(t)|_g dt

    Args:
        im: the immersion, or the metric itself.
        curve: curves (B, N, d) at equidistant parameters.

    Returns:
        A tensor (B,).

    Raises:
        TypeError, ValueError: see `curve_energy`.

    """
    curves = _checked_curves(im, curve)
    return curves.restored(_measured(im, curves.z, raw_length))


def _checked_curves(im: RiemannianMetric, curve: Tensor) -> FlatCodes:
    """Return curves along whose points the metric is positive definite, with one batch dimension."""
    curves = flat_curves(im, curve)
    if not im.definite and has_values(curve):
        points = curves.z.detach().flatten(0, 1)
        (g,) = in_chunks(lambda part: (im.gram(part, wide=True),), im, points, None, order=1)
        im.check_definite(g, points)
    return curves


def _measured(im: RiemannianMetric, curves: Tensor, measured: Callable[..., Tensor]) -> Tensor:
    """Return a measured quantity (B,) of curves (B, N, d); if rounding hides a curve, from float64 or from the metric.

    Of a curve whose points rounding moves by more than JAGGED of a step every second one is taken, and so on.
    Under `torch.vmap`, which cannot choose among curves, the value stands as it is.
    """
    n, dtype, known = curves.shape[1] - 1, curves.dtype, im.segment_data(curves)
    value = measured(im, curves, known)
    with torch.no_grad():
        hidden = is_hidden(rounding_of(im, curves, known, raw_energy(im, curves, known)), n)
        moved = torch.finfo(dtype).eps * n * im.coordinate_norm(curves).amax(-1) > JAGGED * coordinate_length(curves)
        jagged = hidden & moved & (n % 2 == 0)
    if not has_values(hidden):
        return value
    for rows, thinned in ((jagged, True), (hidden & ~jagged, False)):
        part = curves[rows]
        if not len(part):
            continue
        if thinned:
            news = _measured(im, part[:, ::2], measured)
        elif dtype == torch.float32 and computes_in_double(im, part[:, 0]):
            news = _measured(double_metric(im), part.double(), measured)
        elif dtype == torch.float32 or im.by_differences:
            news = measured(as_metric_field(im, dtype), part.double())
        else:
            continue
        value = value.index_copy(0, rows.nonzero().flatten(), news.to(value))
    return value


def polygon_length(im: RiemannianMetric, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the sum of chords (B,), which is defined for rough curves too."""
    return square_root(segments(im, curves, known)).sum(-1)


def speed_variation(im: RiemannianMetric, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the standard deviation of the speed over its mean (B,); 0 for a curve without length."""
    speed = segments(im, curves, known).clamp(min=0).sqrt()
    mean = speed.mean(-1)
    return speed.std(-1, unbiased=False) / torch.where(mean > 0, mean, torch.ones_like(mean))


def raw_length(im: RiemannianMetric, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the fourth-order length (B,) of curves (B, N, d)."""
    if curves.shape[1] < 3:
        return polygon_length(im, curves, known)
    return im.smooth_length(curves, im.segment_data(curves) if known is None else known)


def with_midpoints(im: RiemannianMetric, curves: Tensor) -> Tensor:
    """Return curves (B, N, d) with the middles of their segments added."""
    return interleaved(curves, im.middles(curves))


def refined_polygon_length(im: RiemannianMetric, curves: Tensor, known: Tensor) -> Tensor:
    """Return the summed segment lengths (B,) of curves (B, N, d) with midpoints, given the segment data without."""
    return polygon_length(im, with_midpoints(im, curves), im.refined_data(curves, known))
