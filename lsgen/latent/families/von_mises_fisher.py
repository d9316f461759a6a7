r"""Codes on the unit sphere S^{d-1} in R^d: the von Mises-Fisher distribution and the uniform one.

    q(z; mu, kappa) = e^{kappa mu.z} / (|S^{d-2}| Z(kappa)),    Z(kappa) = int_0^pi sin^{d-2}(t) e^{kappa cos t} dt,
    A(kappa) = E[mu.z] = d log Z / d kappa,
    KL(q || uniform) = kappa A(kappa) - log Z(kappa) - log |S^{d-2}| + log |S^{d-1}|,

and |S^{n-1}| = 2 pi^{n/2} / Gamma(n/2).

z = cos(t) mu + sin(t) v, with v uniform on the unit sphere of the tangent space at mu and the angle t from the density
sin^{d-2}(t) e^{kappa cos t} / Z, by the inverse of its distribution function (see `radial_quantiles`, whose sums need
no Bessel function). All of this is computed in double precision, and with 1 - cos t and 1 - A in place of cos t and A,
whose digits are lost at high concentrations; results are of the precision of the directions.

Reference: Davidson et al., "Hyperspherical variational auto-encoders" (2018), https://arxiv.org/abs/1804.00891.
"""

from __future__ import annotations

from functools import cached_property
from math import lgamma, log, pi
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.linalg import vector_norm
from torch.nn.functional import normalize, softplus

from lsgen.latent.families.radial_quantiles import (
    RadialTable,
    log_normaliser,
    mean_statistic,
    radial_quantile,
    radial_table,
)
from lsgen.latent.families.spherical_angles import SphericalAngle, largest_concentration
from lsgen.latent.great_circles import tangent, unit_vector
from lsgen.latent.manifolds.manifold import Sphere
from lsgen.latent.manifolds.refusal import known_to_hold
from lsgen.latent.posteriors import Posterior
from lsgen.latent.priors import Prior

__all__ = ["HypersphericalUniform", "UniformOnSphere", "VonMisesFisher", "VonMisesFisherPosterior", "log_sphere_area"]


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
    """The von Mises-Fisher distribution; directions and concentrations are broadcast to its batch shape B.

    Args:
        direction: unit vectors mu, (B, d), d >= 2.
        concentration: kappa > 0, (B,), at most `largest_concentration` of the precision of the directions.

    Raises:
        ValueError: the shapes do not fit, a direction is not a unit vector, or a concentration is out of its range. (In
            a training step on an accelerator, which would have to wait for the answer, densities and draws are NaN
            where the latter is so.)

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, direction: Tensor, concentration: Tensor) -> None:
        shapes = tuple(direction.shape), tuple(concentration.shape)
        if not direction.ndim or direction.shape[-1] < 2:
            raise ValueError(f"expected directions (B, d) in at least 2 dimensions, got shape {shapes[0]}")
        try:
            batch = torch.broadcast_shapes(shapes[0][:-1], shapes[1])
        except RuntimeError:
            raise ValueError(
                f"expected directions (B, d) and concentrations (B,), got {shapes[0]} and {shapes[1]}"
            ) from None
        direction, concentration = direction.expand(*batch, -1), concentration.expand(batch)
        length, largest = vector_norm(direction.detach(), dim=-1), largest_concentration(direction.dtype)
        if known_to_hold((length - 1).abs() > max(1e-3, 2 * torch.finfo(direction.dtype).eps)):
            raise ValueError(
                "expected unit vectors as directions, "
                f"got lengths from {float(length.min()):.4g} to {float(length.max()):.4g}"
            )
        admitted = (concentration > 0) & (concentration <= largest)
        if known_to_hold(~admitted & ~concentration.isnan()):
            raise ValueError(
                f"expected concentrations above 0 and up to {largest:.2g}, where {str(direction.dtype)[6:]} still "
                f"tells draws from the mean direction, got {float(concentration[~admitted].flatten()[0]):.4g}"
            )
        refused = torch.zeros_like(concentration).masked_fill(~admitted, torch.nan)  # a sum keeps no graph of its own
        self.direction, self.concentration = direction, concentration + refused
        self._kappa = self.concentration.double()  # once, so that gradients that cancel add up in double precision
        super().__init__(batch, direction.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean direction mu, (B, d): the intrinsic mean, a point of the sphere; E[z] = A(kappa) mu."""
        return self.direction

    @property
    def variance(self) -> Tensor:
        """The variance (A/kappa) (1 - mu^2) + Var(mu.z) mu^2 of every coordinate about E[z], (B, d)."""
        deficit, along = (x.unsqueeze(-1) for x in (self._deficit, self._table.variance.view(self.batch_shape)))
        across, square = (1 - deficit) / self._kappa.unsqueeze(-1), self.direction.double().square()
        return (across * (1 - square) + along * square).to(self.direction.dtype)

    @property
    def mean_resultant_length(self) -> Tensor:
        """A(kappa) = E[mu.z], (B,)."""
        return (1 - self._deficit).to(self.direction.dtype)

    @property
    def log_normaliser(self) -> Tensor:
        """log(|S^{d-2}| Z(kappa)), (B,)."""
        return (self._log_scaled_normaliser + self._kappa).to(self.direction.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density with respect to the area of the sphere, (B,), of unit vectors (B, d)."""
        versine = (value.double() - self.direction.double()).square().sum(-1) / 2
        log_prob = -self._kappa * versine - self._log_scaled_normaliser
        return log_prob.to(self.direction.dtype)

    def entropy(self) -> Tensor:
        """Return log(|S^{d-2}| Z) - kappa A, (B,)."""
        return self.precise_entropy.to(self.direction.dtype)

    @property
    def precise_entropy(self) -> Tensor:
        """The entropy in double precision, (B,); differences from that of the uniform distribution are small."""
        return self._log_scaled_normaliser + self._kappa * self._deficit

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return reparameterised points (*sample_shape, B, d); they have first derivatives only."""
        shape, dtype, device = torch.Size(sample_shape) + self.batch_shape, self.direction.dtype, self.direction.device
        kappa = self._flat.expand(torch.Size(sample_shape).numel(), -1)
        half = torch.finfo(dtype).eps / 4  # rand gives multiples of eps / 2, also 0
        share = (torch.rand(kappa.shape, dtype=dtype, device=device).double() + half).clamp(max=1 - 2**-53)
        t = radial_quantile(kappa, share, self._table).view(*shape, 1)
        mu = unit_vector(self.direction.double())
        noise = torch.randn(shape + self.event_shape, dtype=torch.float64, device=device)
        return (torch.cos(t) * mu + torch.sin(t) * unit_vector(tangent(mu, noise))).to(dtype)

    @property
    def _flat(self) -> Tensor:
        return self._kappa.reshape(-1)

    @cached_property
    def _table(self) -> RadialTable:
        return radial_table(SphericalAngle(self.event_shape[0] - 2), self._flat)

    @property
    def _deficit(self) -> Tensor:
        """1 - A(kappa), (B,)."""
        return mean_statistic(self._flat, self._table).view(self.batch_shape)

    @property
    def _log_scaled_normaliser(self) -> Tensor:
        """log(|S^{d-2}| Z(kappa)) - kappa, (B,)."""
        log_z = log_normaliser(self._flat, self._table).view(self.batch_shape)
        return log_sphere_area(self.event_shape[0] - 1) + log_z


class VonMisesFisherPosterior(Posterior):
    """q(z|x) on the sphere; the heads are a direction and, averaged over dimensions, a concentration.

    kappa = 1 + softplus(mean of the second head), as in the paper.
    """

    heads: ClassVar[int] = 2
    twice_differentiable: ClassVar[bool] = False

    @property
    def manifold(self) -> Sphere:
        """The unit sphere."""
        return Sphere()

    def forward(self, raw: Tensor) -> VonMisesFisher:
        """Return the distribution of raw outputs (B, 2 d)."""
        direction, concentration = raw.chunk(2, dim=-1)
        return VonMisesFisher(unit_vector(direction), 1 + softplus(concentration.mean(-1)))


@register_kl(VonMisesFisher, UniformOnSphere)
def _kl_to_uniform(q: VonMisesFisher, p: UniformOnSphere) -> Tensor:
    return (log_sphere_area(q.event_shape[0]) - q.precise_entropy).to(q.direction.dtype)
