"""What a VAE objective promises: a latent space and a batch in, losses out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses

__all__ = ["Objective", "kl_per_dimension"]


class Objective(nn.Module, ABC):
    """Abstract training objective of a variational autoencoder."""

    @abstractmethod
    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the losses of a batch.

        Args:
            space: encoder, prior, decoder and likelihood.
            batch: tensors by name; "x" holds observations (B, *shape).
            step: completed generator steps, the argument of every schedule.

        """


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor:
    """Return KL(q || p) in nats for every latent dimension of two factorised distributions, (B, d).

    Raises:
        TypeError: one of the two does not factorise over latent dimensions.

    """
    if not isinstance(q, Independent) or not isinstance(p, Independent):
        raise TypeError(f"expected a posterior and a prior that factorise over latent dimensions, got {q} and {p}")
    return kl_divergence(q.base_dist, p.base_dist)
