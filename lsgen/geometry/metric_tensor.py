r"""The metric tensor: its matrix, volume element, spectrum and orthonormal frames.

    g_ij = <J_i, J_j>,        volume element sqrt(det g)   (magnification factor).

Eigenvalues are those of the Gram matrix accumulated in float64, so that singular values of J are known to the
precision of J. The numerical rank counts eigenvalues above (10 d eps)^2 times the largest, eps that of the dtype in
which the map computes, and above 10 d eps in float64, where the products round too. Of a metric that is given itself,
or as the Hessian of a potential, eigenvalues are known to eps alone, and it counts those above 10 d eps. Curvature
needs more: it is NaN below 10 d eps in either dtype. Eigenvalues depend on the scale of the latent coordinates; those
of g Cov(z) do not.

Reference: Bishop, Svensen & Williams, "Magnification factors for the SOM and GTM algorithms" (1997);
Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import pointwise
from lsgen.geometry.factorisation import cholesky, eigenvalues, finite
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = [
    "Spectrum",
    "log_length_across",
    "log_volume",
    "metric",
    "orthonormal_frames",
    "spectrum",
    "tangent_frames",
]


class Spectrum(NamedTuple):
    """Eigenvalues (B, d) of the metric, largest first; condition number (B,); numerical rank (B,).

    Of codes on a curved manifold, d is its dimension.
    """

    eigenvalues: Tensor
    condition_number: Tensor
    rank: Tensor


def metric(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the induced metric.

        g_ij = <d_i f, d_j f>

    Of codes on a curved manifold it is a matrix in their coordinates, and g(u, v) of tangent vectors is the metric; of
    vectors across the manifold it is a convention (`lsgen.geometry.surroundings`).

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Symmetric matrices (B, d, d).

    Raises:
        TypeError, ValueError: see `jet`; also where a signature given by the user makes the metric indefinite.

    """
    (g,) = pointwise(lambda part: (im.gram(part, wide=False),), im, z, chunk_size, order=1)
    im.check_definite(g.reshape(-1, im.dim, im.dim), z.reshape(-1, im.dim))
    return g


def log_volume(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the logarithm of the volume element (the log magnification factor).

        log sqrt(det g)

    Of codes on a curved manifold it is the volume over that of the manifold as it lies in its coordinates.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B,), in nats; -inf where the metric is rank deficient (`spectrum` tells the rank).

    Raises:
        TypeError, ValueError: see `metric`.

    """
    g = _wide(im, z, chunk_size)
    _, rank = eigenvalues(g, im.rank_tolerance(z.reshape(-1, im.dim)))
    full = rank == im.dim
    root = cholesky(g, full)
    half = root.diagonal(dim1=-2, dim2=-1).log().sum(-1) - log_length_across(im)
    half = torch.where(full, half, torch.where(finite(g), -torch.inf, torch.nan))
    return half.to(z.dtype).reshape(z.shape[:-1])


def spectrum(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Spectrum:
    r"""Return the eigenvalues of the metric, its condition number and its numerical rank.

        g = V diag(lambda) V^T,    condition number = lambda_1 / lambda_d.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Spectrum(eigenvalues (B, d), largest first, condition_number (B,), rank (B,)); the condition number is inf
        where the rank is below d; where the metric is not finite, eigenvalues are NaN and the rank is 0.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    g = _wide(im, z, chunk_size)
    dim = im.dim - im.normals
    if dim < im.dim:
        frame = tangent_frames(im, z.reshape(-1, im.dim)).double()
        g = frame.mT @ g @ frame
    values, rank = eigenvalues(g, im.rank_tolerance(z.reshape(-1, im.dim)))
    ratio = torch.where(rank == dim, values[:, 0] / values[:, -1], torch.inf)
    ratio = torch.where(finite(g), ratio, torch.nan)
    batch = z.shape[:-1]
    return Spectrum(values.to(z.dtype).reshape(*batch, dim), ratio.to(z.dtype).reshape(batch), rank.reshape(batch))


def _wide(im: RiemannianMetric, z: Tensor, chunk_size: int | None) -> Tensor:
    (g,) = pointwise(lambda part: (im.gram(part, wide=True),), im, z, chunk_size, order=1)
    g = g.reshape(-1, im.dim, im.dim)
    im.check_definite(g, z.reshape(-1, im.dim))
    return g


def tangent_frames(im: RiemannianMetric, z: Tensor) -> Tensor:
    """Return bases (N, d, d - k) of the manifold's tangent spaces at codes (N, d), orthonormal in the coordinates."""
    eye = torch.eye(im.dim, dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
    z = z.detach()
    images = im.manifold.tangent(z[:, None].expand_as(eye), eye)  # of the unit vectors, one a row
    return torch.linalg.svd(images)[2].mT[..., : im.dim - im.normals]


def log_length_across(im: RiemannianMetric) -> float:
    """Return the part of log sqrt(det g) that vectors across the manifold of the codes have."""
    return im.normals * log(length) if (length := getattr(im.fn, "normal_length", 0.0)) else 0.0


def orthonormal_frames(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    """Return orthonormal frames (N, d, d), columns g-orthonormal, E E^T = g^-1; NaN where the metric is deficient."""
    g = _wide(im, z, chunk_size)
    eye = torch.eye(im.dim, dtype=g.dtype, device=g.device)
    ok = eigenvalues(g.detach(), im.rank_tolerance(z.reshape(-1, im.dim)))[1] == im.dim
    root = cholesky(g, ok)
    made = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False).mT
    return torch.where(ok[:, None, None], made, torch.nan).to(z)
