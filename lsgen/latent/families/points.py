"""The posterior of a deterministic encoder, a point mass."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from lsgen.latent.manifolds.lattice import Lattice
from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.manifolds.supports import Codebook
from lsgen.latent.posteriors import PointPosterior

__all__ = ["Deterministic", "Point"]


class Point(Distribution):
    """The Dirac measure at `mean`, (B, d)."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor) -> None:
        self._mean = mean
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point, (B, d)."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """Zero, (B, d)."""
        return torch.zeros_like(self._mean)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return the point, (*sample_shape, B, d)."""
        return self._mean.expand(torch.Size(sample_shape) + self._mean.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Raise an error, because a point mass has no density.

        Raises:
            NotImplementedError: always.

        """
        raise NotImplementedError("a deterministic code has no density: choose a posterior such as DiagonalNormal")


class Deterministic(PointPosterior):
    """The posterior of a deterministic encoder, whose raw output is the code in coordinates of the prior's manifold.

    In flat space and in a cube that is the raw output as it is, on a sphere its direction, in the Poincare ball the
    exponential map at the origin, for a class the class probabilities.
    """

    heads: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self._manifold: Manifold = Euclidean()

    @property
    def manifold(self) -> Manifold:
        """The manifold of the prior of its latent space."""
        return self._manifold

    def bind_to(self, manifold: Manifold) -> None:
        """Store the manifold on which codes lie.

        Raises:
            TypeError: they are those of a codebook or a lattice, to which no differentiable map leads.

        """
        if isinstance(manifold, Codebook | Lattice):
            raise TypeError(f"expected a posterior that puts codes on {manifold}, got Deterministic")
        self._manifold = manifold

    def forward(self, raw: Tensor) -> Point:
        """Return the point at raw outputs (B, d)."""
        return Point(self.manifold.parametrised(raw))
