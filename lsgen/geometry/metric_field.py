r"""A Riemannian metric given directly as a matrix field z -> g(z).

Learned and conformal metrics, and Fisher-Rao metrics of families without a flat embedding, g = J_h^T F(h) J_h, have no
immersion to differentiate. First and second derivatives of g itself take its place,

    Gamma_l,ij = (d_i g_lj + d_j g_li - d_l g_ij) / 2,
    R_ijkl = (d_j d_k g_il + d_i d_l g_jk - d_i d_k g_jl - d_j d_l g_ik) / 2
             + g_mn (Gamma^m_jk Gamma^n_il - Gamma^m_jl Gamma^n_ik) .

In a frame e_1, ..., e_d, with derivatives along its vectors kept constant and T_bac = (d_b g)(e_a, e_c),

    2 <Gamma(x, y), e_b> = (d_x g)(y, e_b) + (d_y g)(x, e_b) - (d_b g)(x, y)
    2 K_ab = d_a d_v g(v, e_b) + d_b d_v g(v, e_a) - d_a d_b g(v, v) - d_v^2 g(e_a, e_b)
             + 2 <Gamma(v, e_a), Gamma(v, e_b)> - 2 <Gamma(v, v), Gamma(e_a, e_b)> .

Segments d_i = z_{i+1} - z_i are measured by the metric at their middles m_i, with energy and force

    E = n sum_i d_i^T g(m_i) d_i
    F_i = g(m_i) d_i - g(m_{i-1}) d_{i-1} - (dg(m_i)(d_i, d_i) + dg(m_{i-1})(d_{i-1}, d_{i-1})) / 4,

whose Hessian takes second derivatives of g; beside it the model g(m_{i-1}) + g(m_i), -g(m_i) is positive definite. The
length of a smooth curve is int |c'(t)|_g dt by Simpson's rule, c the polynomials of degree 5 through six neighbouring
points, to fourth order.

Reference: do Carmo, "Riemannian Geometry" (1992), chapters 2 and 4; Fornberg, "Generation of finite difference formulas
on arbitrarily spaced grids" (1988).
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.checks import check_map
from lsgen.geometry.compat import has_values
from lsgen.geometry.double import DecoderMap, widened_map
from lsgen.geometry.factorisation import full_rank, inverse_metric, square_root
from lsgen.geometry.jets import propagate
from lsgen.geometry.riemannian import (
    Blocks,
    JacobiOperator,
    Map,
    NewtonSystem,
    RiemannianMetric,
    hessian_along,
    interleaved,
    repeated,
    symmetric_operator,
)
from lsgen.latent import LatentSpace

__all__ = ["MetricField", "PulledBackInformation", "metric_field"]


class FieldJet(NamedTuple):
    """g_ij (N, d, d), d_k g_ij (N, d, d, d) as [k, i, j], and d_k d_l g_ij (N, d, d, d, d) as [k, l, i, j]."""

    g: Tensor
    first: Tensor
    second: Tensor | None


@final
@dataclass(frozen=True, eq=False)
class MetricField(RiemannianMetric):
    r"""A Riemannian metric given as a function of the codes.

    Args:
        fn: maps codes (N, d) to symmetric positive definite matrices (N, d, d), each code by itself.
        dim: latent dimension d.
        definite: whether the matrices are known to be symmetric and positive definite, so that they are not checked.

    Raises:
        TypeError: fn cannot be called.
        ValueError: dim is not positive.

    Example:
        >>> half_plane = MetricField(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2, dim=2)
        >>> half_plane(torch.tensor([0.0, 2.0]))
        tensor([[0.2500, 0.0000],
                [0.0000, 0.2500]])

    """

    fn: Map
    dim: int
    definite: bool = False

    exact_hessian, newton_order, by_differences, of_jacobian = True, 2, False, False
    requirement = "a positive definite metric"

    def __post_init__(self) -> None:
        check_map(self.fn, self.dim)

    def __call__(self, z: Tensor) -> Tensor:
        """Return g(z), of shape (B, d, d), at codes (B, d)."""
        return self.matrices(flat_codes(self, z).z).reshape(*z.shape[:-1], self.dim, self.dim)

    @property
    def local(self) -> Map:
        """The function whose derivatives are taken."""
        return self.fn

    def matrices(self, z: Tensor) -> Tensor:
        """Return g at codes (N, d), checked, of shape (N, d, d)."""
        g = self.fn(z)
        self._check(g, z)
        return (g + g.mT) / 2

    def jet(self, z: Tensor, order: int) -> FieldJet:
        """Return g with its derivatives at codes (N, d), checked."""
        d, n = self.dim, len(z)
        x = propagate(self.fn, z, torch.eye(d, dtype=z.dtype, device=z.device), order)
        self._check(x.v, z)
        first = x.j.movedim(0, 1)
        if order == 1:
            return FieldJet(x.v, first, None)
        second = x.t.new_zeros(n, d, d, d, d)
        if x.curved:
            second = x.t[d:].movedim(0, 1)[:, x.frame.places(z.device)]
        return FieldJet(x.v, first, second)

    def gram(self, z: Tensor, wide: bool) -> Tensor:
        """Return g at codes (N, d), of shape (N, d, d); in float64 if wide."""
        g = self.matrices(z)
        return g.double() if wide else g

    def push(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the vectors themselves."""
        return v

    def pull(self, z: Tensor, w: Tensor) -> Tensor:
        """Return g w for vectors (N, k, d)."""
        return w @ self.matrices(z)

    def christoffel_first(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and Gamma_l,ij, indexed [l, i, j], in float64."""
        g, lower = _first_kind(self.jet(z, 1))
        self.check_definite(g, z)
        return g, lower

    def riemann(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and R_ijkl at codes (N, d); R is NaN where g is rank deficient."""
        jet = self.jet(z, 2)
        g, lower = _first_kind(jet)
        self.check_definite(g, z)
        raised = torch.einsum("nkl,nlij->nkij", inverse_metric(g, self.precision(z)), lower)
        assert jet.second is not None
        jk_il = jet.second.double().permute(0, 3, 1, 2, 4)
        half = (jk_il - jk_il.transpose(-1, -2)) / 2
        bend = half - half.transpose(1, 2)
        product = torch.einsum("nmjk,nmil->nijkl", raised, lower)
        return g, bend + product - product.transpose(-1, -2)

    def jacobi_operator(self, z: Tensor, v: Tensor, frame: Tensor) -> JacobiOperator:
        """Return Gamma(v, v), Gamma(v, e_a) and K_ab from derivatives of g along the frame."""
        n, d = v.shape
        x = propagate(self.fn, repeated(z, d), torch.stack([repeated(v, d), frame.mT.reshape(-1, d)]), 2)
        g, e, w = x.v.unflatten(0, (n, d))[:, 0].double(), frame.double(), v.double()
        slabs = x.t.unflatten(1, (n, d)).double()
        if not x.curved:
            slabs = torch.cat([slabs, torch.zeros_like(slabs[:1]).expand(3, -1, -1, -1, -1)])
        self.check_definite(g, z)
        dg, by_v = torch.einsum("npa,nbpq,nqc->nbac", e, slabs[1], e), e.mT @ slabs[0, :, 0]
        turned, dv = torch.einsum("npa,nbpq,nq->nab", e, slabs[1], w), by_v @ e
        lower = (dv + turned - turned.mT) / 2
        along = (by_v @ w[..., None])[..., 0] - torch.einsum("np,nbpq,nq->nb", w, slabs[1], w) / 2
        inside = torch.linalg.solve_ex(e.mT @ g @ e, torch.cat([lower, along[..., None]], -1))[0]
        c = inside[..., d]
        sloped = torch.einsum("nc,nabc->nab", c, dg)
        third = (sloped + sloped.mT - torch.einsum("nc,ncab->nab", c, dg)) / 2
        mixed = torch.einsum("npa,nbpq,nq->nab", e, slabs[3], w)
        square = (v[:, :, None] * v[:, None, :]).flatten(1)
        twice = hessian_along(lambda u: self.matrices(u).flatten(1), z, square, frame) + e.mT @ slabs[2, :, 0] @ e
        across = (mixed + mixed.mT - twice) / 2 + lower.mT @ inside[..., :d] - third
        return symmetric_operator(v, (e @ c[..., None])[..., 0], e @ inside[..., :d], across)

    def segment_data(self, curves: Tensor) -> Tensor:
        """Return g at the middles of curves (B, N, d), of shape (B, N-1, d, d)."""
        b, n, d = curves.shape
        return self.matrices(_middles(curves)).reshape(b, n - 1, d, d)

    def refined_data(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return g at the middles of the halves of segments."""
        return self.segment_data(interleaved(curves, self.middles(curves)))

    def segment_energies(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the squared length of every segment (B, N-1) by the metric at its middle."""
        steps = curves.diff(dim=1)
        return torch.einsum("bni,bnij,bnj->bn", steps, known, steps)

    def smooth_length(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the integral of the speed of curves by Simpson's rule."""
        b, n, d = curves.shape
        where = torch.arange(2 * n - 1, dtype=torch.float64, device=curves.device) / 2
        points, slopes = _stencils(n, where)
        from_start = curves - curves[:, :1]
        z = curves[:, :1] + torch.einsum("kn,bnd->bkd", points.to(curves), from_start)
        v = torch.einsum("kn,bnd->bkd", slopes.to(curves), from_start)
        g = self.matrices(z.flatten(0, 1)).reshape(b, 2 * n - 1, d, d)
        speed = square_root(torch.einsum("bki,bkij,bkj->bk", v, g, v))
        return (speed[:, :-1:2] + 4 * speed[:, 1::2] + speed[:, 2::2]).sum(-1) / 6

    def newton_system(self, curves: Tensor, known: Tensor) -> NewtonSystem:
        """Return the system of the exact Hessian, with a positive definite model beside it."""
        b, n, d = curves.shape
        jet = self.jet(_middles(curves), 2)
        self.check_definite(jet.g, _middles(curves))
        assert jet.second is not None
        g, dg = jet.g.reshape(b, n - 1, d, d), jet.first.reshape(b, n - 1, d, d, d)
        ddg, steps = jet.second.reshape(b, n - 1, d, d, d, d), curves.diff(dim=1)
        main = torch.einsum("bnij,bnj->bni", g, steps)
        bend = torch.einsum("bnkij,bni,bnj->bnk", dg, steps, steps) / 4
        force = main[:, 1:] - main[:, :-1] - bend[:, 1:] - bend[:, :-1]
        inside = (g[:, 1:] + g[:, :-1]) / 2
        full = full_rank(inside.double().flatten(0, 1), g.dtype).reshape(b, n - 2)
        g64 = (g + g.mT).double() / 2
        mixed = torch.einsum("bnkij,bni->bnkj", dg, steps).double() / 2
        twice = torch.einsum("bnklij,bni,bnj->bnkl", ddg, steps, steps).double() / 8
        first, second = g64 - mixed - mixed.mT + twice, g64 + mixed + mixed.mT + twice
        exact = Blocks(second[:, :-1] + first[:, 1:], (twice + mixed - mixed.mT - g64)[:, 1:-1])
        safe = Blocks(g64[:, :-1] + g64[:, 1:], -g64[:, 1:-1])
        return NewtonSystem(inside, exact, safe, force, full)

    def discrete_legendre(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the momenta at both ends, and how the first depends on the end up to second derivatives of g."""
        g, dg = self.jet((start + end) / 2, 1)[:2]
        step = end - start
        along = torch.einsum("nkij,nj->nki", dg, step)
        main, bend = torch.einsum("nij,nj->ni", g, step), torch.einsum("nki,ni->nk", along, step) / 4
        return main - bend, main + bend, g + (along.mT - along) / 2

    def in_double(self) -> MetricField:
        """Return the same metric computed in float64."""
        return replace(self, fn=widened_map(self.fn))

    def _check(self, g: Tensor, z: Tensor) -> None:
        expected = (len(z), self.dim, self.dim)
        if g.shape != expected:
            raise ValueError(f"expected a metric of shape {expected}, got {tuple(g.shape)}")
        if self.definite or self.dim == 1 or not len(z) or not has_values(g):
            return
        apart = (g - g.mT).detach().abs().nan_to_num(0, 0, 0).flatten(1).amax(-1)
        share = apart / g.detach().abs().nan_to_num(0, 0, 0).flatten(1).amax(-1).clamp(min=torch.finfo(g.dtype).tiny)
        worst = share.amax()
        if bool(worst > torch.finfo(g.dtype).eps ** 0.5) and worst > torch.finfo(self.precision(z)).eps ** 0.5:
            raise ValueError(
                "expected a metric of symmetric matrices, got entries g_ij and g_ji that differ by up to "
                f"{worst.item():.3g} of the largest entry: write (g + g.mT) / 2 if its symmetric part is meant"
            )


def _first_kind(jet: FieldJet) -> tuple[Tensor, Tensor]:
    """Return g and Gamma_l,ij, indexed [l, i, j]."""
    g, dg = jet.g.double(), jet.first.double()
    i_lj = dg.transpose(1, 2)
    return (g + g.mT) / 2, (i_lj + i_lj.transpose(2, 3) - dg) / 2


def _middles(curves: Tensor) -> Tensor:
    return ((curves[:, 1:] + curves[:, :-1]) / 2).flatten(0, 1)


def _stencils(n: int, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return matrices (K, n) that interpolate values at 0, ..., n-1 at places (K,), and that differentiate there."""
    width = min(6, n)
    first = (where.floor() - (width - 1) // 2).clamp(0, n - width).long()
    offset = where - first
    powers = torch.arange(width, dtype=torch.float64, device=where.device)
    inverse = torch.linalg.inv(powers[:, None] ** powers)
    values = (offset[:, None] ** powers) @ inverse
    slopes = (powers * offset[:, None] ** (powers - 1).clamp(min=0)) @ inverse
    places = first[:, None] + powers.long()
    empty = torch.zeros(len(where), n, dtype=torch.float64, device=where.device)
    return empty.scatter(1, places, values), empty.scatter(1, places, slopes)


class PulledBackInformation(DecoderMap):
    """The pulled-back Fisher information z -> J_h^T F(h) J_h of any likelihood."""

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        return self.owner, ("information", weakref.ref(self.family), self.normal_length)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the matrices (N, d, d) at codes (N, d)."""
        h, d = self.decoder(z), z.shape[-1]
        x = propagate(self.decoder, z, torch.eye(d, dtype=z.dtype, device=z.device), 1)
        j = self.likelihood.split(x.j.movedim(0, 1))
        f = self.likelihood.fisher(h)
        heads = j.shape[-1]
        j, f = j.reshape(len(z), d, -1, heads), f.reshape(len(z), -1, heads, heads)
        return torch.einsum("nimh,nmhk,njmk->nij", j, f, j)


def metric_field(space: LatentSpace, frozen_noise: int | None = None) -> MetricField:
    r"""Return the pulled-back Fisher-Rao metric of any likelihood, with a flat embedding or without.

        g = J_h^T F(h) J_h

    Its curvature takes third derivatives of the decoder; where the likelihood has a flat embedding, `immersion` is
    faster.

    Args:
        space: the latent space.
        frozen_noise: seed of random numbers that the decoder draws when it is called, held fixed for all codes and
            calls by `lsgen.geometry.jets.FrozenNoise`; such a decoder is refused where no seed is given.

    Raises:
        TypeError: space is no `LatentSpace`.

    Reference:
        Arvanitidis et al., "Pulling back information geometry" (2022), https://arxiv.org/abs/2106.05367, equation 6.

    """
    if not isinstance(space, LatentSpace):
        raise TypeError(f"expected a LatentSpace, got {type(space).__name__}")
    return MetricField(PulledBackInformation(space).with_frozen_noise(frozen_noise), space.dim)
