"""What a VAE objective promises: a latent space and a batch in, losses out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from lsgen.latent import EncodableLatentSpace, LadderNormal, Point
from lsgen.models.losses import Losses

__all__ = ["DataSetObjective", "Objective", "SampleTerms", "kl_per_dimension", "kl_terms", "sample_terms"]


class Objective(nn.Module, ABC):
    """Abstract training objective of a variational autoencoder.

    Attributes:
        demands: entries of a batch needed beside "x": "label", "pair" or "observed".

    """

    demands: ClassVar[tuple[str, ...]] = ()

    @property
    def least_batch(self) -> int:
        """The number of observations of the smallest batch that it can judge, in training or evaluation."""
        return 1

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
        """Take note of the size of the training set, over all processes, unless it was given."""
        if not self._given:
            self._observations = int(observations)

    def get_extra_state(self) -> Tensor:
        """Return N for the checkpoint."""
        return torch.tensor(self._observations)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore N."""
        self._observations = int(state)


def factorises(*distributions: Distribution) -> bool:
    """Return whether every distribution over codes is a product over latent dimensions."""
    return all(isinstance(p, Independent) and p.reinterpreted_batch_ndims == 1 for p in distributions)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor:
    """Return KL(q || p) in nats for every latent dimension of two factorised distributions, (B, d).

    Raises:
        TypeError: one of the two does not factorise over latent dimensions.

    """
    if not (isinstance(q, Independent) and isinstance(p, Independent) and factorises(q, p)):
        raise TypeError(f"expected a posterior and a prior that factorise over latent dimensions, got {q} and {p}")
    return kl_divergence(q.base_dist, p.base_dist)


def kl_terms(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """Return KL(q || p) in nats: in closed form where there is one, else estimated as log q(z|x) - log p(z).

    Args:
        q: posterior, of batch shape (B,).
        p: prior.
        z: codes drawn from q, (B, d) or (k, B, d), for the estimate.

    Returns:
        (B, d) where both factorise over latent dimensions (for a ladder: given the level above), else (B, 1); (B, 0)
        where q is a point.

    """
    if isinstance(q, Point):
        return z.new_zeros(len(q.mean), 0)
    if isinstance(q, LadderNormal) and isinstance(p, Independent) and factorises(p):
        kl = kl_divergence(q.factors(z).base_dist, p.base_dist)
        return kl.mean(0) if kl.ndim > 2 else kl
    if isinstance(q, Independent) and isinstance(p, Independent) and factorises(q, p):
        return _divergence(q.base_dist, p.base_dist, z)
    return _divergence(q, p, z).unsqueeze(-1)


@dataclass(frozen=True)
class SampleTerms:
    """What one sample of the posterior gives.

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


def sample_terms(space: EncodableLatentSpace, x: Tensor, *, seen: Tensor | None = None) -> SampleTerms:
    """Return the terms of one reparameterised sample.

    Args:
        space: encoder, prior, decoder and likelihood.
        x: observations (B, *shape).
        seen: what the encoder sees in their place, such as a corrupted copy.

    """
    q = space.encode(x if seen is None else seen)
    z = q.rsample()
    reconstruction = -space.decode(z).log_prob(x)
    return SampleTerms(q, z, reconstruction, kl_terms(q, space.prior(), z))


def _divergence(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        estimate = q.log_prob(z) - p.log_prob(z)
        return estimate.mean(0) if estimate.ndim > len(q.batch_shape) else estimate
