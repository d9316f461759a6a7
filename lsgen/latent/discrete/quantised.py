r"""Discrete codes: vector quantisation with a codebook that follows the encoder.

The encoder's output is cut into L vectors y_l in R^D; each is replaced by the nearest of K codebook vectors,

    k_l = argmin_j |y_l - e_j|,    z = (e_{k_1}, ..., e_{k_L}),    dz/dy := I (straight through).

The codebook is an exponential moving average of the vectors that chose each entry,

    N_j <- g N_j + (1 - g) n_j,    m_j <- g m_j + (1 - g) sum_{l: k_l = j} y_l,    e_j = m_j / N_j,

and an entry whose N_j falls below a threshold is put on a vector of the current batch; without a threshold, an entry
that nobody chooses any more stays. q(z|x) is one of K^L codes with certainty: its divergence from the uniform
distribution over codes is L log K nats, whatever x.

Reference: van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning" (2017), section 3 and
appendix A.1, https://arxiv.org/abs/1711.00937.
"""

from __future__ import annotations

from abc import abstractmethod
from math import log
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.nn.functional import one_hot

from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.manifolds.supports import Codebook
from lsgen.latent.posteriors import PointPosterior
from lsgen.latent.priors import Prior

__all__ = [
    "CodebookPrior",
    "Quantised",
    "QuantisedCodes",
    "Quantiser",
    "UniformOverCodes",
    "VectorQuantiser",
    "nearest_entries",
]


class QuantisedCodes(Distribution):
    """Abstract point mass at the code that replaces the outputs of an encoder, of batch shape (B,)."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    @property
    @abstractmethod
    def distance(self) -> Tensor:
        """The squared distance of the encoder's vectors from what they were replaced by, summed over the code, (B,)."""

    @property
    @abstractmethod
    def batch_perplexity(self) -> Tensor:
        """exp of the entropy of the entries used in the batch, between 1 and K, a scalar."""

    @property
    def variance(self) -> Tensor:
        """Zero, (B, d)."""
        return torch.zeros_like(self.mean)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return the code, (*sample_shape, B, d)."""
        return self.mean.expand(torch.Size(sample_shape) + self.mean.shape)


class Quantised(QuantisedCodes):
    """The quantised code of every observation, with the encoder outputs that it was made from.

    Args:
        raw: encoder vectors y, (B, L, D).
        indices: entries of the codebook, (B, L).
        codebook: (K, D).

    """

    def __init__(self, raw: Tensor, indices: Tensor, codebook: Tensor) -> None:
        self.raw, self.indices, self.entries = raw, indices, len(codebook)
        self.codes = codebook[indices]
        super().__init__(raw.shape[:1], torch.Size((raw.shape[1] * raw.shape[2],)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The code z, (B, L D); its gradient goes straight through to the encoder."""
        return (self.raw + (self.codes - self.raw).detach()).flatten(1)

    @property
    def distance(self) -> Tensor:
        """|y - z|^2, (B,)."""
        return (self.raw - self.codes).square().sum((1, 2))

    @property
    def batch_perplexity(self) -> Tensor:
        """exp of the entropy of the entries used in the batch, between 1 and K, a scalar."""
        used = one_hot(self.indices, self.entries).to(self.raw).flatten(0, -2).mean(0)
        return torch.exp(torch.special.entr(used).sum())


class UniformOverCodes(Distribution):
    """The uniform distribution over all K^L codes.

    Args:
        codebook: (K, D).
        length: number L of vectors in a code.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, codebook: Tensor, length: int) -> None:
        self.codebook, self.length = codebook, length
        super().__init__(torch.Size(), torch.Size((length * codebook.shape[1],)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The average code, (L D,)."""
        return self.codebook.mean(0).repeat(self.length)

    @property
    def variance(self) -> Tensor:
        """The variance of every coordinate, (L D,)."""
        return self.codebook.var(0, correction=0).repeat(self.length)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, L D)."""
        shape = (*sample_shape, self.length)
        indices = torch.randint(len(self.codebook), shape, device=self.codebook.device)
        return self.codebook[indices].flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability -L log K of any code, (B,)."""
        return value.new_full(value.shape[:-1], -self.length * log(len(self.codebook)))


class Quantiser(PointPosterior):
    """Abstract posterior that replaces the encoder's vectors by entries of codebooks, which follow the encoder."""

    heads: ClassVar[int] = 1

    @abstractmethod
    def forward(self, raw: Tensor) -> QuantisedCodes:
        """Return the codes of raw outputs (B, heads * d)."""

    @abstractmethod
    def update(self, q: QuantisedCodes) -> None:
        """Move the codebooks one step of their averages, over all processes."""

    @abstractmethod
    def uniform(self) -> Distribution:
        """Return the uniform distribution over codes."""

    @abstractmethod
    def quantiles(self, u: Tensor) -> Tensor:
        """Return the quantiles u (N,) of the coordinates of equally likely entries, (N, d)."""


class VectorQuantiser(Quantiser):
    """A deterministic posterior that replaces the encoder's vectors by the nearest codebook entries.

    Args:
        dim: latent dimension d = L D.
        entries: size K of the codebook.
        entry_dim: dimension D of an entry.
        decay: g of the moving averages.
        restart_below: an entry whose average count N_j is lower starts again; 0 never restarts one.

    Raises:
        ValueError: entry_dim does not divide dim, or a number is out of range.

    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(
        self, dim: int, entries: int = 512, entry_dim: int = 64, decay: float = 0.99, restart_below: float = 0.01
    ) -> None:
        super().__init__()
        if entries < 1 or entry_dim < 1 or dim % entry_dim:
            raise ValueError(
                f"expected entries of a dimension that divides {dim}, got {entries} entries of dimension {entry_dim}"
            )
        if not 0 <= decay < 1 or restart_below < 0:
            raise ValueError(f"expected decay in [0, 1) and restart_below >= 0, got {decay} and {restart_below}")
        self.length, self.decay, self.restart_below = dim // entry_dim, decay, restart_below
        self.register_buffer("codebook", torch.randn(entries, entry_dim) / entry_dim**0.5)
        self.register_buffer("counts", torch.ones(entries))
        self.register_buffer("sums", self.codebook.clone())

    @property
    def manifold(self) -> Manifold:
        """The codes of the current codebook."""
        return Codebook(self.codebook, self.length)

    def forward(self, raw: Tensor) -> Quantised:
        """Return the codes of raw outputs (B, L D)."""
        vectors = raw.unflatten(-1, (self.length, -1))
        return Quantised(vectors, nearest_entries(vectors, self.codebook), self.codebook)

    def uniform(self) -> UniformOverCodes:
        """Return the uniform distribution over K^L codes."""
        return UniformOverCodes(self.codebook, self.length)

    def quantiles(self, u: Tensor) -> Tensor:
        """Return the values of a coordinate of entries below which lies the share u (N,) of them, (N, L D)."""
        found = torch.quantile(self.codebook, u.to(self.codebook), dim=0, interpolation="nearest")
        return found.repeat(1, self.length)

    @torch.no_grad()
    def update(self, q: QuantisedCodes) -> None:
        """Move the codebook one step of its averages, over all processes."""
        assert isinstance(q, Quantised)
        vectors = q.raw.detach().flatten(0, 1).to(self.codebook.dtype)
        chosen = one_hot(q.indices.flatten(), len(self.codebook)).to(vectors)
        with torch.autocast(vectors.device.type, enabled=False):
            counts, sums = chosen.sum(0), chosen.T @ vectors
        fresh = vectors[torch.randint(len(vectors), (len(self.codebook),), device=vectors.device)]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
            torch.distributed.broadcast(fresh, src=0)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        dead = self.counts < self.restart_below
        self.counts.copy_(torch.where(dead, 1.0, self.counts))
        self.sums.copy_(torch.where(dead.unsqueeze(1), fresh, self.sums))
        known = (self.counts > torch.finfo(self.counts.dtype).eps ** 4).unsqueeze(1)  # else both underflow
        self.codebook.copy_(torch.where(known, self.sums / self.counts.unsqueeze(1), self.codebook))


@torch.no_grad()
def nearest_entries(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return which of the entries (K, D) is nearest to each vector (*, D), (*).

    Distances are in the precision of the codebook, also under automatic mixed precision.
    """
    with torch.autocast(codebook.device.type, enabled=False):
        return (codebook.square().sum(1) - 2 * vectors.to(codebook.dtype) @ codebook.T).argmin(-1)


class CodebookPrior(Prior):
    """The uniform distribution over the codes of a latent space's own codebook."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self._quantiser: list[Quantiser] = []

    def bind(self, quantiser: Quantiser) -> None:
        """Store the quantiser, without registering it as a submodule."""
        self._quantiser = [quantiser]

    @property
    def quantiser(self) -> Quantiser:
        """The quantiser.

        Raises:
            RuntimeError: the prior belongs to no latent space with a quantiser.

        """
        if not self._quantiser:
            raise RuntimeError(f"{type(self).__name__} expected to belong to a latent space with a vector quantiser")
        return self._quantiser[0]

    @property
    def manifold(self) -> Manifold:
        """The codes of the current codebook."""
        return self.quantiser.manifold

    def levels(self, t: Tensor) -> Tensor:
        """Return the quantiles Phi(t) of the coordinates of the entries, (N, d)."""
        return self.quantiser.quantiles(torch.special.ndtr(t))

    def forward(self) -> Distribution:
        """Return the uniform distribution over codes.

        Raises:
            RuntimeError: the prior belongs to no latent space with a quantiser.

        """
        return self.quantiser.uniform()


@register_kl(Quantised, UniformOverCodes)
def _kl_to_uniform(q: Quantised, p: UniformOverCodes) -> Tensor:
    return q.raw.new_full(q.batch_shape, p.length * log(len(p.codebook)))
