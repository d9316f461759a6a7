r"""Energy and length of any curve, and how evenly it is run through.

For a smooth curve of any speed, sampled at n + 1 equidistant parameters, the length is fourth order in 1/n:

    immersion    L = sum |D_i| + (1/24) sum |N_i|^2 / |D_i|,    N_i the part of D_i - D_{i-1} normal to the curve
    metric       L = int |c'(t)|_g dt by Simpson's rule, c the polynomials of degree 5 through six neighbouring points

since an arc of length s and curvature k has the chord s - k^2 s^3 / 24. A sum of chords alone is second order. What
rounding hides is measured in float64, or by the metric (`lsgen.geometry.geodesics.rounding`).

Reference: do Carmo, "Differential Geometry of Curves and Surfaces" (1976), section 1.6; Fornberg, "Generation of finite
difference formulas on arbitrarily spaced grids" (1988).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.compat import is_batched
from lsgen.geometry.geodesics.energy import differences, dot, image, raw_energy, segments
from lsgen.geometry.geodesics.precision import in_double, intrinsic, widens
from lsgen.geometry.geodesics.rounding import away, coordinate_length, hides, rounding_of
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.metric_field import MetricField

__all__ = ["curve_energy", "curve_length"]

JAGGED = 0.02


def curve_energy(im: Immersion | MetricField, curve: Tensor) -> Tensor:
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
    return _by_sight(im, check_curves(im, curve), raw_energy).reshape(curve.shape[:-2])


def curve_length(im: Immersion | MetricField, curve: Tensor) -> Tensor:
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
    return _by_sight(im, check_curves(im, curve), raw_length).reshape(curve.shape[:-2])


def _by_sight(im: Immersion | MetricField, curves: Tensor, measured: Callable[..., Tensor]) -> Tensor:
    """Return what is measured of curves (B, N, d), (B,), where rounding hides them in float64 or by the metric.

    Of a curve whose points rounding moves by more than JAGGED of a step every second one is taken, and so on.
    Under `torch.vmap`, which cannot choose among curves, the value stands as it is.
    """
    n, dtype, known = curves.shape[1] - 1, curves.dtype, image(im, curves)
    value = measured(im, curves, known)
    with torch.no_grad():
        hidden = hides(rounding_of(im, curves, known, raw_energy(im, curves, known)), n)
        moved = torch.finfo(dtype).eps * n * away(im, curves) > JAGGED * coordinate_length(curves)
        jagged = hidden & moved & (n % 2 == 0)
    if is_batched(hidden):
        return value
    for rows, thinned in ((jagged, True), (hidden & ~jagged, False)):
        part = curves[rows]
        if not len(part):
            continue
        if thinned:
            news = _by_sight(im, part[:, ::2], measured)
        elif dtype == torch.float32 and widens(im, part[:, 0]):
            news = _by_sight(in_double(im), part.double(), measured)
        elif dtype == torch.float32 or isinstance(im, Immersion):
            news = measured(intrinsic(im, dtype), part.double())
        else:
            continue
        value = value.index_copy(0, rows.nonzero().flatten(), news.to(value))
    return value


def check_curves(im: Immersion | MetricField, curve: Tensor) -> Tensor:
    """Return curves (B, N, d) as (M, N, d), or refuse them."""
    check_codes(im.fn, im.dim, curve)
    if curve.ndim < 2 or curve.shape[-2] < 2:
        raise ValueError(f"expected curves (B, N, {im.dim}) of at least 2 points, got {tuple(curve.shape)}")
    return curve.reshape(-1, *curve.shape[-2:])


def polygon(im: Immersion | MetricField, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the sum of chords (B,), which rough curves may be given to."""
    return segments(im, curves, known).clamp(min=0).sqrt().sum(-1)


def speed_variation(im: Immersion | MetricField, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the standard deviation of the speed over its mean (B,); 0 for a curve without length."""
    speed = segments(im, curves, known).clamp(min=0).sqrt()
    mean = speed.mean(-1)
    return speed.std(-1, unbiased=False) / torch.where(mean > 0, mean, torch.ones_like(mean))


def raw_length(im: Immersion | MetricField, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the fourth-order length (B,) of curves (B, N, d)."""
    if curves.shape[1] < 3:
        return polygon(im, curves, known)
    if isinstance(im, MetricField):
        return _by_simpson(im, curves)
    return _by_chords(im, image(im, curves) if known is None else known)


def doubled(curves: Tensor) -> Tensor:
    """Return curves (B, N, d) with the middles of their segments added."""
    return _woven(curves, (curves[:, 1:] + curves[:, :-1]) / 2)


def finer_polygon(im: Immersion | MetricField, curves: Tensor, known: Tensor) -> Tensor:
    """Return the sum of chords (B,) of `doubled` curves (B, N, d), whose own image is known."""
    if isinstance(im, MetricField):
        return polygon(im, doubled(curves))
    middle = (curves[:, 1:] + curves[:, :-1]) / 2
    return polygon(im, curves, _woven(known, image(im, middle)))


def _woven(points: Tensor, between: Tensor) -> Tensor:
    """Return z_0, m_0, z_1, m_1, ..., z_n along the second dimension."""
    return torch.cat([torch.stack([points[:, :-1], between], 2).flatten(1, 2), points[:, -1:]], 1)


def _by_chords(im: Immersion, known: Tensor) -> Tensor:
    forward, backward = differences(im, known)
    chord = dot(im, forward, forward).clamp(min=0).sqrt()
    left, right = backward[:, :-1], forward[:, 1:]
    second, along = right - left, right + left
    square, norm = dot(im, second, second), dot(im, along, along)
    bend = square - dot(im, second, along) ** 2 / torch.where(norm > 0, norm, torch.ones_like(norm))
    bend = torch.cat([bend[:, :1], (bend[:, 1:] + bend[:, :-1]) / 2, bend[:, -1:]], 1)
    return (chord + bend / (24 * torch.where(chord > 0, chord, torch.ones_like(chord)))).sum(-1)


def _by_simpson(im: MetricField, curves: Tensor) -> Tensor:
    b, n, d = curves.shape
    where = torch.arange(2 * n - 1, dtype=torch.float64, device=curves.device) / 2
    points, slopes = _stencils(n, where)
    from_start = curves - curves[:, :1]
    z = curves[:, :1] + torch.einsum("kn,bnd->bkd", points.to(curves), from_start)
    v = torch.einsum("kn,bnd->bkd", slopes.to(curves), from_start)
    g = im.matrices(z.flatten(0, 1)).reshape(b, 2 * n - 1, d, d)
    speed = torch.einsum("bki,bkij,bkj->bk", v, g, v).clamp(min=0).sqrt()
    return (speed[:, :-1:2] + 4 * speed[:, 1::2] + speed[:, 2::2]).sum(-1) / 6


def _stencils(n: int, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return matrices (K, n) that interpolate values at 0, ..., n-1 at places (K,), and that differentiate there."""
    width = min(6, n)
    first = (where.floor() - (width - 1) // 2).clamp(0, n - width).long()
    offset = where - first
    powers = torch.arange(width, dtype=torch.float64, device=where.device)
    inverse = torch.linalg.inv(powers[:, None] ** powers)
    values = (offset[:, None] ** powers) @ inverse
    slopes = (powers * offset[:, None] ** (powers - 1).clamp(min=0)) @ inverse
    places = first[:, None] + powers.long()
    empty = torch.zeros(len(where), n, dtype=torch.float64, device=where.device)
    return empty.scatter(1, places, values), empty.scatter(1, places, slopes)
