r"""The metric that an immersion induces.

    g_ij = <J_i, J_j>,        volume element sqrt(det g)   (magnification factor).

Eigenvalues are those of the Gram matrix accumulated in float64, so that singular values of J are known to the
precision of J. The numerical rank counts eigenvalues above (10 d eps)^2 times the largest, eps that of the codes'
dtype, and above 10 d eps in float64, where the products round too. Curvature needs more: it is NaN below 10 d eps
in either dtype. Eigenvalues depend on the scale of the latent coordinates; those of g Cov(z) do not.

Reference: Bishop, Svensen & Williams, "Magnification factors for the SOM and GTM algorithms" (1997);
Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.compat import is_batched
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.metric_field import MetricField

__all__ = ["Spectrum", "log_volume", "metric", "spectrum"]


class Spectrum(NamedTuple):
    """Eigenvalues (B, d) of the metric, largest first; condition number (B,); numerical rank (B,)."""

    eigenvalues: Tensor
    condition_number: Tensor
    rank: Tensor


def metric(im: Immersion | MetricField, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the induced metric.

        g_ij = <d_i f, d_j f>

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Symmetric matrices (B, d, d).

    Raises:
        TypeError, ValueError: see `jet`; also where a signature given by the user makes the metric indefinite.

    """
    flat = check_codes(im.fn, im.dim, z)
    (g,) = in_chunks(lambda part: (gram(im, part, wide=False),), im, flat, chunk_size, order=1)
    check_definite(im, g)
    return g.reshape(*z.shape[:-1], im.dim, im.dim)


def log_volume(im: Immersion | MetricField, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the logarithm of the volume element (the log magnification factor).

        log sqrt(det g)

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
    _, rank = eigenvalues(g, tolerance(im.dim, z.dtype))
    full = rank == im.dim
    root = cholesky(g, full)
    half = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    half = torch.where(full, half, torch.where(finite(g), -torch.inf, torch.nan))
    return half.to(z.dtype).reshape(z.shape[:-1])


def spectrum(im: Immersion | MetricField, z: Tensor, chunk_size: int | None = None) -> Spectrum:
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
    values, rank = eigenvalues(g, tolerance(im.dim, z.dtype))
    ratio = torch.where(rank == im.dim, values[:, 0] / values[:, -1], torch.inf)
    ratio = torch.where(finite(g), ratio, torch.nan)
    batch = z.shape[:-1]
    return Spectrum(values.to(z.dtype).reshape(*batch, im.dim), ratio.to(z.dtype).reshape(batch), rank.reshape(batch))


def _wide(im: Immersion | MetricField, z: Tensor, chunk_size: int | None) -> Tensor:
    flat = check_codes(im.fn, im.dim, z)
    (g,) = in_chunks(lambda part: (gram(im, part, wide=True),), im, flat, chunk_size, order=1)
    check_definite(im, g, z.dtype)
    return g


def gram(im: Immersion | MetricField, z: Tensor, wide: bool) -> Tensor:
    """Return <J_i, J_j> at codes (N, d), of shape (N, d, d); accumulated in float64 if wide."""
    if isinstance(im, MetricField):
        g = im.matrices(z)
        return g.double() if wide else g
    j = im.expansion(z, 1, isometric=True).t.movedim(0, 1)
    return inner(im, j.double() if wide else j)


def inner(im: Immersion, t: Tensor) -> Tensor:
    """Return all inner products of vectors (N, K, m) of the flat space, of shape (N, K, K)."""
    products = im.signed(t) @ t.mT
    return (products + products.mT) / 2


def norm(g: Tensor, v: Tensor) -> Tensor:
    """Return |v|_g of vectors (N, d) in metrics (N, d, d), of shape (N,)."""
    return torch.einsum("ni,nij,nj->n", v, g, v).clamp(min=0).sqrt()


def tolerance(dim: int, dtype: torch.dtype, products: torch.dtype = torch.float64) -> float:
    """Return the ratio of eigenvalues below which they are rounding errors, of J or of the products of its columns.

    Args:
        dim: latent dimension d.
        dtype: the precision of J.
        products: the precision of the inner products.

    """
    return max((10 * dim * torch.finfo(dtype).eps) ** 2, 10 * dim * torch.finfo(products).eps)


def eigenvalues(g: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of g, largest first and at least 0, and the number above ratio times the largest."""
    ok = finite(g)
    values = torch.linalg.eigvalsh(replaced(g, ok)).flip(-1).clamp(min=0)
    rank = ((values > ratio * values[:, :1]) & (values > 0)).sum(-1)
    return torch.where(ok[:, None], values, torch.nan), torch.where(ok, rank, 0)


def finite(g: Tensor) -> Tensor:
    """Return which matrices hold finite numbers only."""
    return torch.isfinite(g).all(-1).all(-1)


def replaced(g: Tensor, ok: Tensor) -> Tensor:
    """Return g with the identity where it is not ok, so that factorisations and their gradients stay defined."""
    return torch.where(ok[:, None, None], g, torch.eye(g.shape[-1], dtype=g.dtype, device=g.device))


def cholesky(g: Tensor, ok: Tensor) -> Tensor:
    """Return the Cholesky factors of the matrices that are ok, and of the identity in place of the others."""
    return torch.linalg.cholesky_ex(replaced(g, ok))[0]


def check_definite(im: Immersion | MetricField, g: Tensor, dtype: torch.dtype | None = None) -> None:
    """Refuse a user's own signature or metric that is not positive definite somewhere."""
    if im.trusted or is_batched(g):
        return
    values = torch.linalg.eigvalsh(replaced(g, finite(g)).detach().double())
    slack = 10 * im.dim * torch.finfo(dtype or g.dtype).eps * values.abs().amax(-1)
    bad = values[:, 0] < -slack
    if bool(bad.any()):
        field = isinstance(im, MetricField)
        what = "a positive definite metric" if field else "a signature that makes the metric positive definite"
        raise ValueError(
            f"expected {what}, got a smallest eigenvalue of "
            f"{values[:, 0].min().item():.3g} ({int(bad.sum())} of {len(bad)} codes have a negative one)"
        )
