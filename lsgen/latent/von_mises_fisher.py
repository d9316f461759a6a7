r"""Codes on the unit sphere S^{d-1} in R^d: the von Mises-Fisher distribution and the uniform one.

    q(z; mu, kappa) = e^{kappa mu.z} / (|S^{d-2}| Z(kappa)),    Z(kappa) = int_0^pi sin^{d-2}(t) e^{kappa cos t} dt,
    A(kappa) = E[mu.z] = d log Z / d kappa,
    KL(q || uniform) = kappa A(kappa) - log Z(kappa) - log |S^{d-2}| + log |S^{d-1}|,

and |S^{n-1}| = 2 pi^{n/2} / Gamma(n/2).

z = cos(t) mu + sin(t) v, with v uniform on the unit sphere of the tangent space at mu and the angle t from the density
sin^{d-2}(t) e^{kappa cos t} / Z. All integrals over t are Gauss-Legendre sums around the mode, exact to rounding for
every d >= 2 and kappa > 0; no Bessel function is needed and derivatives follow by differentiation of the sum.

The angle is drawn by inverting its distribution function F with Newton's method; the last step,
t - (F(t; kappa) - u) / F'(t), carries the exact (implicit) derivative dt/dkappa = -(dF/dkappa) / F'.

Reference: Davidson et al., "Hyperspherical variational auto-encoders" (2018), https://arxiv.org/abs/1804.00891;
Figurnov, Mohamed & Mnih, "Implicit reparameterization gradients" (2018), https://arxiv.org/abs/1805.08498.
"""

from __future__ import annotations

from functools import cache
from math import lgamma, log, pi
from typing import ClassVar

import numpy
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.nn.functional import normalize, softplus

from lsgen.latent.manifolds import Sphere
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior

__all__ = ["HypersphericalUniform", "UniformOnSphere", "VonMisesFisher", "VonMisesFisherPosterior", "log_sphere_area"]

_NODES, _REACH, _GRID = 64, 12.0, 129


def log_sphere_area(d: int) -> float:
    """Return log |S^{d-1}|, the area of the unit sphere in R^d; |S^0| = 2."""
    return log(2) + d / 2 * log(pi) - lgamma(d / 2)


class UniformOnSphere(Distribution):
    """The uniform distribution on S^{d-1}; its density is with respect to the area of the sphere."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, like: Tensor) -> None:
        self._like = like
        super().__init__(torch.Size(), like.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Zero, (d,)."""
        return torch.zeros_like(self._like)

    @property
    def variance(self) -> Tensor:
        """1/d for every coordinate, (d,)."""
        return torch.full_like(self._like, 1 / len(self._like))

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return points (*sample_shape, d)."""
        shape = (*sample_shape, len(self._like))
        return normalize(torch.randn(shape, dtype=self._like.dtype, device=self._like.device), dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return -log |S^{d-1}|, (B,)."""
        return value.new_full(value.shape[:-1], -log_sphere_area(len(self._like)))


class HypersphericalUniform(Prior):
    """The uniform prior on the unit sphere of R^d; codes have d coordinates and d - 1 degrees of freedom.

    Args:
        dim: dimension d >= 2 of the space around the sphere.

    Raises:
        ValueError: dim is below 2.

    """

    origin: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        if dim < 2:
            raise ValueError(f"expected codes on a sphere in at least 2 dimensions, got {dim}")
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    @property
    def manifold(self) -> Sphere:
        """The unit sphere."""
        return Sphere()

    def forward(self) -> Distribution:
        """Return the uniform distribution on the sphere."""
        return UniformOnSphere(self.origin)


class VonMisesFisher(Distribution):
    """The von Mises-Fisher distribution, of batch shape B.

    Args:
        direction: unit vectors mu, (B, d).
        concentration: kappa > 0, (B,).

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, direction: Tensor, concentration: Tensor) -> None:
        self.direction, self.concentration = direction, concentration
        super().__init__(direction.shape[:-1], direction.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean direction mu, (B, d): the intrinsic mean, a point of the sphere; E[z] = A(kappa) mu."""
        return self.direction

    @property
    def variance(self) -> Tensor:
        """The variance (A/kappa) (1 - mu^2) + (1 - A^2 - (d-1) A/kappa) mu^2 of every coordinate about E[z], (B, d)."""
        A = self.mean_resultant_length.unsqueeze(-1)
        across, square = A / self.concentration.unsqueeze(-1), self.direction.square()
        return across * (1 - square) + (1 - A**2 - (self.event_shape[0] - 1) * across) * square

    @property
    def mean_resultant_length(self) -> Tensor:
        """A(kappa) = E[mu.z], (B,)."""
        t, log_weights = _quadrature(self.concentration, self.event_shape[0])
        return (torch.softmax(log_weights, -1) * torch.cos(t)).sum(-1)

    @property
    def log_normaliser(self) -> Tensor:
        """log(|S^{d-2}| Z(kappa)), (B,)."""
        d = self.event_shape[0]
        return log_sphere_area(d - 1) + torch.logsumexp(_quadrature(self.concentration, d)[1], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density with respect to the area of the sphere, (B,)."""
        return self.concentration * (self.direction * value).sum(-1) - self.log_normaliser

    def entropy(self) -> Tensor:
        """Return log(|S^{d-2}| Z) - kappa A, (B,)."""
        return self.log_normaliser - self.concentration * self.mean_resultant_length

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised points (*sample_shape, B, d)."""
        shape = torch.Size(sample_shape) + self.batch_shape
        kappa = self.concentration.expand(shape)
        uniform = torch.rand(shape, dtype=kappa.dtype, device=kappa.device)
        log_z = torch.logsumexp(_quadrature(self.concentration, self.event_shape[0])[1], -1).expand(shape)
        t = _angle(kappa, log_z, uniform, self.event_shape[0]).unsqueeze(-1)
        noise = torch.randn(shape + self.event_shape, dtype=kappa.dtype, device=kappa.device)
        mu = self.direction
        tangent = normalize(noise - (noise * mu).sum(-1, keepdim=True) * mu, dim=-1)
        return torch.cos(t) * mu + torch.sin(t) * tangent


class VonMisesFisherPosterior(Posterior):
    """q(z|x) on the sphere; the heads are a direction and, averaged over dimensions, a concentration.

    kappa = 1 + softplus(mean of the second head), as in the paper.
    """

    heads: ClassVar[int] = 2

    @property
    def manifold(self) -> Sphere:
        """The unit sphere."""
        return Sphere()

    def forward(self, raw: Tensor) -> VonMisesFisher:
        """Return the distribution of raw outputs (B, 2 d)."""
        direction, concentration = raw.chunk(2, dim=-1)
        return VonMisesFisher(normalize(direction, dim=-1), 1 + softplus(concentration.mean(-1)))


@register_kl(VonMisesFisher, UniformOnSphere)
def _kl_to_uniform(q: VonMisesFisher, p: UniformOnSphere) -> Tensor:
    return log_sphere_area(q.event_shape[0]) - q.entropy()


@cache
def _legendre(order: int) -> tuple[list[float], list[float]]:
    nodes, weights = numpy.polynomial.legendre.leggauss(order)
    return nodes.tolist(), weights.tolist()


def _log_density(t: Tensor, kappa: Tensor, d: int) -> Tensor:
    """Return (d - 2) log sin t + kappa cos t."""
    return (d - 2) * torch.log(torch.sin(t).clamp(min=torch.finfo(t.dtype).tiny)) + kappa * torch.cos(t)


def _interval(kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Return the part of [0, pi] that holds all mass to rounding, around the mode kappa sin^2 t = (d - 2) cos t."""
    kappa, n = kappa.detach(), float(d - 2)
    cosine = 2 * kappa / (n + torch.sqrt(n**2 + 4 * kappa**2))
    mode = torch.acos(cosine.clamp(max=1.0))
    curvature = kappa * cosine + (n / torch.sin(mode).square().clamp(min=1e-12) if n else 0.0)
    width = _REACH / curvature.sqrt()
    return (mode - width).clamp(min=0.0), (mode + width).clamp(max=pi)


def _rule(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre points and weights on [low, high], (B, nodes) each."""
    nodes, weights = (torch.tensor(part, dtype=low.dtype, device=low.device) for part in _legendre(_NODES))
    half = ((high - low) / 2).unsqueeze(-1)
    return half * nodes + ((high + low) / 2).unsqueeze(-1), half * weights


def _quadrature(kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Return angles and the logarithms of weight times density, (B, nodes): their exponentials add up to Z."""
    t, weights = _rule(*_interval(kappa, d))
    return t, weights.log() + _log_density(t, kappa.unsqueeze(-1), d)


def _cumulative(t: Tensor, kappa: Tensor, log_z: Tensor, d: int) -> Tensor:
    """Return F(t), the probability of a smaller angle, differentiable in kappa, for detached t."""
    angles, weights = _rule(_interval(kappa, d)[0], t)
    return (weights * torch.exp(_log_density(angles, kappa.unsqueeze(-1), d) - log_z.unsqueeze(-1))).sum(-1)


def _angle(kappa: Tensor, log_z: Tensor, uniform: Tensor, d: int) -> Tensor:
    """Return t with F(t) = uniform, its derivative in kappa exact."""
    with torch.no_grad():
        t = _first_guess(kappa, uniform, d)
        low, high = _interval(kappa, d)
        for _ in range(2):
            slope = torch.exp(_log_density(t, kappa, d) - log_z)
            t = (t - (_cumulative(t, kappa, log_z, d) - uniform) / slope).clamp(low, high)
        slope = torch.exp(_log_density(t, kappa, d) - log_z)
    return t - (_cumulative(t, kappa, log_z, d) - uniform) / slope


def _first_guess(kappa: Tensor, uniform: Tensor, d: int) -> Tensor:
    """Return the inverse of F by linear interpolation on a grid."""
    low, high = (end.unsqueeze(-1) for end in _interval(kappa, d))
    grid = low + (high - low) * torch.linspace(0, 1, _GRID, dtype=kappa.dtype, device=kappa.device)
    density = torch.softmax(_log_density(grid, kappa.unsqueeze(-1), d), -1)
    cells = torch.cumsum((density[..., 1:] + density[..., :-1]) / 2, -1)
    cells = torch.nn.functional.pad(cells / cells[..., -1:], (1, 0))
    right = torch.searchsorted(cells, uniform.unsqueeze(-1)).clamp(1, _GRID - 1)
    below, above = cells.gather(-1, right - 1), cells.gather(-1, right)
    part = (uniform.unsqueeze(-1) - below) / (above - below).clamp(min=torch.finfo(kappa.dtype).tiny)
    return (grid.gather(-1, right - 1) * (1 - part) + grid.gather(-1, right) * part).squeeze(-1)
