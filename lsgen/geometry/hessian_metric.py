r"""The metric of a convex potential, such as log Z of an exponential family: its Fisher metric in natural coordinates.

    g_ij = d_i d_j phi,    eta_i = d_i phi    the dual coordinates (expectation parameters, where phi = log Z).

Since d phi is a map into flat coordinates too, z -> (z, eta(z)) is an immersion into R^{2d} with the inner product

    <(a, b), (c, e)> = (a . e + b . c) / 2,    J_i = (e_i, g_i.),    H_ij = (0, d_i d_j d. phi),

of signature (d, d), which induces g. Third derivatives of phi are symmetric in all indices, so that no fourth ones are
needed: with phi_ijk = d_i d_j d_k phi

    Gamma_k,ij = phi_ijk / 2,    R_ijkl = (phi_ilm g^mn phi_njk - phi_ikm g^mn phi_njl) / 4 .

The squared chord of a segment is (z_{i+1} - z_i) . (eta_{i+1} - eta_i), the symmetrised Bregman divergence of phi
(Jeffreys' divergence of a family), which is g integrated along the segment. With D^2 the second differences along a
curve its force and the exact Hessian of its energy take no further derivatives either,

    F_i = (D^2 eta_i + g_i D^2 z_i) / 2,    2 g_i - phi_i(D^2 z_i) / 2 on the diagonal, -(g_i + g_{i+1}) / 2 beside it.

The log-partition function of the univariate Gaussian, -theta_1^2 / (4 theta_2) - log(-2 theta_2) / 2, makes a plane of
scalar curvature -1; that of a categorical family a part of a sphere of radius 2.

Reference: Shima, "The Geometry of Hessian Structures" (2007), chapters 1 and 2; Amari, "Information Geometry and Its
Applications" (2016), chapter 1; Barndorff-Nielsen, "Information and Exponential Families" (1978).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.checks import check_map
from lsgen.geometry.double import Double
from lsgen.geometry.embedded import EmbeddedMetric, full_hessian
from lsgen.geometry.factorisation import Factored, full_rank
from lsgen.geometry.jets import Taylor, propagate
from lsgen.geometry.riemannian import Blocks, Map, NewtonSystem, positive_model

__all__ = ["HessianMetric", "KnownPotential", "check_family"]


class KnownPotential(ABC):
    """Abstract convex potential whose derivatives are in closed form, so that none is taken of it."""

    widened = False

    @abstractmethod
    def __call__(self, z: Tensor) -> Tensor:
        """Return the potential at codes (N, d), (N,)."""

    @abstractmethod
    def gradient(self, z: Tensor) -> Tensor:
        """Return d phi at codes (N, d), (N, d)."""

    @abstractmethod
    def expansion(self, z: Tensor, vectors: Tensor, order: int, split: int = 0) -> Taylor:
        """Return d phi with its derivatives along vectors at codes (N, d), as `lsgen.geometry.jets.propagate` does."""

    @abstractmethod
    def lower_bound(self, start: Tensor, end: Tensor) -> Tensor:
        """Return a lower bound (N,) of the geodesic distance of codes (N, d); NaN where none is known."""

    @abstractmethod
    def rounds_off(self, z: Tensor, metric: Factored, curvature: Tensor) -> Tensor:
        """Return where the scalar curvature (N,) at codes (N, d) may be off by more than a percent, as terms cancel.

        Args:
            z: codes (N, d).
            metric: at these codes, (N, d, d).
            curvature: the scalar curvature (N,), as it was computed.

        """

    @abstractmethod
    def restricted(self, origin: Tensor, basis: Tensor) -> KnownPotential:
        """Return the potential on the plane through a code (d,) along directions (k, d)."""

    @abstractmethod
    def in_double(self) -> Self:
        """Return the same potential computed in float64."""


class _Column:
    """z -> phi(z) as a column, (N, d) -> (N, 1)."""

    def __init__(self, potential: Map) -> None:
        self.potential = potential

    def __call__(self, z: Tensor) -> Tensor:
        """Return the potential at codes (N, d)."""
        value, n = self.potential(z), len(z)
        if not isinstance(value, Tensor):
            raise TypeError(f"expected a potential that returns a tensor ({n},), got {type(value).__name__}")
        if tuple(value.shape) not in ((n,), (n, 1)):
            raise ValueError(f"expected a potential {tuple(z.shape)} -> ({n},), got {tuple(value.shape)}")
        return value.reshape(n, 1)


class _Gradient:
    """z -> d phi(z), (N, d) -> (N, d); NaN where phi is not finite, outside of its domain."""

    def __init__(self, potential: Map) -> None:
        self.column = _Column(potential)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the dual coordinates of codes (N, d)."""
        known = self.column.potential
        if isinstance(known, KnownPotential):
            return known.gradient(z)
        eye = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        x = propagate(self.column, z, eye, 1)
        return x.j[..., 0].T * (1 + (x.v - x.v))


@final
@dataclass(frozen=True, eq=False)
class HessianMetric(EmbeddedMetric):
    r"""The Riemannian metric that is the Hessian of a convex potential.

        g_ij = d_i d_j phi

    Args:
        potential: maps codes (N, d) to numbers (N,), each code by itself; three times differentiable and convex.
        dim: latent dimension d.
        definite: whether the potential is known to be convex, so that its Hessian is not checked.

    Raises:
        TypeError: the potential cannot be called.
        ValueError: dim is not positive.

    Example:
        >>> bernoulli = HessianMetric(lambda theta: torch.nn.functional.softplus(theta).sum(-1), dim=1)
        >>> bernoulli(torch.zeros(1))
        tensor([[0.2500]])

    """

    potential: Map
    dim: int
    definite: bool = False
    fn: Map = field(init=False, repr=False)
    _gradient: _Gradient = field(init=False, repr=False)

    exact_hessian, newton_order, of_jacobian = True, 2, False
    requirement = "a convex potential"

    def __post_init__(self) -> None:
        check_map(self.potential, self.dim)
        object.__setattr__(self, "fn", self.potential)
        object.__setattr__(self, "_gradient", _Gradient(self.potential))

    @property
    def local(self) -> Map:
        """The map whose derivatives are taken, z -> eta(z)."""
        return self._gradient

    @property
    def closed_form(self) -> bool:
        """Whether the potential knows its derivatives."""
        return isinstance(self.potential, KnownPotential)

    def __call__(self, z: Tensor) -> Tensor:
        """Return g(z), of shape (B, d, d), at codes (B, d)."""
        flat = flat_codes(self, z).z
        return self.gram(flat, wide=False).reshape(*z.shape[:-1], self.dim, self.dim)

    def dual(self, z: Tensor) -> Tensor:
        """Return the dual coordinates eta = d phi(z), of shape (B, d), at codes (B, d)."""
        return self.local(flat_codes(self, z).z).reshape(z.shape)

    def expansion(
        self, z: Tensor, order: int, directions: Tensor | None = None, isometric: bool = False, split: int = 0
    ) -> Taylor:
        """Return (z, eta(z)) with its derivatives at codes (N, d); see `EmbeddedMetric.expansion`."""
        vectors = torch.eye(self.dim, dtype=z.dtype, device=z.device) if directions is None else directions
        x = self._dual_expansion(z, vectors, order, split)
        seeds = vectors[:, None].expand(-1, *z.shape) if vectors.ndim == 2 else vectors
        straight = torch.cat([seeds, seeds.new_zeros(len(x.t) - len(seeds), *z.shape)])
        return Taylor(x.frame, torch.cat([z, x.v], -1), torch.cat([straight, x.t], -1))

    def embedded(self, z: Tensor) -> Tensor:
        """Return (z, eta(z)) (N, 2d) at codes (N, d)."""
        return torch.cat([z, self.local(z)], -1)

    def signed(self, v: Tensor) -> Tensor:
        """Return the halves of vectors (..., 2d) exchanged and divided by two, so that <a, b> = a . signed(b)."""
        straight, dual = v.chunk(2, -1)
        return torch.cat([dual, straight], -1) / 2

    def segment_data(self, curves: Tensor) -> Tensor:
        """Return (z, eta(z)) (B, N, 2d) at the points of curves (B, N, d)."""
        return self.embedded(curves.flatten(0, 1)).unflatten(0, curves.shape[:2])

    def scalar(self, z: Tensor) -> tuple[Factored, Tensor]:
        """Return g and the scalar curvature; NaN where a potential knows that its terms cancel to rounding errors."""
        metric, found = super().scalar(z)
        if isinstance(self.potential, KnownPotential):
            lost = self.potential.rounds_off(z, metric, found)
            found = torch.where(lost, torch.nan, found)
        return metric, found

    def newton_system(self, curves: Tensor, known: Tensor) -> NewtonSystem:
        """Return the system of the exact Hessian, with a positive definite model beside it."""
        b, n, d = curves.shape
        eye = torch.eye(d, dtype=curves.dtype, device=curves.device)
        x = self._dual_expansion(curves.flatten(0, 1), eye, 2)
        g = x.j.movedim(0, 1).unflatten(0, (b, n))
        g = (g + g.mT) / 2
        self.check_definite(g.flatten(0, 1), curves.flatten(0, 1))
        phi = full_hessian(x).unflatten(0, (b, n))[:, 1:-1]
        straight, dual = (part.diff(n=2, dim=1) for part in known.chunk(2, -1))
        force = (dual + torch.einsum("bnij,bnj->bni", g[:, 1:-1], straight)) / 2
        bend = torch.einsum("bnijk,bnk->bnij", phi, straight).double() / 2
        g = g.double()
        middle = (g[:, 1:] + g[:, :-1]) / 2
        full = full_rank(g[:, 1:-1].flatten(0, 1), curves.dtype).reshape(b, n - 2)
        exact = Blocks(2 * g[:, 1:-1] - bend, -middle[:, 1:-1])
        return NewtonSystem(g[:, 1:-1], exact, positive_model(g), force, full)

    def in_double(self) -> HessianMetric:
        """Return the same metric computed in float64."""
        known = self.potential
        return replace(self, potential=known.in_double() if isinstance(known, KnownPotential) else Double(known))

    def restrict(self, origin: Tensor, basis: Tensor) -> HessianMetric:
        """Return the metric on an affine plane, a -> origin + sum_i a_i basis_i: that of the potential on it.

        Args:
            origin: code (d,).
            basis: directions (k, d).

        """
        known = self.potential
        if isinstance(known, KnownPotential):
            return replace(self, potential=known.restricted(origin, basis), dim=len(basis))
        return replace(self, potential=lambda a: known(origin.to(a) + a @ basis.to(a)), dim=len(basis))

    def lower_bound(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the lower bound of distances that the potential knows, (N,); NaN where it knows none."""
        known = self.potential
        return known.lower_bound(start, end) if isinstance(known, KnownPotential) else super().lower_bound(start, end)

    def _dual_expansion(self, z: Tensor, vectors: Tensor, order: int, split: int = 0) -> Taylor:
        """Return eta with its derivatives along vectors."""
        known = self.potential
        if isinstance(known, KnownPotential):
            x = known.expansion(z, vectors, order, split)
            return Taylor(x.frame, x.v.to(z), x.t.to(z))
        return propagate(self.local, z, vectors, order, split=split)

    def value_norm(self, known: Tensor) -> Tensor:
        """Return |eta| |z_n - z_0| / L at the ends of curves (B, 1): rounding of eta moves the square of a length L."""
        straight, dual = known[:, [0, -1]].chunk(2, -1)
        whole = known[:, -1] - known[:, 0]
        length = self.dot(whole, whole).clamp(min=0).sqrt().clamp(min=torch.finfo(known.dtype).tiny)
        return (dual.norm(dim=-1).amax(-1) * straight.diff(dim=1)[:, 0].norm(dim=-1) / length)[:, None]


def check_family(family: Any) -> None:
    """Refuse a metric that is not that of a convex potential.

    Raises:
        TypeError: family is no `HessianMetric`.

    """
    if not isinstance(family, HessianMetric):
        raise TypeError(
            f"expected a HessianMetric, the metric of a log partition function, got {type(family).__name__}"
        )
