r"""Location families and location-scale families, of which Gaussian, Laplace and logistic are members.

    p(x|mu, s) = f((x - mu)/s)/s,    F = A/s^2 in mu,    A = E[(f'/f)^2],    C = E[(1 + u f'/f)^2],  u = (x - mu)/s.

With s fixed the family is flat, embedded by sqrt(A) mu/s. With h = (mu, log s) and f symmetric, F = diag(A/s^2, C): a
hyperbolic plane of scalar curvature -2/C. With x = mu sqrt(A/C), y = s it is sqrt(C) times the hyperboloid of R^{2,1},

    e = sqrt(C) ( (x^2 + y^2 + 1)/2y,  x/y,  (x^2 + y^2 - 1)/2y ),    signature (-, +, +).

With psi = -f'/f and f symmetric the third moments of the score are E[psi^2 (u psi - 1)]/s^2 (twice mu, once log s),
E[(u psi - 1)^3] (three times log s), and 0 where mu enters an odd number of times.

Far from (x, y) = (0, 1) the timelike and the second spacelike coordinate nearly cancel. The isometry
(x, y) -> ((x - x0)/y0, y/y0) moves a base point there, where the timelike derivative vanishes. With
X = (x - x0)/y0 and L = log(y/y0) the coordinates are X^2/2Y + cosh L, X/Y, X^2/2Y + sinh L.
"""

from __future__ import annotations

from abc import abstractmethod
from math import sqrt
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood

__all__ = ["LocationFamily", "LocationScaleFamily", "ScoreMoments"]


class LocationFamily(ClosedFormLikelihood, CubicLikelihood):
    """Abstract family of symmetric densities with location h and a scale that does not depend on the code.

    Attributes:
        location_information: A.

    """

    convex: ClassVar[bool] = True
    location_information: ClassVar[float]

    @abstractmethod
    def scale_like(self, location: Tensor) -> Tensor:
        """Return the scale s, of a shape that broadcasts with `shape`, of the dtype and device of the location."""

    @abstractmethod
    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return the member of the family for every data dimension."""

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of location h and scale s."""
        location = self.split(h).squeeze(-1)
        member = self.member(location, self.scale_like(location))
        return Independent(member, len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return A/s^2, of shape (B, *shape, 1, 1)."""
        location = self.split(h).squeeze(-1)
        information = self.location_information * self.scale_like(location) ** -2
        return information.expand_as(location)[..., None, None]

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return zeros (B, k, k, k): the score is an odd function of x - mu."""
        self.check_raw(h)
        k = v.shape[-1 - len(self.shape)]
        return h.new_zeros(*h.shape[: -len(self.shape)], k, k, k)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept every finite number."""
        return torch.isfinite(x)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return sqrt(A) mu/s, of shape (B, D)."""
        location = self.split(h).squeeze(-1)
        return (sqrt(self.location_information) * location / self.scale_like(location)).flatten(-len(self.shape))

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the norm of sqrt(A) (mu - mu')/s."""
        return torch.linalg.vector_norm(self.embed(h) - self.embed(other), dim=-1)


class ScoreMoments(NamedTuple):
    """A, C, E[psi^2 (u psi - 1)] and E[(u psi - 1)^3], numbers or tensors that broadcast with `shape`."""

    location_information: float | Tensor
    scale_information: float | Tensor
    location_skewness: float | Tensor
    scale_skewness: float | Tensor


class LocationScaleFamily(ClosedFormLikelihood, CubicLikelihood):
    """Abstract family of symmetric densities whose raw outputs h are the location and the logarithm of the scale.

    Attributes:
        location_information: A.
        scale_information: C.
        location_skewness: E[psi^2 (u psi - 1)].
        scale_skewness: E[(u psi - 1)^3].

    """

    heads: int = 2
    convex: ClassVar[bool] = True
    location_information: ClassVar[float]
    scale_information: ClassVar[float]
    location_skewness: ClassVar[float]
    scale_skewness: ClassVar[float]

    @abstractmethod
    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return the member of the family for every data dimension."""

    def moments_like(self, location: Tensor) -> ScoreMoments:
        """Return the four moments, of the dtype and device of the location where a family computes them."""
        return ScoreMoments(
            self.location_information, self.scale_information, self.location_skewness, self.scale_skewness
        )

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of location mu and scale exp(log s)."""
        location, log_scale = self.split(h).unbind(-1)
        return Independent(self.member(location, log_scale.exp()), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return diag(A/s^2, C), of shape (B, *shape, 2, 2)."""
        log_scale = self.split(h)[..., 1]
        A, C, *_ = self.moments_like(h)
        return torch.diag_embed(torch.stack([A * (-2 * log_scale).exp(), C + torch.zeros_like(log_scale)], -1))

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T of the two moments that are not 0, for each data dimension."""
        log_scale = self.split(h)[..., 1]
        moments, zero = self.moments_like(h), torch.zeros_like(log_scale)
        twice, thrice = moments.location_skewness * (-2 * log_scale).exp(), moments.scale_skewness + zero
        rows = [zero, twice, twice, zero, twice, zero, zero, thrice]
        return self.contracted(torch.stack(rows, -1).unflatten(-1, (2, 2, 2)), v)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept every finite number."""
        return torch.isfinite(x)

    @property
    def signature(self) -> Tensor:
        """The signs (-, +, +) for every data dimension, of shape (3 D,)."""
        return torch.tensor([-1.0, 1.0, 1.0]).repeat(self.dimensions)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the hyperboloid coordinates, of shape (B, 3 D), with the base point `at` moved to the origin."""
        A, C, *_ = self.moments_like(h)
        location, log_scale = self.split(h).unbind(-1)
        base, base_log_scale = self.split(h.new_zeros(h.shape) if at is None else at.detach()).unbind(-1)
        X = (location - base) * torch.exp(-base_log_scale) * (A / C) ** 0.5
        L = log_scale - base_log_scale
        slope = X * torch.exp(-L)
        half = X * slope / 2
        coordinates = [C**0.5 * x for x in (half + torch.cosh(L), slope, half + torch.sinh(L))]
        return torch.stack(coordinates, -1).flatten(-len(self.shape) - 1)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        r"""Return the hyperbolic distance, sqrt(C) arccosh(1 + (A/C (mu-mu')^2 + (s-s')^2) / 2 s s').

        Evaluated as 2 sqrt(C) asinh of half the chord, which keeps small distances.
        """
        A, C, *_ = self.moments_like(h)
        (location, log_scale), (location_, log_scale_) = self.split(h).unbind(-1), self.split(other).unbind(-1)
        difference = (location - location_) * torch.exp(-(log_scale + log_scale_) / 2)
        half_chord = torch.hypot((A / C) ** 0.5 * difference / 2, torch.sinh((log_scale - log_scale_) / 2))
        return torch.linalg.vector_norm((2 * C**0.5 * torch.asinh(half_chord)).flatten(-len(self.shape)), dim=-1)
