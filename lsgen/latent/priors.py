"""Priors p(z): modules that return a distribution over codes when called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from lsgen.latent.manifolds.manifold import Euclidean, Manifold

__all__ = ["EncoderDependentPrior", "ImplicitPrior", "Prior", "StandardNormal"]


class Prior(nn.Module, ABC):
    """Abstract prior over codes of dimension `dim`.

    Args:
        dim: latent dimension d.

    Raises:
        ValueError: dim is not positive.

    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"expected a latent dimension of at least 1, got {dim}")
        self.dim = int(dim)

    @property
    def manifold(self) -> Manifold:
        """The manifold on which codes lie by construction; flat space by default."""
        return Euclidean()

    @property
    def reparameterised(self) -> bool:
        """Whether `draw` passes gradients on to every parameter."""
        return not any(True for _ in self.parameters()) or self().has_rsample

    def draw(self, n: int) -> Tensor:
        """Return n codes, (n, d), with the gradient of the parameters where the distribution can give it."""
        p = self()
        codes: Tensor = p.rsample((n,)) if getattr(p, "has_rsample", False) else p.sample((n,))
        return codes

    @abstractmethod
    def forward(self) -> Distribution:
        """Return p(z), of batch shape () and event shape (d,)."""

    def levels(self, t: Tensor) -> Tensor:
        """Return the values of each coordinate in a traversal, (N, d), at t standard deviations (N,) of the prior.

        mean + t std in flat space; elsewhere how far along the geodesic, t std. A prior with bounded coordinates gives
        the quantiles that a normal variable would have at t.
        """
        p = self()
        values = t.to(p.mean)[:, None] * p.stddev
        return values + p.mean if isinstance(self.manifold, Euclidean) else values


class ImplicitPrior(Prior):
    """Abstract prior that can be sampled and has no density."""


class EncoderDependentPrior(Prior):
    """Abstract prior that is computed with the encoder of its latent space."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self._encode: Callable[[Tensor], Distribution] | None = None
        self._manifold: Manifold = Euclidean()

    @property
    def manifold(self) -> Manifold:
        """The manifold of the posteriors."""
        return self._manifold

    def bind(self, encode: Callable[[Tensor], Distribution], manifold: Manifold) -> None:
        """Store the encoder, observations (N, *shape) -> q(z|x), without registering it, and the manifold of codes."""
        self._encode, self._manifold = encode, manifold

    @property
    def encoder(self) -> Callable[[Tensor], Distribution]:
        """Observations (N, *shape) -> q(z|x).

        Raises:
            RuntimeError: the prior belongs to no latent space.

        """
        if self._encode is None:
            raise RuntimeError(f"{type(self).__name__} expected to belong to a latent space with an encoder")
        return self._encode

    def forward(self) -> Distribution:
        """Return p(z).

        Raises:
            RuntimeError: the prior belongs to no latent space.

        """
        return self.given(self.encoder)

    @abstractmethod
    def given(self, encode: Callable[[Tensor], Distribution]) -> Distribution:
        """Return p(z) from the encoder."""


class StandardNormal(Prior):
    """The standard normal N(0, I)."""

    origin: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    def forward(self) -> Distribution:
        """Return N(0, I)."""
        normal = Normal(self.origin, torch.ones_like(self.origin), validate_args=False)
        return Independent(normal, 1, validate_args=False)
