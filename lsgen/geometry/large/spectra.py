r"""The largest eigenvalues of the metric, by a block Krylov method.

From a random block X of k + p vectors grows the space span(X, g X, g^2 X, ...) with orthonormal basis Q; the Ritz pairs
of Q^T g Q approximate the largest eigenpairs. Since g = J^T S J, this is the randomised block Krylov method for the
largest singular values of J. A block finds eigenvalues of multiplicity up to its width, where single vectors miss them.

For every Ritz pair (theta, y) some eigenvalue of g lies within |g y - theta y| of theta: convergence is certified by
that residual.

Reference: Golub & Van Loan, "Matrix Computations" (2013), chapter 10.3; Musco & Musco, "Randomized block Krylov methods
for stronger and faster approximate singular value decomposition" (2015), https://arxiv.org/abs/1504.05477, algorithm 2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.compat import has_values
from lsgen.geometry.large.operator import MetricOperator
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["TopSpectrum", "top_spectrum"]


class TopSpectrum(NamedTuple):
    """The k largest eigenvalues (B, k), eigenvectors (B, k, d), residuals (B, k), and which codes converged (B,)."""

    eigenvalues: Tensor
    eigenvectors: Tensor
    residual: Tensor
    converged: Tensor


def top_spectrum(
    im: RiemannianMetric,
    z: Tensor,
    k: int = 10,
    *,
    tol: float = 1e-3,
    oversampling: int = 10,
    max_products: int | None = None,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> TopSpectrum:
    r"""Return the largest eigenvalues of the induced metric and their eigenvectors, without its matrix.

        g y_i = lambda_i y_i,    lambda_1 >= ... >= lambda_k

    Args:
        im: the metric.
        z: codes (B, d).
        k: number of eigenvalues.
        tol: bound on the residual |g y - lambda y| of a converged pair, relative to lambda.
        oversampling: vectors in a block beyond k.
        max_products: bound on the number of products g v per code; d where it is not given, which is exact.
        chunk_size: number of derivatives to propagate at once.
        generator: source of the random block.

    Returns:
        TopSpectrum(eigenvalues (B, k), largest first, eigenvectors (B, k, d) of unit Euclidean length, residual (B, k),
        relative to the eigenvalue, converged (B,)). Where the metric is not finite, NaN.

    Raises:
        TypeError, ValueError: see `MetricOperator`; also for a metric that has a negative eigenvalue, k outside 1, ...,
            d, or fewer products than k.

    """
    if not 1 <= k <= im.dim:
        raise ValueError(f"expected a number of eigenvalues from 1 to {im.dim}, got {k}")
    if max_products is not None and max_products < k:
        raise ValueError(f"expected at least {k} products for {k} eigenvalues, got max_products = {max_products}")
    g = MetricOperator(im, z, chunk_size)
    n, d = g.z.shape
    bound = min(d, max_products or d)
    width = min(k + max(0, oversampling), bound)
    start = torch.randn(n, d, width, generator=generator, device=z.device, dtype=torch.float64)
    basis = torch.linalg.qr(start)[0]
    images = _image(g, basis)
    while True:
        values, vectors, residual = _ritz(basis, images, k)
        if bool((residual > tol).logical_not().all()) or basis.shape[-1] >= bound:
            break
        new = _extended(basis, images[..., -width:][..., : bound - basis.shape[-1]])
        basis, images = torch.cat([basis, new], -1), torch.cat([images, _image(g, new)], -1)
    _check_positive(im, g.z, basis, images)
    batch = z.shape[:-1]
    return TopSpectrum(
        values.to(z.dtype).reshape(*batch, k),
        vectors.mT.to(z.dtype).reshape(*batch, k, d),
        residual.to(z.dtype).reshape(*batch, k),
        (residual <= tol).all(-1).reshape(batch),
    )


def _check_positive(im: RiemannianMetric, z: Tensor, basis: Tensor, images: Tensor) -> None:
    """Refuse a metric with a negative Ritz value, which proves that it has a negative eigenvalue."""
    if im.definite or not has_values(images):
        return
    small = torch.nan_to_num(basis.mT @ images)
    values = torch.linalg.eigvalsh((small + small.mT) / 2)
    slack = 10 * im.dim * torch.finfo(im.precision(z)).eps
    bad = values[:, 0] < -slack * values.abs().amax(-1)
    if bool(bad.any()):
        raise ValueError(
            f"expected {im.requirement}, got one with an eigenvalue of {values[:, 0].min().item():.3g} or less "
            f"({int(bad.sum())} of {len(bad)} codes have a negative one)"
        )


def _image(g: MetricOperator, vectors: Tensor) -> Tensor:
    """Return g times vectors (N, d, b), in float64."""
    d = g.im.dim
    b = vectors.shape[-1]
    return g(vectors.mT.to(g.z.dtype).reshape(*g.shape[:-1], b, d)).reshape(len(g.z), b, d).mT.double()


def _extended(basis: Tensor, block: Tensor) -> Tensor:
    """Return an orthonormal continuation (N, d, b) of a basis into the span of a block, completed where that has less.

    Householder's method gives orthonormal columns whatever the rank of the block.
    """
    finite = torch.isfinite(block).all(-2, keepdim=True)
    columns = torch.cat([basis, torch.where(finite, block, torch.zeros_like(block))], -1)
    return torch.linalg.qr(columns)[0][..., basis.shape[-1] :]


def _ritz(basis: Tensor, images: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the k largest Ritz values (N, k), their vectors (N, d, k) and relative residuals (N, k)."""
    small = basis.mT @ images
    finite = torch.isfinite(small).all(-1).all(-1)[:, None]
    small = torch.where(finite[..., None], (small + small.mT) / 2, torch.zeros_like(small))
    values, inside = torch.linalg.eigh(small)
    values, inside = values.flip(-1)[:, :k].clamp(min=0), inside.flip(-1)[..., :k]
    vectors = basis @ inside
    misfit = torch.linalg.vector_norm(images @ inside - vectors * values[:, None], dim=-2)
    tiny = torch.finfo(torch.float64).tiny
    residual = torch.where(misfit > 0, misfit / values.clamp(min=tiny), misfit)
    nan = torch.full_like(values, torch.nan)
    return torch.where(finite, values, nan), vectors, torch.where(finite, residual, nan)
