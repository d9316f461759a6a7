r"""What connection and curvature are made of, in float64 whatever the dtype of the codes.

An immersion enters through inner products alone: no D x D projector is formed, since

    <II_ij, II_kl> = <H_ij, H_kl> - (J^T H_ij)^T g^-1 (J^T H_kl) ,

and all of them are one Gram matrix of the d + d(d+1)/2 derivatives, in any signature. A `MetricField` enters through
its own derivatives,

    Gamma_l,ij = (d_i g_lj + d_j g_li - d_l g_ij) / 2,
    R_ijkl = (d_j d_k g_il + d_i d_l g_jk - d_i d_k g_jl - d_j d_l g_ik) / 2
             + g_mn (Gamma^m_jk Gamma^n_il - Gamma^m_jl Gamma^n_ik).

Reference: do Carmo, "Riemannian Geometry" (1992), chapters 2, 4 and 6.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.immersion import Immersion
from lsgen.geometry.jets import Frame
from lsgen.geometry.metric_field import FieldJet, MetricField
from lsgen.geometry.metric_tensor import check_definite, cholesky, eigenvalues, inner, tolerance

__all__ = [
    "Factored",
    "connection",
    "curvature_tensor",
    "factored",
    "full_rank",
    "inverse_metric",
    "normal_products",
    "sectional_products",
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
    """Return g with its factors, where its entries have the precision of a dtype."""
    full = full_rank(g, dtype)
    return Factored(g, full, cholesky(g, full))


def connection(im: Immersion | MetricField, z: Tensor) -> Tensor:
    """Return Gamma^k_ij at codes (N, d), indexed [k, i, j], in the dtype of z."""
    if isinstance(im, MetricField):
        g, lower = _first_kind(im.jet(z, 1))
        check_definite(im, g, z.dtype)
    else:
        products, d = _products(im, z), im.dim
        g, lower = products[:, :d, :d], products[:, :d, d:]
        check_definite(im, g, z.dtype)
        curved = lower.shape[-1] > 0
        lower = lower[:, :, Frame(d, 2).places(z.device)] if curved else lower.new_zeros(len(z), d, d, d)
    return torch.einsum("nkl,nlij->nkij", inverse_metric(g, z.dtype), lower).to(z.dtype)


def curvature_tensor(im: Immersion | MetricField, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return g and R_ijkl at codes (N, d); R is NaN where g is rank deficient."""
    if isinstance(im, MetricField):
        return _intrinsic(im, z)
    metric, normal = normal_products(im, z)
    place = Frame(im.dim, 2).places(z.device)
    ik_jl = normal[:, place][..., place].permute(0, 1, 3, 2, 4)
    r = ik_jl - ik_jl.transpose(-1, -2)
    return metric.g, torch.where(metric.full[:, None, None, None, None], r, torch.nan)


def _intrinsic(im: MetricField, z: Tensor) -> tuple[Tensor, Tensor]:
    jet = im.jet(z, 2)
    g, lower = _first_kind(jet)
    check_definite(im, g, z.dtype)
    raised = torch.einsum("nkl,nlij->nkij", inverse_metric(g, z.dtype), lower)
    assert jet.second is not None
    jk_il = jet.second.double().permute(0, 3, 1, 2, 4)
    half = (jk_il - jk_il.transpose(-1, -2)) / 2
    bend = half - half.transpose(1, 2)
    product = torch.einsum("nmjk,nmil->nijkl", raised, lower)
    return g, bend + product - product.transpose(-1, -2)


def _first_kind(jet: FieldJet) -> tuple[Tensor, Tensor]:
    """Return g and Gamma_l,ij, indexed [l, i, j]."""
    g, dg = jet.g.double(), jet.first.double()
    i_lj = dg.transpose(1, 2)
    return (g + g.mT) / 2, (i_lj + i_lj.transpose(2, 3) - dg) / 2


def sectional_products(im: Immersion | MetricField, z: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return g and R_ijkl u^i v^j u^k v^l at codes (N, d)."""
    if isinstance(im, MetricField):
        g, r = curvature_tensor(im, z)
        u, v = u.double(), v.double()
        return g, torch.einsum("nijkl,ni,nj,nk,nl->n", r, u, v, u, v)
    j = im.expansion(z, 1, isometric=True).t.movedim(0, 1).double()
    x = im.expansion(z, 2, torch.stack([u, v]), isometric=True)
    h = x.t[2:].movedim(0, 1).double() if x.curved else j.new_zeros(len(z), 3, j.shape[-1])
    products, d = inner(im, torch.cat([j, h], 1)), im.dim
    g, mixed = products[:, :d, :d], products[:, :d, d:]
    check_definite(im, g, z.dtype)
    normal = products[:, d:, d:] - mixed.mT @ torch.cholesky_solve(mixed, cholesky(g, full_rank(g, z.dtype)))
    return g, normal[:, 0, 2] - normal[:, 1, 1]


def normal_products(im: Immersion, z: Tensor) -> tuple[Factored, Tensor]:
    """Return g (N, d, d) with its factors and <II_ij, II_kl> (N, pairs, pairs) at codes (N, d)."""
    d, pairs = im.dim, im.dim * (im.dim + 1) // 2
    products = _products(im, z)
    g, mixed, second = products[:, :d, :d], products[:, :d, d:], products[:, d:, d:]
    check_definite(im, g, z.dtype)
    metric = factored(g, z.dtype)
    if not mixed.shape[-1]:
        return metric, g.new_zeros(len(z), pairs, pairs)
    return metric, second - mixed.mT @ torch.cholesky_solve(mixed, metric.root)


def _products(im: Immersion, z: Tensor) -> Tensor:
    """Return all inner products of first and (where there are any) second derivatives at codes (N, d)."""
    return inner(im, im.expansion(z, 2, isometric=True).t.movedim(0, 1)).double()


def full_rank(g: Tensor, dtype: torch.dtype, products: torch.dtype | None = None) -> Tensor:
    """Return which matrices have full numerical rank, of Jacobians of a dtype and of products of it or of another."""
    d = g.shape[-1]
    return eigenvalues(g.detach(), tolerance(d, dtype, products or dtype))[1] == d


def inverse_metric(g: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the inverse metric, NaN where g is rank deficient."""
    return factored(g, dtype).inverse
