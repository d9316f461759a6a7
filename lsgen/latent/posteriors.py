"""Posterior families q(z|x): an encoder's raw outputs -> a distribution over codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from lsgen.latent.manifolds.manifold import Euclidean, Manifold

__all__ = ["DecoderDependentPosterior", "DiagonalNormal", "PointPosterior", "Posterior"]


class Posterior(nn.Module, ABC):
    """Abstract family of posterior distributions.

    Attributes:
        heads: encoder outputs per latent dimension.
        raw_dim: number of latent dimensions that the encoder speaks of; all of them where it is None.
        reparameterised: whether codes carry the gradient of the raw outputs, by `rsample`.
        factorised: whether q(z|x) is `Independent` over latent dimensions.
        twice_differentiable: whether codes carry second derivatives of the raw outputs too.

    """

    heads: ClassVar[int]
    raw_dim: int | None = None
    reparameterised: ClassVar[bool] = True
    factorised: ClassVar[bool] = False
    twice_differentiable: ClassVar[bool] = True

    @property
    def manifold(self) -> Manifold:
        """The manifold on which codes lie and to whose volume densities refer; flat space by default."""
        return Euclidean()

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """Return q(z|x), of batch shape B and event shape (d,), from raw outputs (B, heads * d)."""


class PointPosterior(Posterior):
    """Abstract family of point masses, which have no density."""


class DecoderDependentPosterior(Posterior):
    """Abstract family that is computed with the decoder of its latent space as well."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder: list[nn.Module] = []

    def bind(self, decoder: nn.Module) -> None:
        """Store the decoder, without registering it as a submodule."""
        self._decoder = [decoder]

    @property
    def decoder(self) -> nn.Module:
        """The decoder.

        Raises:
            RuntimeError: the posterior belongs to no latent space.

        """
        if not self._decoder:
            raise RuntimeError(f"{type(self).__name__} expected to belong to a latent space")
        return self._decoder[0]


class DiagonalNormal(Posterior):
    """N(mean, diag(exp(log_variance))); the heads are the mean and the log variance."""

    heads: ClassVar[int] = 2
    factorised: ClassVar[bool] = True

    def forward(self, raw: Tensor) -> Distribution:
        """Return the diagonal normal of raw outputs (B, 2 d)."""
        mean, log_variance = raw.chunk(2, dim=-1)
        return Independent(Normal(mean, (log_variance / 2).exp(), validate_args=False), 1, validate_args=False)
