r"""Metrics that a map into a flat space induces, from first and second derivatives of that map.

    g_ij = <J_i, J_j>,    Gamma_l,ij = <J_l, H_ij>,    R_ijkl = <II_ik, II_jl> - <II_il, II_jk> .

No D x D projector is formed, since

    <II_ij, II_kl> = <H_ij, H_kl> - (J^T H_ij)^T g^-1 (J^T H_kl) ,

and all of them are one Gram matrix of the d + d(d+1)/2 derivatives, in any signature. That matrix has d^4 numbers. Its
contractions need none of them: along a frame of orthonormal tangent vectors e_a

    Ric_ab = <II_cc, II_ab> - <II_ac, II_bc>,    R = |II_aa|^2 - |II_ab|^2    (sums over repeated indices),

from vectors II_ab = H_ab - <H_ab, J e_c> J e_c of d(d+1)/2 pairs, which for R come in tiles of bounded size. The
operator of Jacobi fields is one contraction with the normal II(v, v),

    K_ab = <II(e_a, e_b), n> - <II(v, e_a), II(v, e_b)>,    n = II(v, v) = H(v, v) - J Gamma(v, v),
    <II(e_a, e_b), n> = <H(e_a, e_b), n> = D^2 <n, f> (e_a, e_b)    for fixed n,

of which the last is the Hessian of a scalar: two passes backwards for each of d directions. For few dimensions the Gram
matrix of all derivatives costs less, and is used instead.

Segments are measured by chords D_i = f(z_{i+1}) - f(z_i), with energy and force

    E = n sum_i <D_i, D_i>,    F_i = -(1/2n) dE/dz_i = J_i^T (D_i - D_{i-1}) .

Gauss and Newton replace D_i by its linearisation, which makes the Hessian block-tridiagonal with 2 g_i on the diagonal
and -J_i^T J_{i+1} beside it. In a space with negative signs that may be indefinite; there the coupling is replaced by
(g_i + g_{i+1}) / 2. The length of a smooth curve of any speed is, to fourth order,

    L = sum |D_i| + (1/24) sum |N_i|^2 / |D_i|,    N_i the part of D_i - D_{i-1} normal to the curve,

since an arc of length s and curvature k has the chord s - k^2 s^3 / 24.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 6, theorem 2.5 (Gauss); O'Neill, "Semi-Riemannian Geometry"
(1983), chapter 4; Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379, for the energy; Nocedal &
Wright, "Numerical Optimization" (2006), chapter 10, for Gauss-Newton; Pearlmutter, "Fast exact multiplication by the
Hessian" (1994); do Carmo, "Differential Geometry of Curves and Surfaces" (1976), section 1.6, for the length.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch.func import vjp

from lsgen.geometry.chunks import directions_at_once
from lsgen.geometry.factorisation import Factored, cholesky, factored, full_rank, inverse_metric, square_root
from lsgen.geometry.jets import Frame, Taylor
from lsgen.geometry.riemannian import (
    Blocks,
    JacobiOperator,
    NewtonSystem,
    RiemannianMetric,
    hessian_along,
    interleaved,
    positive_model,
    repeated,
    row_hessians,
    symmetric_operator,
)

__all__ = ["EmbeddedMetric", "full_hessian"]

MANY = 16
"""Least d for which the operator of Jacobi fields takes second derivatives along single directions only."""
MANY_PAIRS = 32
"""Least d for which contractions of the curvature are taken in an orthonormal frame."""


class EmbeddedMetric(RiemannianMetric):
    """The metric that a map f into a flat space R^m with an inner product of any signature induces."""

    exact_hessian, newton_order, by_differences, of_jacobian = False, 1, True, True

    @abstractmethod
    def expansion(
        self, z: Tensor, order: int, directions: Tensor | None = None, isometric: bool = False, split: int = 0
    ) -> Taylor:
        """Return f with its derivatives at codes (N, d), flattened to (N, m).

        Args:
            z: codes (N, d), checked.
            order: 1 or 2.
            directions: vectors (k, d) or (k, N, d); the coordinate vectors where they are not given.
            isometric: f may be moved by an isometry, where only inner products of derivatives are wanted; the
                result may then have fewer than m coordinates.
            split: the number s of directions in the first of two sets, so that second derivatives are taken along a
                direction of each set only.

        """

    @abstractmethod
    def embedded(self, z: Tensor) -> Tensor:
        """Return f at codes (N, d), in the frame in which derivatives are taken, of shape (N, m)."""

    @abstractmethod
    def signed(self, v: Tensor) -> Tensor:
        """Return S v for vectors (..., m) of the flat space, such that <a, b> = a . S b."""

    def inner(self, t: Tensor) -> Tensor:
        """Return all inner products of vectors (N, K, m) of the flat space, of shape (N, K, K)."""
        products = self.signed(t) @ t.mT
        return (products + products.mT) / 2

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the inner product over the last dimension, with broadcasting."""
        return (a * self.signed(b)).sum(-1)

    def gram(self, z: Tensor, wide: bool) -> Tensor:
        """Return <J_i, J_j> at codes (N, d), of shape (N, d, d); accumulated in float64 if wide."""
        j = self.expansion(z, 1, isometric=True).t.movedim(0, 1)
        return self.inner(j.double() if wide else j)

    def push(self, z: Tensor, v: Tensor) -> Tensor:
        """Return J v (N, k, m) for vectors (N, k, d)."""
        return self.expansion(z, 1, directions=v.transpose(0, 1)).t.transpose(0, 1)

    def pull(self, z: Tensor, w: Tensor) -> Tensor:
        """Return J^T S w (N, k, d) for vectors (N, k, m) of the flat space."""
        value, pull = vjp(self.embedded, z)[:2]
        columns = self.signed(w).transpose(0, 1).to(value)
        try:
            pulled = torch.vmap(lambda column: pull(column)[0])(columns)
        except (RuntimeError, NotImplementedError):
            pulled = torch.stack([pull(column)[0] for column in columns])
        return pulled.transpose(0, 1)

    # Connection and curvature.

    def christoffel_first(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return g (N, d, d) and <J_l, H_ij> (N, d, d, d), in float64."""
        products, d = self._products(z), self.dim
        g, lower = products[:, :d, :d], products[:, :d, d:]
        self.check_definite(g, z)
        curved = lower.shape[-1] > 0
        return g, lower[:, :, Frame(d, 2).places(z.device)] if curved else lower.new_zeros(len(z), d, d, d)

    def acceleration(self, z: Tensor, v: Tensor) -> Tensor:
        """Return -Gamma(z)(v, v) from d first derivatives and one second derivative."""
        j = self.expansion(z, 1, isometric=True).t.movedim(0, 1)
        x = self.expansion(z, 2, v[None], isometric=True)
        if not x.curved:
            return torch.zeros_like(v)
        d = self.dim
        products = self.inner(torch.cat([j, x.t[1:].movedim(0, 1)], 1))
        inverse = inverse_metric(products[:, :d, :d].double(), self.precision(z))
        return -torch.einsum("nij,nj->ni", inverse, products[:, :d, d].double()).to(z)

    def riemann(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and R_ijkl at codes (N, d) by Gauss' equation; R is NaN where g is rank deficient."""
        metric, normal = self._normal_products(z)
        place = Frame(self.dim, 2).places(z.device)
        ik_jl = normal[:, place][..., place].permute(0, 1, 3, 2, 4)
        r = ik_jl - ik_jl.transpose(-1, -2)
        return metric.g, torch.where(metric.full[:, None, None, None, None], r, torch.nan)

    def ricci(self, z: Tensor) -> Tensor:
        """Return the Ricci tensor (N, d, d), by the Riemann tensor or, of many pairs, in an orthonormal frame."""
        if self.dim < MANY_PAIRS:
            return super().ricci(z)
        metric, tiles = self._normal_tiles(z)
        parts = list(tiles)
        if not parts:
            return torch.where(metric.full[:, None, None], torch.zeros_like(metric.g), torch.nan)
        i, j = (torch.cat(column) for column in list(zip(*parts, strict=True))[:2])
        normal = torch.cat([part for _, _, part in parts], 1)
        place = torch.empty(self.dim, self.dim, dtype=torch.long, device=z.device)
        place[i, j] = place[j, i] = torch.arange(len(i), device=z.device)
        trace = (i == j).to(normal) @ normal
        found = self.dot(trace[:, None], normal)[:, place]
        for row in place:
            found = found - self.inner(normal[:, row])
        return torch.where(metric.full[:, None, None], metric.root @ found @ metric.root.mT, torch.nan)

    def scalar(self, z: Tensor) -> tuple[Factored, Tensor]:
        """Return g and the scalar curvature, by all products or, of many pairs, in an orthonormal frame."""
        if self.dim < MANY_PAIRS:
            return self._scalar_by_products(z)
        metric, tiles = self._normal_tiles(z)
        trace, square = None, metric.g.new_zeros(len(z))
        for i, j, normal in tiles:
            alike = (i == j).to(normal)
            part = alike @ normal
            trace = part if trace is None else trace + part
            square = square + self.dot(normal, normal) @ (2 - alike)
        found = square if trace is None else self.dot(trace, trace) - square
        return metric, torch.where(metric.full, found, torch.nan)

    def _scalar_by_products(self, z: Tensor) -> tuple[Factored, Tensor]:
        """Return g and the scalar curvature, summed over pairs i <= j and k <= l weighted by their multiplicities."""
        metric, normal = self._normal_products(z)
        inverse = metric.inverse
        i, j = Frame(self.dim, 2).indices(z.device)
        weight = torch.where(i == j, 1.0, 2.0).to(inverse)
        trace = weight * inverse[:, i, j]
        ik, jl = inverse[:, i][..., i], inverse[:, j][..., j]
        il, jk = inverse[:, i][..., j], inverse[:, j][..., i]
        mixed = weight[:, None] * weight * (ik * jl + il * jk) / 2
        return metric, ((trace[:, :, None] * trace[:, None, :] - mixed) * normal).sum((-2, -1))

    def sectional(self, z: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and <II(u,u), II(v,v)> - |II(u,v)|^2 from d first and three second derivatives."""
        j = self.expansion(z, 1, isometric=True).t.movedim(0, 1).double()
        x = self.expansion(z, 2, torch.stack([u, v]), isometric=True)
        h = x.t[2:].movedim(0, 1).double() if x.curved else j.new_zeros(len(z), 3, j.shape[-1])
        products, d = self.inner(torch.cat([j, h], 1)), self.dim
        g, mixed = products[:, :d, :d], products[:, :d, d:]
        self.check_definite(g, z)
        normal = products[:, d:, d:] - mixed.mT @ torch.cholesky_solve(
            mixed, cholesky(g, full_rank(g, self.precision(z)))
        )
        return g, normal[:, 0, 2] - normal[:, 1, 1]

    def orthonormal_tangents(self, z: Tensor, x: Taylor) -> tuple[Factored, Tensor, Tensor]:
        """Return g, orthonormal tangent vectors e_a in rows (N, d, d), and J e_a (N, d, m), in float64."""
        j = x.j.movedim(0, 1).double()
        g = self.inner(j)
        self.check_definite(g, z)
        metric = factored(g, self.precision(z))
        eye = torch.eye(self.dim, dtype=g.dtype, device=g.device)
        frame = torch.linalg.solve_triangular(metric.root, eye.expand_as(g), upper=False)
        return metric, frame, frame @ j

    def _normal_tiles(self, z: Tensor) -> tuple[Factored, Iterator[tuple[Tensor, Tensor, Tensor]]]:
        """Return g and, tile by tile, pairs a <= b of an orthonormal frame with II_ab (N, pairs, m), in float64."""
        metric, frame, tangent = self.orthonormal_tangents(z, self.expansion(z, 1, isometric=True))
        return metric, self._tiles(z, frame.transpose(0, 1).to(z), tangent)

    def _tiles(self, z: Tensor, vectors: Tensor, tangent: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        sets = torch.arange(self.dim, device=z.device).split(directions_at_once(self, z))
        for first, second in combinations_with_replacement(sets, 2):
            chosen, split = (first, 0) if first is second else (torch.cat([first, second]), len(first))
            x = self.expansion(z, 2, vectors[chosen], isometric=True, split=split)
            if not x.curved:
                return
            i, j = x.frame.indices(z.device)
            yield chosen[i], chosen[j], self.normal_part(x.t[len(chosen) :].movedim(0, 1).double(), tangent)

    def normal_part(self, v: Tensor, tangent: Tensor) -> Tensor:
        """Return the part of vectors (N, k, m) normal to orthonormal vectors (N, d, m)."""
        return v - (v @ self.signed(tangent).mT) @ tangent

    def _normal_products(self, z: Tensor) -> tuple[Factored, Tensor]:
        """Return g (N, d, d) with its factors and <II_ij, II_kl> (N, pairs, pairs) at codes (N, d)."""
        d, pairs = self.dim, self.dim * (self.dim + 1) // 2
        products = self._products(z)
        g, mixed, second = products[:, :d, :d], products[:, :d, d:], products[:, d:, d:]
        self.check_definite(g, z)
        metric = factored(g, self.precision(z))
        if not mixed.shape[-1]:
            return metric, g.new_zeros(len(z), pairs, pairs)
        return metric, second - mixed.mT @ torch.cholesky_solve(mixed, metric.root)

    def _products(self, z: Tensor) -> Tensor:
        """Return all inner products of first and (where there are any) second derivatives at codes (N, d)."""
        return self.inner(self.expansion(z, 2, isometric=True).t.movedim(0, 1)).double()

    def jacobi_operator(self, z: Tensor, v: Tensor, frame: Tensor) -> JacobiOperator:
        """Return Gamma(v, v), Gamma(v, e_a) and K_ab, by all second derivatives or, from d = MANY on, by products."""
        return self._by_pairs(z, v, frame) if self.dim < MANY else self._by_directions(z, v, frame)

    def _by_pairs(self, z: Tensor, v: Tensor, frame: Tensor) -> JacobiOperator:
        """Return the operator from all second derivatives along the frame, taken at once."""
        d = self.dim
        x = self.expansion(z, 2, directions=frame.movedim(2, 0))
        if not x.curved:
            return _straight(v)
        j = x.j.movedim(0, 1).double()
        h = x.t[d:].movedim(0, 1).double()[:, Frame(d, 2).places(z.device)]
        share = torch.linalg.solve_ex(frame.double(), v[..., None].double())[0][..., 0]
        mixed = torch.einsum("nabm,nb->nam", h, share)
        double = torch.einsum("nam,na->nm", mixed, share)
        found, normal = self._gauss(z, j, mixed, double, frame)
        across = torch.einsum("nabm,nm->nab", h, self.signed(normal)) - found[2]
        return symmetric_operator(v, found[0], found[1], across)

    def _by_directions(self, z: Tensor, v: Tensor, frame: Tensor) -> JacobiOperator:
        """Return the operator from second derivatives along v and each frame vector, and Hessian products of <n, f>."""
        n, d = v.shape
        x = self.expansion(repeated(z, d), 2, directions=torch.stack([repeated(v, d), frame.mT.reshape(-1, d)]))
        if not x.curved:
            return _straight(v)
        slabs = x.t.unflatten(1, (n, d)).double()
        found, normal = self._gauss(z, slabs[1], slabs[3], slabs[2, :, 0], frame)
        across = hessian_along(self.embedded, z, self.signed(normal).to(z), frame)
        return symmetric_operator(v, found[0], found[1], across - found[2])

    def _gauss(
        self, z: Tensor, j: Tensor, mixed: Tensor, double: Tensor, frame: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """Return Gamma(v, v), Gamma(v, e_a) and <II(v, e_a), II(v, e_b)>, and the normal vector II(v, v) (N, m).

        Args:
            z: codes (N, d).
            j: J e_a (N, d, m).
            mixed: H(v, e_a) (N, d, m).
            double: H(v, v) (N, m).
            frame: the frame (N, d, d).

        """
        d = j.shape[1]
        products = self.inner(torch.cat([j, mixed, double[:, None]], 1))
        g, tangent = products[:, :d, :d], products[:, :d, d:]
        self.check_definite(g, z)
        inside = torch.linalg.solve_ex(g, tangent)[0]
        raised = frame.double() @ inside
        within = products[:, d:-1, d:-1] - tangent[..., :d].mT @ inside[..., :d]
        normal = double - torch.einsum("na,nam->nm", inside[..., d], j)
        return (raised[..., d], raised[..., :d], within), normal

    # The discrete energy.

    def differences(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z_{i+1}) - f(z_i) from segment data, in frames at z_i and at z_{i+1}; each (B, N-1, m)."""
        difference = known[:, 1:] - known[:, :-1]
        return difference, difference

    def refined_data(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the values at the points and the middles of curves."""
        return interleaved(known, self.segment_data(self.middles(curves)))

    def segment_energies(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the squared chord of every segment (B, N-1)."""
        forward, _ = self.differences(known)
        return self.dot(forward, forward)

    def smooth_length(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the summed chords of curves with their fourth-order correction for curvature."""
        forward, backward = self.differences(known)
        chord = square_root(self.dot(forward, forward))
        left, right = backward[:, :-1], forward[:, 1:]
        second, along = right - left, right + left
        square, norm = self.dot(second, second), self.dot(along, along)
        bend = square - self.dot(second, along) ** 2 / torch.where(norm > 0, norm, torch.ones_like(norm))
        bend = torch.cat([bend[:, :1], (bend[:, 1:] + bend[:, :-1]) / 2, bend[:, -1:]], 1)
        arc = chord + bend / (24 * torch.where(chord > 0, chord, torch.ones_like(chord)))
        return arc.clamp(min=0).sum(-1)

    def newton_system(self, curves: Tensor, known: Tensor) -> NewtonSystem:
        """Return the Gauss-Newton system."""
        b, n, d = curves.shape
        j = self.expansion(curves[:, 1:-1].reshape(-1, d), 1).t.movedim(0, 1).double()
        g = self.inner(j)
        self.check_definite(g, curves[:, 1:-1].reshape(-1, d))
        forward, backward = self.differences(known)
        full = full_rank(g, curves.dtype, products=g.dtype).reshape(b, n - 2)
        j, g = j.reshape(b, n - 2, d, -1), g.reshape(b, n - 2, d, d)
        force = self._pulled(j, (forward[:, 1:] - backward[:, :-1]).double()).to(curves)
        coupling = j[:, :-1] @ j[:, 1:].mT if self.euclidean else (g[:, 1:] + g[:, :-1]) / 2
        ends = torch.cat([g[:, :1], g, g[:, -1:]], 1)
        return NewtonSystem(g, Blocks(2 * g, -coupling), positive_model(ends), force, full)

    def exact_system(self, curves: Tensor, known: Tensor) -> NewtonSystem:
        """Return the Newton system with the exact Hessian, Gauss and Newton's plus <H_i, D_{i-1} - D_i>."""
        if not self.euclidean:
            return super().exact_system(curves, known)
        found, (b, n, d) = self.newton_system(curves, known), curves.shape
        turn = -known.diff(n=2, dim=1).reshape(b * (n - 2), -1)
        bend = row_hessians(
            lambda z: self.dot(self.embedded(z), repeated(turn, d)).to(z), curves[:, 1:-1].reshape(-1, d)
        )
        exact = Blocks(found.hessian.diagonal + bend.reshape(b, n - 2, d, d), found.hessian.next)
        return found._replace(hessian=exact, safe=found.hessian)

    def discrete_legendre(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the momenta J_0^T D and J_1^T D of the chord D, and a model of dp_0/dz_1."""
        pair = torch.stack([start, end], 1)
        forward, backward = self.differences(self.segment_data(pair))
        j = self.expansion(pair.flatten(0, 1), 1).t.movedim(0, 1).unflatten(0, (-1, 2))
        p = self._pulled(j[:, 0], forward[:, 0]), self._pulled(j[:, 1], backward[:, 0])
        return *p, j[:, 0] @ j[:, 1].mT if self.euclidean else self.inner(j[:, 0])

    def _pulled(self, j: Tensor, v: Tensor) -> Tensor:
        """Return J^T S v of Jacobians (..., d, m) and vectors (..., m)."""
        return (j @ self.signed(v)[..., None])[..., 0]


def full_hessian(x: Taylor) -> Tensor:
    """Return the second derivatives of an expansion (N, m) as (N, d, d, m)."""
    d, (n, m) = x.frame.d, x.shape
    if not x.curved:
        return x.t.new_zeros(n, d, d, m)
    return x.t[d:].movedim(0, 1)[:, x.frame.places(x.t.device)]


def _straight(v: Tensor) -> JacobiOperator:
    zero = torch.zeros_like(v)
    square = torch.diag_embed(zero)
    return JacobiOperator(zero, square, square)
