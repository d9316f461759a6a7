r"""More precise forms of a metric, in float64 or as a metric field, for points whose differences rounding hides.

A difference of values at neighbouring codes is lost where |f| eps exceeds it. The same map in float64, its weights
widened when they are used, leaves 1e-16 of |f| in place of 1e-7. Where a map computes in float32 whatever it is given,
or float64 is not enough, its metric g = J^T J takes the place of differences: derivatives hold no |f|.

Reference: Higham, "Accuracy and Stability of Numerical Algorithms" (2002), sections 1.7 and 3.1.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.factorisation import finite, replaced
from lsgen.geometry.geodesics.rounding import HIDDEN
from lsgen.geometry.metric_field import MetricField
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["as_metric_field", "computes_in_double", "double_metric", "exact_if_close", "in_dtype", "more_exact_metrics"]

CLOSE = 1e-4

_made: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def double_metric(im: RiemannianMetric) -> RiemannianMetric:
    """Return the metric in float64; the same object at every call, so that its traces are kept."""
    made: RiemannianMetric | None = _kept(im).get("double")
    if made is None:
        made = _kept(im)["double"] = im.in_double()
    return made


def _kept(im: RiemannianMetric) -> dict[Any, Any]:
    """Return the metrics derived from a metric so far; none of them refers to it."""
    return _made.setdefault(im, {})


def computes_in_double(im: RiemannianMetric, z: Tensor) -> bool:
    """Return whether the map of a metric, evaluated in float64 at codes (N, d), has values in float64."""
    try:
        with torch.no_grad():
            value: Tensor = double_metric(im).fn(im.lifted(z[:1].double()))
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
        return False
    return isinstance(value, Tensor) and value.dtype == torch.float64


class _Gram:
    """The map z -> g(z) of codes in float64, computed by a metric in a given dtype."""

    widened = True

    def __init__(self, im: RiemannianMetric, dtype: torch.dtype) -> None:
        self.im, self.dtype = im, dtype

    def __call__(self, z: Tensor) -> Tensor:
        """Return the metric (N, d, d), positive definite; NaN where products that cancel in it leave too few digits."""
        z = z.to(self.dtype)
        g = self.im.gram(z, wide=True)
        if self.im.definite:
            return g
        self.im.check_definite(g, z)
        least = torch.linalg.eigvalsh(replaced(g, finite(g)).detach())[:, 0]
        error = 10 * self.im.dim * torch.finfo(self.dtype).eps * self.im.product_size(z.detach())
        return torch.where((error > HIDDEN * least)[:, None, None], torch.nan, g)


def as_metric_field(im: RiemannianMetric, dtype: torch.dtype) -> MetricField:
    """Return the metric as a `MetricField` of codes in float64 that is computed in a dtype."""
    made: MetricField | None = _kept(im).get(dtype)
    if made is None:
        made = _kept(im)[dtype] = MetricField(_Gram(copy(im), dtype), im.dim, definite=True)
    return made


def more_exact_metrics(im: RiemannianMetric, z: Tensor) -> Iterator[RiemannianMetric]:
    """Yield metrics that take codes like z (N, d) in float64 and round less than the given metric."""
    exact = z.dtype == torch.float64
    if not exact and len(z) and computes_in_double(im, z):
        im, exact = double_metric(im), True
        yield im
    if (im.by_differences or not exact) and len(z):
        yield as_metric_field(im, torch.float64 if exact else z.dtype)


def exact_if_close(
    im: RiemannianMetric, codes: Tensor, spread: Tensor | None = None
) -> tuple[RiemannianMetric, Tensor]:
    """Return a metric and sets of codes (..., n, d), both in float64 if float32 can hardly tell some codes apart.

    That is where rounding is more than CLOSE of the root mean square distance of codes from their centre, or of another
    spread (...) of the sets.
    """
    if codes.dtype == torch.float64:
        return im, codes
    if spread is None:
        spread = (codes - codes.mean(-2, keepdim=True)).square().sum(-1).mean(-1).sqrt()
    rounding = torch.finfo(codes.dtype).eps * codes.norm(dim=-1).amax(-1)
    if not bool(((rounding > CLOSE * spread) & (spread > 0)).any()):
        return im, codes
    return next(more_exact_metrics(im, codes.reshape(-1, codes.shape[-1]))), codes.double()


def in_dtype(found: Any, dtype: torch.dtype) -> Any:
    """Return a named tuple with its numbers in a dtype."""
    return type(found)(*(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in found))
