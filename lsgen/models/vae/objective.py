"""The contract of a VAE objective, which maps a latent space and a batch to losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen.latent import EncodableLatentSpace
from lsgen.models import parts
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses

__all__ = ["DataSetObjective", "Objective", "SampleTerms", "sample_terms"]


class Objective(nn.Module, ABC):
    """Abstract training objective of a variational autoencoder, with its requirements on batches and parts.

    Attributes:
        demands: entries of a batch needed beside "x": "label", "pair" or "observed".
        divergence: whether the loss holds log q(z|x) - log p(z), or its mean, the KL.
        draws: whether the loss compares codes with draws of the prior, from which a learned prior learns.
        factorised: whether the posterior must be independent over latent dimensions.

    """

    demands: ClassVar[tuple[str, ...]] = ()
    divergence: bool = True
    draws: ClassVar[bool] = False
    factorised: ClassVar[bool] = False

    @property
    def least_batch(self) -> int:
        """The number of observations in the smallest batch that the loss is defined for."""
        return 1

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse parts that the objective cannot train, before any step is taken.

        Raises:
            TypeError: a part has no density, no gradient, or would learn nothing.

        """
        name = type(self).__name__
        parts.check_posterior(name, space.posterior, density=self.divergence, factorised=self.factorised)
        parts.check_prior(name, space, density=self.divergence, draws=self.draws)

    def seen(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return what the encoder sees of a batch, (B, *shape): the observations, unless an objective hides a part."""
        return batch["x"]

    @abstractmethod
    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the losses of a batch.

        Args:
            space: encoder, prior, decoder and likelihood.
            batch: tensors by name; "x" holds observations (B, *shape).
            step: completed generator steps, the argument of every schedule.

        """


class DataSetObjective(Objective):
    """Abstract objective that depends on the number N of training observations, which the checkpoint keeps.

    Args:
        observations: N; where it is not given, it is taken from the training data when training starts.

    """

    def __init__(self, observations: int | None = None) -> None:
        super().__init__()
        if observations is not None and observations < 1:
            raise ValueError(f"expected at least 1 training observation, got {observations}")
        self._given, self._observations = observations is not None, observations or 0

    @property
    def observations(self) -> int:
        """The number N of training observations.

        Raises:
            RuntimeError: it is not known.

        """
        if not self._observations:
            raise RuntimeError(
                f"{type(self).__name__} expected to know the size of the training set: "
                "give it observations=N, call prepare(N), or start training"
            )
        return self._observations

    def prepare(self, observations: int) -> None:
        """Set the number of training observations, over all processes, unless it was given."""
        if not self._given:
            self._observations = int(observations)

    def get_extra_state(self) -> Tensor:
        """Return N for the checkpoint."""
        return torch.tensor(self._observations)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore N."""
        self._observations = int(state)


@dataclass(frozen=True)
class SampleTerms:
    """The code, reconstruction and KL of one sample of the posterior.

    Attributes:
        q: the posterior, of batch shape (B,).
        z: the sample, (B, d).
        reconstruction: -log p(x|z), (B,), in nats.
        kl: the divergence, (B, d); see `kl_terms`.

    """

    q: Distribution
    z: Tensor
    reconstruction: Tensor
    kl: Tensor

    def losses(
        self, loss: Tensor, weights: Mapping[str, float] | None = None, scalars: Mapping[str, Tensor] | None = None
    ) -> Losses:
        """Return a loss with these terms; the scalars lose their graph."""
        detached = {name: value.detach() for name, value in (scalars or {}).items()}
        return Losses(loss, self.reconstruction, self.kl, weights or {}, detached)

    def bound(self) -> Losses:
        """Return the negative ELBO as the loss, or the reconstruction of point codes."""
        return self.losses((self.reconstruction + self.kl.sum(-1)).mean())


def sample_terms(space: EncodableLatentSpace, x: Tensor, *, seen: Tensor | None = None) -> SampleTerms:
    """Return the terms of one reparameterised sample.

    Args:
        space: encoder, prior, decoder and likelihood.
        x: observations (B, *shape).
        seen: what the encoder sees in their place, such as a corrupted copy.

    """
    q = space.encode(x if seen is None else seen)
    z, decoded = space.draw(q)
    reconstruction = -decoded.log_prob(x)
    return SampleTerms(q, z, reconstruction, kl_terms(q, space.prior(), z))
