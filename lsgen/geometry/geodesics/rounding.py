r"""Estimates of the rounding error in the segments of a curve.

Values of f are rounded by eps |f| and codes by eps |z|, which moves the image by eps |J| |z|, so that a segment at z_i
of a curve of n segments and length L is uncertain by

    eps n (1 + (|f_i| + |J_i| |z_i|) / L)

relative to it. The curve is hidden where the largest of these exceeds HIDDEN, or makes accelerations, which are second
differences, uncertain by ROUGH in units of the length.

Reference: Higham, "Accuracy and Stability of Numerical Algorithms" (2002), sections 1.7 and 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.geodesics.energy import segments
from lsgen.geometry.riemannian import NewtonSystem, RiemannianMetric

__all__ = ["HIDDEN", "admitted", "coordinate_length", "is_hidden", "rounding_of"]

HIDDEN, ROUGH, FACTOR = 2e-3, 2e-2, 10


def rounding_of(
    im: RiemannianMetric, curves: Tensor, known: Tensor, energy: Tensor, found: NewtonSystem | None = None
) -> Tensor:
    """Return the relative rounding error of a segment, eps n (1 + max_i(|f_i| + |J_i| |z_i|) / L), for each curve.

    |J_i| is the slope of f along the curve, and with a system the root of the trace of g_i. Inf where the square of the
    energy leaves the range of numbers; 0 for a curve that stays where it is.
    """
    n, eps, tiny = curves.shape[1] - 1, torch.finfo(energy.dtype).eps, torch.finfo(energy.dtype).tiny
    length, size = energy.clamp(min=0).sqrt(), im.coordinate_norm(curves)
    if found is None:
        chord = segments(im, curves, known).clamp(min=0).sqrt()
        slope = chord / curves.diff(dim=1).norm(dim=-1).clamp(min=tiny)
        moved = slope * torch.maximum(size[:, 1:], size[:, :-1])
    else:
        slope = found.g.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=0).sqrt().to(length)
        moved = slope * size[:, 1:-1]
    error = (moved.amax(-1) + im.value_norm(known).amax(-1)) / length.clamp(min=tiny)
    known_to = eps * n * (1 + error)
    out = (energy >= torch.finfo(energy.dtype).max ** 0.5) | (energy <= (tiny / eps) ** 0.5)
    still = (curves == curves[:, :1]).all(-1).all(-1)
    return torch.where(still, 0, torch.where(out, torch.inf, known_to))


def admitted(rounding: Tensor, n: int, tol: float) -> Tensor:
    """Return the residual (B,) that a curve of n segments may have: max(tol, FACTOR n rounding)."""
    return (FACTOR * n * rounding).clamp(min=tol)


def coordinate_length(curves: Tensor) -> Tensor:
    """Return the root of n times the sum of squared steps of curves (B, N, d) in their coordinates, of shape (B,)."""
    return ((curves.shape[1] - 1) * curves.diff(dim=1).square().sum((-2, -1))).sqrt()


def is_hidden(rounding: Tensor, n: int) -> Tensor:
    """Return whether the rounding error is too large to measure the length of a segment, or an acceleration."""
    return (rounding > HIDDEN) | (rounding * n > ROUGH)
