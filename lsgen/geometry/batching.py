"""Public functions of codes of any batch shape from functions of codes (N, d): checks, warnings, chunks and reshaping.

A quantity of single codes is one call of `pointwise`; a solver takes `flat_codes` or `flat_curves`, and gives what it
found back in the shape of the batch by `FlatCodes.restored`.
"""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes, check_moves, check_on_manifold, check_tangent, check_vectors
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.compat import has_values
from lsgen.geometry.jets import check_deterministic, forget_fingerprints, kinks, unchanged
from lsgen.geometry.riemannian import RiemannianMetric, check_metric
from lsgen.geometry.surroundings import Retracted

__all__ = ["FlatCodes", "flat_codes", "flat_curves", "pointwise"]

T = TypeVar("T")
MANY = 16
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


@dataclass(frozen=True)
class FlatCodes:
    """Checked codes with one batch dimension, and the batch shape that they came in.

    Attributes:
        z: codes (N, d), or curves (N, points, d).
        vectors: tangent vectors at them, each (N, d).
        batch: the batch shape B.

    """

    z: Tensor
    vectors: tuple[Tensor, ...]
    batch: torch.Size

    def restored(self, found: T) -> T:
        """Return a tensor (N, ...), or all tensors of a tuple, as (B, ...); other values stay as they are."""
        made: Any = found
        if isinstance(found, Tensor):
            made = found.reshape((*self.batch, *found.shape[1:]))
        elif isinstance(found, tuple):
            parts = [self.restored(x) for x in found]
            made = type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)
        return cast(T, made)


def flat_codes(
    im: RiemannianMetric,
    z: Tensor,
    vectors: Mapping[str, Tensor] | None = None,
    *,
    smooth: bool = False,
    moves: bool = False,
    walls: bool = False,
    curved: bool = False,
) -> FlatCodes:
    """Return checked codes (B, d) with one batch dimension.

    Args:
        im: the metric.
        z: codes (B, d).
        vectors: tangent vectors (B, d) at the codes, by the names that they have in sentences.
        smooth: whether second derivatives of the map count, so that kinks of it are warned of.
        moves: whether a solver moves the codes, which have to fill flat space then.
        walls: whether that solver knows walls of bounded codes.
        curved: whether it knows curved manifolds, on which codes and vectors then have to lie.

    Raises:
        TypeError: im is no metric, z is neither float32 nor float64, or of another dtype than the weights; or steps of
            a solver would leave the manifold of the codes.
        ValueError: z or a vector has another shape or is not finite, a module of the map is in train mode, or the map
            draws random numbers or has values that depend on the batch.

    """
    check_metric(im)
    flat = check_codes(im.fn, im.dim, z)
    _calibrate(im, flat)
    check_deterministic(im.fn, im.lifted(flat))
    beside = tuple(check_vectors(f"vectors {name}", v, z) for name, v in (vectors or {}).items())
    if moves:
        check_moves(im.fn, walls, curved)
    if moves and curved:
        check_on_manifold(im.manifold, flat)
        for v in beside:
            check_tangent(im.manifold, flat, v)
    if smooth:
        _warn_of_kinks(im, flat)
    return FlatCodes(flat, beside, z.shape[:-1])


def flat_curves(im: RiemannianMetric, curve: Tensor) -> FlatCodes:
    """Return checked curves (B, N, d) of at least 2 points with one batch dimension."""
    check_metric(im)
    flat = check_codes(im.fn, im.dim, curve)
    _calibrate(im, flat)
    check_deterministic(im.fn, im.lifted(flat))
    if curve.ndim < 2 or curve.shape[-2] < 2:
        raise ValueError(f"expected curves (B, N, {im.dim}) of at least 2 points, got {tuple(curve.shape)}")
    return FlatCodes(curve.reshape(-1, *curve.shape[-2:]), (), curve.shape[:-2])


def pointwise(
    work: Callable[..., tuple[Tensor, ...]],
    im: RiemannianMetric,
    z: Tensor,
    chunk_size: int | None,
    order: int,
    smooth: bool = False,
    vectors: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """Return quantities of single codes in the batch shape of the codes.

    Args:
        work: codes (N, d) and vectors at them -> a tuple of tensors (N, ...).
        im: the metric.
        z: codes (B, d).
        chunk_size: number of codes to work on at once; chosen by itself where it is not given.
        order: order of the derivatives that one code holds at a time, which its memory follows from.
        smooth: whether second derivatives of the map count, so that kinks of it are warned of.
        vectors: tangent vectors (B, d) at the codes, by the names that they have in sentences.

    Raises:
        TypeError, ValueError: see `flat_codes`; also for a chunk_size that is not positive.

    """
    with unchanged():
        codes = flat_codes(im, z, vectors, smooth=smooth)
        return codes.restored(in_chunks(work, im, codes.z, chunk_size, order, codes.vectors))


def _calibrate(im: RiemannianMetric, z: Tensor) -> None:
    """Let vectors across a curved manifold of codes have a length that suits the metric at codes (N, d)."""
    near = getattr(im.fn, "near", None)
    if isinstance(near, Retracted) and has_values(z) and len(z):
        with torch.no_grad():
            if near.calibrate(im.gram(z[:MANY].detach(), wide=True)):
                forget_fingerprints()


def _warn_of_kinks(im: RiemannianMetric, z: Tensor) -> None:
    """Warn, once per map, of activations whose second derivative is zero almost everywhere."""
    owner = getattr(im.fn, "belongs_to", lambda: (im.fn, None))()[0]
    try:
        if owner in _warned:
            return
        _warned.add(owner)
    except TypeError:
        pass
    names = kinks(im.local, im.lifted(z))
    if names:
        warnings.warn(
            f"the map contains {' and '.join(names)}, whose second derivative is zero almost everywhere: its curvature "
            "sits in kinks that no derivative sees, and what is returned is that of the smooth rest; "
            "use a smooth activation such as SiLU",
            stacklevel=_callers(),
        )


def _callers() -> int:
    """Return the number of stack frames up to the first one outside lsgen.geometry, for `warnings.warn`."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("lsgen.geometry"):
        frame, level = frame.f_back, level + 1
    return level
