r"""The abstract Riemannian metric: all that solvers, statistics and curvatures need of one.

A Riemannian metric on the latent space is given by a map into a flat space (`Immersion`), by its matrix (`MetricField`)
or by a convex potential (`HessianMetric`). Each of these members knows

    its matrix and connection    g_ij,    Gamma_l,ij = (d_i g_lj + d_j g_li - d_l g_ij) / 2,    z'' = -Gamma(z', z')
    its curvature                R_ijkl, contractions of it that cost less, and the operator R(., v, ., v)
    its discrete energy          E = n sum_i e(z_i, z_{i+1}), with its Newton system and discrete Legendre transforms
    its precision                how large values and codes are, and the same metric in float64

and nothing outside of the members asks which of them a metric is. Members are final and frozen: what a metric is does
not change after construction. Another kind of metric is another member.

Reference: do Carmo, "Riemannian Geometry" (1992), chapters 1 to 4; Marsden & West, "Discrete mechanics and variational
integrators" (2001), for the energy as a discrete action.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.func import vjp

from lsgen.geometry.compat import has_values
from lsgen.geometry.factorisation import Factored, factored, finite, inverse_metric, replaced, tolerance
from lsgen.geometry.jets import coarsest_dtype
from lsgen.latent import Euclidean, Manifold

__all__ = [
    "Blocks",
    "JacobiOperator",
    "Map",
    "NewtonSystem",
    "RiemannianMetric",
    "check_metric",
    "hessian_along",
    "interleaved",
    "positive_model",
    "repeated",
    "row_hessians",
    "symmetric_operator",
]

Map = Callable[[Tensor], Tensor]


class Blocks(NamedTuple):
    """A symmetric block-tridiagonal matrix: diagonal (B, k, d, d) and what couples to the next (B, k-1, d, d)."""

    diagonal: Tensor
    next: Tensor


class NewtonSystem(NamedTuple):
    """The linear system of one Newton iteration on the discrete energy of curves of n segments.

    Attributes:
        g: metric at interior points (B, N-2, d, d), in float64 where it comes from Jacobians.
        hessian: the Hessian over 2n, or its model.
        safe: a model that is positive definite, for curves where the first is not.
        force: F_i = -(1/2n) dE/dz_i (B, N-2, d).
        full: whether the metric has full rank at each interior point (B, N-2).

    """

    g: Tensor
    hessian: Blocks
    safe: Blocks
    force: Tensor
    full: Tensor


class JacobiOperator(NamedTuple):
    """Gamma(v, v) (N, d), Gamma(v, e_a) in the columns (N, d, d), and R(e_a, v, e_b, v) (N, d, d)."""

    along: Tensor
    turn: Tensor
    across: Tensor


class RiemannianMetric(ABC):
    """A Riemannian metric on the latent space.

    Codes are checked before they come here: (N, d), finite, float32 or float64.

    Attributes:
        fn: the map that the metric is made of; what it refers to (modules, manifold) is what is checked.
        dim: latent dimension d.
        definite: whether the metric is known to be positive (semi-)definite; otherwise it is checked.
        exact_hessian: whether `newton_system` holds the exact Hessian, rather than a model for several steps.
        newton_order: order of the derivatives of the map that `newton_system` takes.
        by_differences: whether segments are measured by differences of values, which rounding may hide.
        of_jacobian: whether g is made of products of first derivatives, so that its eigenvalues are known to the square
            of their precision.
        requirement: what was expected where the metric is not positive definite.

    """

    exact_hessian: ClassVar[bool]
    newton_order: ClassVar[int]
    by_differences: ClassVar[bool]
    of_jacobian: ClassVar[bool]
    requirement: ClassVar[str]

    fn: Map
    dim: int
    definite: bool

    @property
    @abstractmethod
    def local(self) -> Map:
        """The map whose derivatives are taken, of codes as `lifted` returns them."""

    @property
    def manifold(self) -> Manifold:
        """The manifold that codes lie on: that of the latent space, else flat space."""
        found = getattr(self.fn, "manifold", None)
        return found if isinstance(found, Manifold) else Euclidean()

    def middles(self, curves: Tensor) -> Tensor:
        """Return the middles (B, N-1, d) of the segments of curves (B, N, d), on the manifold of the codes."""
        return self.manifold.retraction((curves[:, 1:] + curves[:, :-1]) / 2)

    @property
    def normals(self) -> int:
        """The number k of coordinates of a code that its manifold has too many, 1 for a sphere."""
        return int(self.manifold.normal_coordinates(torch.zeros(1, self.dim)).shape[1])

    @property
    def euclidean(self) -> bool:
        """Whether `push` maps all tangent vectors into one Euclidean space, so that vectors at two codes compare."""
        return False

    @property
    def closed_form(self) -> bool:
        """Whether all derivatives are in closed form, so that curvature of many axes costs little."""
        return False

    def lifted(self, z: Tensor) -> Tensor:
        """Return the codes that `local` takes, at codes (N, d)."""
        return z

    # The matrix and what follows from it.

    @abstractmethod
    def gram(self, z: Tensor, wide: bool) -> Tensor:
        """Return g at codes (N, d), of shape (N, d, d); in float64 if wide."""

    @abstractmethod
    def push(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the images (N, k, m) of tangent vectors (N, k, d), such that g v = pull(push(v))."""

    @abstractmethod
    def pull(self, z: Tensor, w: Tensor) -> Tensor:
        """Return covectors (N, k, d) from images (N, k, m)."""

    @abstractmethod
    def christoffel_first(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return g (N, d, d) and Gamma_l,ij (N, d, d, d), indexed [l, i, j], in float64."""

    def connection(self, z: Tensor) -> Tensor:
        """Return Gamma^k_ij at codes (N, d), indexed [k, i, j], in the dtype of z; NaN where g is rank deficient."""
        g, lower = self.christoffel_first(z)
        return torch.einsum("nkl,nlij->nkij", inverse_metric(g, self.precision(z)), lower).to(z.dtype)

    def acceleration(self, z: Tensor, v: Tensor) -> Tensor:
        """Return -Gamma(z)(v, v) for velocities (N, d) at codes (N, d)."""
        return -torch.einsum("nkij,ni,nj->nk", self.connection(z), v, v)

    @abstractmethod
    def riemann(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and R_ijkl at codes (N, d), in float64; R is NaN where g is rank deficient."""

    def ricci(self, z: Tensor) -> Tensor:
        """Return the Ricci tensor g^ik R_ijkl at codes (N, d), in float64; NaN where g is rank deficient."""
        g, r = self.riemann(z)
        return torch.einsum("nik,nijkl->njl", inverse_metric(g, self.precision(z)), r)

    def scalar(self, z: Tensor) -> tuple[Factored, Tensor]:
        """Return g with its factors and the scalar curvature g^ik g^jl R_ijkl (N,), in float64."""
        g, r = self.riemann(z)
        metric = factored(g, self.precision(z))
        inverse = metric.inverse
        return metric, torch.einsum("nik,njl,nijkl->n", inverse, inverse, r)

    def sectional(self, z: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and R_ijkl u^i v^j u^k v^l at codes (N, d), in float64."""
        g, r = self.riemann(z)
        u, v = u.double(), v.double()
        return g, torch.einsum("nijkl,ni,nj,nk,nl->n", r, u, v, u, v)

    @abstractmethod
    def jacobi_operator(self, z: Tensor, v: Tensor, frame: Tensor) -> JacobiOperator:
        """Return connection and curvature along velocities (N, d) at codes (N, d), in frames of columns (N, d, d)."""

    # The discrete energy E = n sum_i e(z_i, z_{i+1}) of curves (B, N, d).

    @abstractmethod
    def segment_data(self, curves: Tensor) -> Tensor:
        """Return the values at points, or metrics at middles, from which the lengths of segments are computed."""

    @abstractmethod
    def refined_data(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the segment data of curves with midpoints added, given those of the curves themselves."""

    @abstractmethod
    def segment_energies(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return e, the squared length of every segment (B, N-1), from segment data."""

    @abstractmethod
    def smooth_length(self, curves: Tensor, known: Tensor) -> Tensor:
        """Return the fourth-order length (B,) of smooth curves of at least 3 points, from segment data."""

    def lower_bound(self, start: Tensor, end: Tensor) -> Tensor:
        """Return a lower bound (N,) of the geodesic distance of codes (N, d); NaN where none is known."""
        return start.new_full((len(start),), torch.nan)

    @abstractmethod
    def newton_system(self, curves: Tensor, known: Tensor) -> NewtonSystem:
        """Return the system of one Newton iteration, in float64 but for the force and a given metric."""

    def exact_system(self, curves: Tensor, known: Tensor) -> NewtonSystem:
        """Return the Newton system whose Hessian is exact, with a positive definite model of it as `safe`.

        Where `newton_system` holds a model, the Hessian of each segment's energy in its two ends takes 2d products.
        """
        found = self.newton_system(curves, known)
        if self.exact_hessian:
            return found
        b, n, d = curves.shape
        pairs = torch.stack([curves[:, :-1], curves[:, 1:]], 2)

        def half_energy(x: Tensor) -> Tensor:
            pair = x.unflatten(1, (2, d))
            return self.segment_energies(pair, self.segment_data(pair))[:, 0] / 2

        h = row_hessians(half_energy, pairs.reshape(-1, 2 * d)).reshape(b, n - 1, 2, d, 2, d)
        exact = Blocks(h[:, :-1, 1, :, 1] + h[:, 1:, 0, :, 0], h[:, 1:-1, 0, :, 1])
        return found._replace(hessian=exact, safe=found.hessian)

    @abstractmethod
    def discrete_legendre(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""Return the discrete Legendre transforms of a segment's energy, with the derivative of the first by z_1.

            p_0 = -(1/2) de/dz_0,    p_1 = (1/2) de/dz_1

        Args:
            start: codes z_0 (N, d).
            end: codes z_1 (N, d).

        Returns:
            The momenta p_0 (N, d) and p_1 (N, d), and a model of dp_0/dz_1 (N, d, d).

        """

    # Precision.

    @abstractmethod
    def in_double(self) -> RiemannianMetric:
        """Return the same metric computed in float64, with the weights that it has in float32."""

    def precision(self, z: Tensor) -> torch.dtype:
        """Return the dtype of least precision in which the map computes at codes like z (N, d)."""
        if getattr(self.fn, "widened", False) or not len(z):
            return z.dtype
        return coarsest_dtype(self.local, self.lifted(z))

    def rank_tolerance(self, z: Tensor) -> float:
        """Return the ratio of eigenvalues of g, at codes like z (N, d), below which the smaller is a rounding error."""
        dtype = self.precision(z)
        return tolerance(self.dim, dtype, torch.float64 if self.of_jacobian else dtype)

    def value_norm(self, known: Tensor) -> Tensor:
        """Return the norm of the values whose differences round, at every point (B, N) of curves or once (B, 1)."""
        return known.new_zeros(len(known), 1)

    def coordinate_norm(self, curves: Tensor) -> Tensor:
        """Return the norm (B, N) of the codes of curves (B, N, d), in units of the coordinates."""
        return curves.norm(dim=-1)

    def product_size(self, z: Tensor) -> Tensor:
        """Return the size (N,) of the products that entries of g at codes (N, d) are sums of; 0 where they are none."""
        return torch.zeros_like(z[:, 0])

    def check_definite(self, g: Tensor, z: Tensor) -> None:
        """Refuse a metric (N, d, d) at codes (N, d) that is not positive definite somewhere, unless it is known to be.

        Raises:
            ValueError: an eigenvalue is negative by more than rounding in the dtype of z.

        """
        if self.definite or not has_values(g):
            return
        values = torch.linalg.eigvalsh(replaced(g, finite(g)).detach().double())
        slack = 10 * self.dim * torch.finfo(z.dtype).eps
        bad = values[:, 0] < -slack * values.abs().amax(-1)
        if bool(bad.any()):
            bad = bad.index_put((bad,), values[bad, 0] < -slack * self.product_size(z.detach()[bad]).double())
        if bool(bad.any()):
            raise ValueError(
                f"expected {self.requirement}, got a smallest eigenvalue of "
                f"{values[:, 0].min().item():.3g} ({int(bad.sum())} of {len(bad)} codes have a negative one)"
            )


def check_metric(im: Any) -> None:
    """Refuse an object that is not a Riemannian metric.

    Raises:
        TypeError: im is none.

    """
    if not isinstance(im, RiemannianMetric):
        raise TypeError(f"expected a RiemannianMetric such as an Immersion, got {type(im).__name__}")


def hessian_along(fn: Callable[[Tensor], Tensor], z: Tensor, w: Tensor, frame: Tensor) -> Tensor:
    """Return D^2 <w, fn> (e_a, e_b) (N, d, d) in float64 for a map of single codes, by one product for each e_a."""
    n, d = z.shape
    with torch.inference_mode(False):
        at, weight, u = repeated(z, d).clone(), repeated(w, d).clone(), frame.mT.reshape(-1, d).clone()

        def gradient(x: Tensor) -> Tensor:
            slope: Tensor = vjp(fn, x)[1](weight)[0]
            return slope

        columns = vjp(gradient, at)[1](u)[0].unflatten(0, (n, d)).double()
    made = columns @ frame.double()
    return (made + made.mT) / 2


def row_hessians(fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the Hessians (N, k, k), in float64, of a function of single rows, (N, k) -> (N,), by k products each."""
    n, k = x.shape
    with torch.inference_mode(False), torch.enable_grad():
        at = repeated(x, k).clone().requires_grad_()
        (slope,) = torch.autograd.grad(fn(at).sum(), at, create_graph=True)
        unit = torch.eye(k, dtype=x.dtype, device=x.device).repeat(n, 1)
        if not slope.requires_grad:
            return x.new_zeros(n, k, k, dtype=torch.float64)
        (found,) = torch.autograd.grad(slope, at, unit, materialize_grads=True)
    found = found.unflatten(0, (n, k)).double()
    return (found + found.mT) / 2


def repeated(x: Tensor, d: int) -> Tensor:
    """Return rows (N, k) as (N d, k), each d times."""
    return x.repeat_interleave(d, 0)


def positive_model(g: Tensor) -> Blocks:
    """Return sum_i |x_{i+1} - x_i|^2, each in the mean of the metrics (B, N, d, d) at its ends, as blocks."""
    middle = (g[:, 1:] + g[:, :-1]) / 2
    return Blocks(middle[:, :-1] + middle[:, 1:], -middle[:, 1:-1])


def interleaved(points: Tensor, between: Tensor) -> Tensor:
    """Return z_0, m_0, z_1, m_1, ..., z_n along the second dimension."""
    return torch.cat([torch.stack([points[:, :-1], between], 2).flatten(1, 2), points[:, -1:]], 1)


def symmetric_operator(v: Tensor, along: Tensor, turn: Tensor, across: Tensor) -> JacobiOperator:
    """Return the parts of a Jacobi operator in the dtype of v, the last of them symmetric but for rounding."""
    return JacobiOperator(along.to(v), turn.to(v), ((across + across.mT) / 2).to(v))
