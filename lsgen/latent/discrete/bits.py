r"""Codes of independent bits, z in {0, 1}^d.

    q(z|x) = prod_i Bernoulli(z_i | sigmoid(l_i)),    p(z) = 2^-d

The relaxation of a bit at temperature t is the binary Concrete distribution. In y = logit z its density is

    t e^s / (1 + e^s)^2,    s = l - t y .

Reference: Maddison, Mnih & Teh (2017), appendix B, https://arxiv.org/abs/1611.00712.
"""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, register_kl
from torch.nn.functional import logsigmoid, softplus

from lsgen.latent.discrete.relaxation import DiscreteCodes, DiscretePosterior, DiscretePrior
from lsgen.latent.manifolds.lattice import Lattice
from lsgen.latent.manifolds.manifold import Manifold

__all__ = ["BernoulliPosterior", "BernoulliPrior", "BitCodes"]


class _Bit(Bernoulli):
    """A bit, whose divergence from another is finite for all finite logits and broadcasts."""


@register_kl(_Bit, _Bit)
def _kl_of_bits(q: _Bit, p: _Bit) -> Tensor:
    one = logsigmoid(q.logits) - logsigmoid(p.logits)
    zero = logsigmoid(-q.logits) - logsigmoid(-p.logits)
    return torch.sigmoid(q.logits) * one + torch.sigmoid(-q.logits) * zero


class BitCodes(Independent, DiscreteCodes):
    """Independent bits.

    Args:
        logits: log odds of a 1, (B, d).

    """

    has_rsample = False

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(_Bit(logits=logits, validate_args=False), 1, validate_args=False)

    def noise(self, sample_shape: torch.Size) -> Tensor:
        """Return logistic noise."""
        like = self.logits.new_empty(sample_shape + self.logits.shape)
        tiny = torch.finfo(like.dtype).tiny
        first, second = (torch.empty_like(like).exponential_().clamp(min=tiny).log() for _ in range(2))
        return first - second

    def scores(self, noise: Tensor, temperature: float) -> Tensor:
        """Return log odds y of relaxed bits."""
        return (self.logits + noise) / temperature

    def soft(self, scores: Tensor) -> Tensor:
        """Return relaxed bits, between 0 and 1."""
        return torch.sigmoid(scores)

    def hard(self, scores: Tensor) -> Tensor:
        """Return bits."""
        return (scores > 0).to(scores)

    def relaxed_log_prob(self, scores: Tensor, temperature: float) -> Tensor:
        """Return the log density with respect to y."""
        s = self.logits - temperature * scores
        return (s - 2 * softplus(s) + log(temperature)).sum(-1)


class BernoulliPosterior(DiscretePosterior):
    """A posterior of independent bits; the raw outputs are their log odds.

    Args:
        dim: number d of bits.

    """

    heads: ClassVar[int] = 1
    factorised: ClassVar[bool] = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self._manifold = Lattice.of_bits(dim)

    @property
    def manifold(self) -> Manifold:
        """The bit strings."""
        return self._manifold

    def forward(self, raw: Tensor) -> BitCodes:
        """Return the bits of log odds (B, d)."""
        return BitCodes(raw)


class BernoulliPrior(DiscretePrior):
    """The prior of fair bits: all 2^d codes are equally likely."""

    logits: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("logits", torch.zeros(dim), persistent=False)
        self._manifold = Lattice.of_bits(dim)

    @property
    def manifold(self) -> Manifold:
        """The bit strings."""
        return self._manifold

    def levels(self, t: Tensor) -> Tensor:
        """Return the quantiles Phi(t) of a bit, 0 up to the mean and 1 above it, (N, d)."""
        return (t.to(self.logits) > 0).to(self.logits)[:, None].expand(-1, self.dim)

    def forward(self) -> BitCodes:
        """Return the uniform distribution over bit strings."""
        return BitCodes(self.logits)
