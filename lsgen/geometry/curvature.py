r"""Curvature of an immersion by Gauss' equation, from first and second derivatives only.

    g_ij = <J_i, J_j>,    II_ij = H_ij - Gamma^k_ij J_k,    Gamma^k_ij = g^kl <J_l, H_ij>,
    R_ijkl = <II_ik, II_jl> - <II_il, II_jk>,    R = g^ik g^jl R_ijkl = |tr II|^2 - |II|^2 .

The flat space enters through inner products alone: no D x D projector is formed, since

    <II_ij, II_kl> = <H_ij, H_kl> - (J^T H_ij)^T g^-1 (J^T H_kl) .

All of them are one Gram matrix of the d + d(d+1)/2 derivatives, in any signature.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 6; O'Neill, "Semi-Riemannian Geometry" (1983), chapter 4.
"""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.metric import check_definite, cholesky, eigenvalues, finite, inner, tolerance
from lsgen.geometry.propagate import kinks
from lsgen.geometry.taylor import Frame

__all__ = ["scalar_curvature", "volume_and_curvature"]

_warned: weakref.WeakSet[Any] = weakref.WeakSet()


def scalar_curvature(im: Immersion, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the scalar curvature of the induced metric.

        R = g^ik g^jl R_ijkl = |tr II|^2 - |II|^2

    The unit sphere of dimension n has R = n(n-1). The map is assumed twice differentiable at z: a decoder with ReLU
    has zero second derivatives almost everywhere, and a warning says so, once per map.

    Args:
        im: the immersion.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B,); NaN where the metric is rank deficient (`spectrum` tells the rank). Zero where d = 1.

    Raises:
        TypeError, ValueError: see `metric`.

    Reference:
        do Carmo, "Riemannian Geometry" (1992), chapter 6, theorem 2.5 (Gauss).

    """
    return volume_and_curvature(im, z, chunk_size)[1]


def volume_and_curvature(im: Immersion, z: Tensor, chunk_size: int | None = None) -> tuple[Tensor, Tensor]:
    r"""Return the logarithm of the volume element and the scalar curvature, at the cost of the latter alone.

        log sqrt(det g),    R = g^ik g^jl R_ijkl

    Args:
        im: the immersion.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Two tensors (B,), see `log_volume` and `scalar_curvature`: -inf and NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    flat = check_codes(im.fn, im.dim, z)
    warn_of_kinks(im, flat)
    volume, r = in_chunks(lambda part: _volume_and_scalar(im, part), im, flat, chunk_size, order=2)
    return volume.reshape(z.shape[:-1]), r.reshape(z.shape[:-1])


def _volume_and_scalar(im: Immersion, z: Tensor) -> tuple[Tensor, Tensor]:
    frame = Frame(im.dim, 2)
    g, normal = normal_products(im, z)
    check_definite(im, g, z.dtype)
    full = eigenvalues(g.detach(), tolerance(im.dim, z.dtype))[1] == im.dim
    root = cholesky(g, full)
    volume = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    volume = torch.where(full, volume, torch.where(finite(g), -torch.inf, torch.nan))
    inverse = torch.cholesky_inverse(root)
    i, j = frame.indices(z.device)
    weight = torch.where(i == j, 1.0, 2.0).to(g)
    trace = weight * inverse[:, i, j]
    ik, jl = inverse[:, i][..., i], inverse[:, j][..., j]
    il, jk = inverse[:, i][..., j], inverse[:, j][..., i]
    mixed = weight[:, None] * weight * (ik * jl + il * jk) / 2
    r = ((trace[:, :, None] * trace[:, None, :] - mixed) * normal).sum((-2, -1))
    return volume.to(z.dtype), torch.where(full, r, torch.nan).to(z.dtype)


def normal_products(im: Immersion, z: Tensor, directions: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return g (N, d, d) and <II_ij, II_kl> (N, pairs, pairs) at codes (N, d), in float64."""
    x = im.expansion(z, 2, directions)
    d, pairs = x.frame.d, x.frame.pairs
    products = inner(im, x.t.movedim(0, 1)).double()
    g = products[:, :d, :d]
    if not x.curved:
        return g, g.new_zeros(len(z), pairs, pairs)
    mixed, second = products[:, :d, d:], products[:, d:, d:]
    full = eigenvalues(g.detach(), tolerance(d, z.dtype))[1] == d
    return g, second - mixed.mT @ torch.cholesky_solve(mixed, cholesky(g, full))


def warn_of_kinks(im: Immersion, z: Tensor) -> None:
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
            stacklevel=3,
        )
