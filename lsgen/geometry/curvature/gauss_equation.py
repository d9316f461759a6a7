r"""Christoffel symbols and curvature tensors, by Gauss' equation for an immersion and intrinsically for a metric field.

    Gamma^k_ij = g^kl <J_l, H_ij>,    II_ij = H_ij - Gamma^k_ij J_k,
    R_ijkl = <II_ik, II_jl> - <II_il, II_jk>,    Ric_jl = g^ik R_ijkl,
    R = g^ik g^jl R_ijkl = |tr II|^2 - |II|^2 .

First and second derivatives of an immersion are enough, see `lsgen.geometry.embedded`; for the intrinsic formulas that
a `MetricField` takes see `lsgen.geometry.metric_field`.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 6; O'Neill, "Semi-Riemannian Geometry" (1983), chapter 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.batching import pointwise
from lsgen.geometry.factorisation import finite, full_rank
from lsgen.geometry.metric_tensor import log_length_across
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = [
    "christoffel",
    "ricci",
    "riemann",
    "scalar_curvature",
    "sectional_curvature",
    "volume_and_curvature",
]


def christoffel(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the Christoffel symbols of the second kind.

        Gamma^k_ij = g^kl <d_l f, d_i d_j f>

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B, d, d, d), indexed [k, i, j]; NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    return pointwise(lambda part: (im.connection(part),), im, z, chunk_size, order=2, smooth=True)[0]


def riemann(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the covariant Riemann tensor.

        R_ijkl = <II_ik, II_jl> - <II_il, II_jk>

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B, d, d, d, d); R_ijij > 0 on a sphere. NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    Reference:
        do Carmo, "Riemannian Geometry" (1992), chapter 6, theorem 2.5 (Gauss).

    """
    return pointwise(lambda part: (im.riemann(part)[1].to(z.dtype),), im, z, chunk_size, order=2, smooth=True)[0]


def ricci(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the Ricci tensor.

        Ric_jl = g^ik R_ijkl

    In many dimensions (from 32 on) the d(d+1)/2 normal vectors II_ab of an orthonormal frame of an immersion into R^m
    are held, at O(d^3 m) operations, and the Riemann tensor is not built.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Symmetric matrices (B, d, d); (n-1) g on the unit sphere of dimension n. NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    return pointwise(lambda part: (im.ricci(part).to(z.dtype),), im, z, chunk_size, order=2, smooth=True)[0]


def sectional_curvature(im: RiemannianMetric, z: Tensor, u: Tensor, v: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the sectional curvature of the plane that two tangent vectors span.

        K(u, v) = R_ijkl u^i v^j u^k v^l / (|u|^2 |v|^2 - <u, v>^2)
                = (<II(u,u), II(v,v)> - |II(u,v)|^2) / (|u|^2 |v|^2 - <u, v>^2)

    For an immersion d first and three second derivatives are enough: the Riemann tensor is not built.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        u: tangent vectors (B, d).
        v: tangent vectors (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B,); NaN where u and v are parallel or the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`; also for vectors of another shape or dtype than the codes.

    """
    vectors = {"u": u, "v": v}
    return pointwise(lambda *part: (_sectional(im, *part),), im, z, chunk_size, 1, smooth=True, vectors=vectors)[0]


def scalar_curvature(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the scalar curvature of the induced metric.

        R = g^ik g^jl R_ijkl = |tr II|^2 - |II|^2

    In many dimensions (from 32 on) the pairs of an orthonormal frame of an immersion are taken in tiles, so that time
    is O(d^3 m) and memory does not grow with the number of pairs. The unit sphere of dimension n has R = n(n-1). The
    map is assumed twice differentiable at z: a decoder with ReLU has zero second derivatives almost everywhere, and a
    warning says so, once per map.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B,); NaN where the metric is rank deficient (`spectrum` tells the rank), or where a potential in
        closed form knows that rounding leaves less than a percent of it right. Zero where d = 1.

    Raises:
        TypeError, ValueError: see `metric`.

    Reference:
        do Carmo, "Riemannian Geometry" (1992), chapter 6, theorem 2.5 (Gauss).

    """
    return volume_and_curvature(im, z, chunk_size)[1]


def volume_and_curvature(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> tuple[Tensor, Tensor]:
    r"""Return the logarithm of the volume element and the scalar curvature, at the cost of the latter alone.

        log sqrt(det g),    R = g^ik g^jl R_ijkl

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Two tensors (B,), see `log_volume` and `scalar_curvature`: -inf and NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    volume, r = pointwise(lambda part: _volume_and_scalar(im, part), im, z, chunk_size, order=2, smooth=True)
    return volume, r


def _volume_and_scalar(im: RiemannianMetric, z: Tensor) -> tuple[Tensor, Tensor]:
    metric, r = im.scalar(z)
    volume = metric.root.diagonal(dim1=-2, dim2=-1).log().sum(-1) - log_length_across(im)
    volume = torch.where(metric.full, volume, torch.where(finite(metric.g), -torch.inf, torch.nan))
    return volume.to(z.dtype), r.to(z.dtype)


def _sectional(im: RiemannianMetric, z: Tensor, u: Tensor, v: Tensor) -> Tensor:
    g, top = im.sectional(z, u, v)
    u, v = u.double(), v.double()
    uu, uv, vv = (torch.einsum("nij,ni,nj->n", g, a, b) for a, b in ((u, u), (u, v), (v, v)))
    area = uu * vv - uv**2
    spanned = (area > 10 * torch.finfo(z.dtype).eps * uu * vv) & full_rank(g, im.precision(z))
    return torch.where(spanned, top / torch.where(spanned, area, torch.ones_like(area)), torch.nan).to(z.dtype)
