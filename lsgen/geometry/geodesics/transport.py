r"""Parallel transport along a curve, and the holonomy of a loop.

    w' = -Gamma(z)(z', w)

The implicit midpoint rule on the segments of the given curve is second order in their length: with
A^k_j = Gamma^k_ij dz^i at the middle of a segment, (1 + A/2) w_{i+1} = (1 - A/2) w_i.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_curves
from lsgen.geometry.checks import check_vectors
from lsgen.geometry.curvature.gauss_equation import christoffel
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["holonomy", "parallel_transport"]


def parallel_transport(im: RiemannianMetric, curve: Tensor, v: Tensor) -> Tensor:
    r"""Return tangent vectors carried along curves by the Levi-Civita connection.

        w' + Gamma(z', w) = 0,    w(0) = v

    Lengths and angles stay as they are, to second order in the length of a segment.

    Args:
        im: the immersion, or the metric itself.
        curve: curves (B, N, d).
        v: tangent vectors (B, d) at their first points.

    Returns:
        Tangent vectors (B, N, d) at all points; NaN from where the metric is rank deficient, or a segment so long that
        the midpoint rule has no solution.

    Raises:
        TypeError, ValueError: see `metric`; also for shapes other than those above, or fewer than 2 points.

    """
    curves = flat_curves(im, curve)
    carried = [check_vectors("vectors v", v, curve[..., 0, :])]
    for step in _steps(im, curves.z).unbind(1):
        carried.append(torch.einsum("nij,nj->ni", step, carried[-1]))
    return curves.restored(torch.stack(carried, 1))


def holonomy(im: RiemannianMetric, loop: Tensor) -> Tensor:
    r"""Return the holonomy of a loop: parallel transport around it as a linear map of tangent vectors at its start.

    Around a small loop of a surface it is the rotation by the integral of the Gauss curvature inside.

    Args:
        im: the immersion, or the metric itself.
        loop: curves (B, N, d) whose last points are the first.

    Returns:
        Matrices (B, d, d).

    Raises:
        TypeError, ValueError: see `parallel_transport`; also where a curve is not closed.

    """
    curves = flat_curves(im, loop)
    if not bool((loop[..., 0, :] == loop[..., -1, :]).all()):
        raise ValueError("expected closed curves, got some whose last point is not the first")
    total = torch.eye(im.dim, dtype=loop.dtype, device=loop.device).expand(len(curves.z), -1, -1)
    for step in _steps(im, curves.z).unbind(1):
        total = step @ total
    return curves.restored(total)


def _steps(im: RiemannianMetric, curves: Tensor) -> Tensor:
    """Return the transport over each segment of curves (B, N, d), of shape (B, N-1, d, d)."""
    middle, dz = (curves[:, 1:] + curves[:, :-1]) / 2, curves.diff(dim=1)
    half = torch.einsum("bnkij,bni->bnkj", christoffel(im, middle), dz) / 2
    eye = torch.eye(im.dim, dtype=curves.dtype, device=curves.device)
    step, info = torch.linalg.solve_ex(eye + half, eye - half)
    return torch.where((info == 0)[..., None, None], step, torch.nan)
