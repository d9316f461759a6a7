"""Metrics as matrices: norms, eigenvalues, numerical rank, Cholesky factors and inverses, many codes at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Factored",
    "cholesky",
    "eigenvalues",
    "factored",
    "finite",
    "full_rank",
    "inverse_metric",
    "norm",
    "raised",
    "replaced",
    "square_root",
    "tolerance",
]


class Factored(NamedTuple):
    """A metric g (N, d, d), where it has full numerical rank (N,), and its Cholesky factors (else the identity)."""

    g: Tensor
    full: Tensor
    root: Tensor

    @property
    def inverse(self) -> Tensor:
        """The inverse metric, NaN where g is rank deficient."""
        one = torch.eye(self.root.shape[-1], dtype=self.root.dtype, device=self.root.device)
        # A solve: the forward derivative of torch.cholesky_inverse is wrong by a percent.
        inverse = torch.cholesky_solve(one.expand_as(self.root), self.root)
        return torch.where(self.full[:, None, None], inverse, torch.nan)


def factored(g: Tensor, dtype: torch.dtype) -> Factored:
    """Return g with its Cholesky factors; the dtype is the precision of its entries."""
    full = full_rank(g, dtype)
    return Factored(g, full, cholesky(g, full))


def inverse_metric(g: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the inverse metric, NaN where g is rank deficient."""
    return factored(g, dtype).inverse


def norm(g: Tensor, v: Tensor) -> Tensor:
    """Return |v|_g of vectors (N, d) in metrics (N, d, d), of shape (N,)."""
    return square_root(torch.einsum("ni,nij,nj->n", v, g, v))


def square_root(x: Tensor) -> Tensor:
    """Return square roots; 0, with derivative 0, of what is not positive (autograd's derivative at 0 makes NaN)."""
    none = x <= 0
    return torch.where(none, 0, torch.where(none, 1, x).sqrt())


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


def full_rank(g: Tensor, dtype: torch.dtype, products: torch.dtype | None = None) -> Tensor:
    """Return which matrices have full numerical rank, given the dtype of Jacobians and, if another, of products."""
    d = g.shape[-1]
    return eigenvalues(g.detach(), tolerance(d, dtype, products or dtype))[1] == d


def finite(g: Tensor) -> Tensor:
    """Return which matrices hold finite numbers only."""
    return torch.isfinite(g).all(-1).all(-1)


def replaced(g: Tensor, ok: Tensor) -> Tensor:
    """Return g, or the identity where `ok` is False, so that factorisations and their gradients are defined."""
    return torch.where(ok[:, None, None], g, torch.eye(g.shape[-1], dtype=g.dtype, device=g.device))


def cholesky(g: Tensor, ok: Tensor) -> Tensor:
    """Return the Cholesky factors of the matrices that are ok, and of the identity in place of the others."""
    return torch.linalg.cholesky_ex(replaced(g, ok))[0]


def raised(fisher: Tensor, covector: Tensor) -> Tensor:
    """Return v with F v = w, for w (..., k) in the range of F (..., k, k), whose directions may be redundant.

    Each coordinate is scaled to information 1 first, so that only redundancy, and not scale, counts as a rank deficit.
    """
    scale = fisher.diagonal(dim1=-2, dim2=-1).sqrt()
    inverse = torch.where(scale > 0, 1 / scale, 0)
    correlation = inverse.unsqueeze(-1) * fisher * inverse.unsqueeze(-2)
    pseudoinverse = torch.linalg.pinv(correlation, hermitian=True)
    return inverse * (pseudoinverse @ (inverse * covector).unsqueeze(-1)).squeeze(-1)
