r"""Importance weights of k codes drawn from the posterior, shared by the bounds that average them.

    w_i = p(x|z_i) p(z_i) / q(z_i|x),    z_1 ... z_k ~ q(z|x),    p(x) = E[ 1/k sum_i w_i ].

The encoder sees each observation once, the decoder k times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent import EncodableLatentSpace
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses

__all__ = ["Weights", "draw", "log_mean_exp", "losses", "positive"]


@dataclass(frozen=True)
class Weights:
    """The parts of log w for k codes of each of B observations, (k, B) each.

    Attributes:
        likelihood: log p(x|z).
        prior: log p(z).
        posterior: log q(z|x).
        kl: the divergence of the posterior, (B, d); see `kl_terms`.

    """

    likelihood: Tensor
    prior: Tensor
    posterior: Tensor
    kl: Tensor

    @property
    def log_w(self) -> Tensor:
        """Log importance weights, (k, B)."""
        return self.likelihood + self.prior - self.posterior


def draw(space: EncodableLatentSpace, x: Tensor, samples: int) -> Weights:
    """Return the weights of k reparameterised codes for observations (B, *shape)."""
    q = space.encode(x)
    return weigh(space, x, q, *space.draw(q, (samples,)))


def weigh(
    space: EncodableLatentSpace, x: Tensor, q: Distribution, z: Tensor, decoded: Distribution | None = None
) -> Weights:
    """Return the weights of given codes (k, B, d) of posteriors q, decoded already or not."""
    p, decoded = space.prior(), space.decode(z) if decoded is None else decoded
    return Weights(decoded.log_prob(x), p.log_prob(z), q.log_prob(z), kl_terms(q, p, z))


def log_mean_exp(values: Tensor, dim: int = 0) -> Tensor:
    """Return log of the mean of exp(values) along a dimension."""
    return torch.logsumexp(values, dim) - log(values.shape[dim])


def losses(loss: Tensor, bound: Tensor, parts: Weights, weights: Mapping[str, float] | None = None) -> Losses:
    """Return the losses of a bound (B,): its terms are averages over the k codes, the bound itself is a scalar."""
    reconstruction = -parts.likelihood.mean(0)
    return Losses(loss, reconstruction, parts.kl, weights or {}, {"bound": bound.detach().mean()})


def positive(name: str, value: int) -> int:
    """Return a number of samples, or refuse one below 1."""
    if value < 1:
        raise ValueError(f"expected {name} of at least 1, got {value}")
    return int(value)
