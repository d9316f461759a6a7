r"""Latent spaces with several decoders, whose average metric is the metric of one immersion.

With members f_1, ..., f_M the map z -> (f_1(z), ..., f_M(z))/sqrt(M) has the metric

    g(z) = 1/M sum_i J_i^T J_i ,

the expectation over a member drawn once and kept. It is deterministic and as smooth as its members, so that curvature
and second-order geodesics apply. `Members` gives the raw outputs of all, (N, M, *raw); the likelihood over them
predicts with the mixture 1/M sum_i p(x|h_i), and measures with the average information 1/M sum_i J_i^T F(h_i) J_i.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from lsgen.geometry.surroundings import Surrounded
from lsgen.latent import LatentSpace
from lsgen.likelihoods import FlatLikelihood, Likelihood

__all__ = ["FlatMemberLikelihood", "MemberLikelihood", "Members", "Uncertainty", "joined", "member_features"]


class Uncertainty(ABC):
    """Abstract map from a latent space to the same one with an uncertain decoder."""

    @abstractmethod
    def __call__(self, space: LatentSpace) -> LatentSpace:
        """Return a latent space of the same codes."""


class Members(nn.Module):
    """Codes (N, d) -> the raw outputs (N, M, *raw) of M decoders.

    Args:
        decoders: maps (N, d) -> (N, *raw), all of the same output shape.

    """

    def __init__(self, decoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)

    def forward(self, z: Tensor) -> Tensor:
        """Return the raw outputs of every member."""
        return torch.stack([decoder(z) for decoder in self.decoders], 1)


class MemberLikelihood(Likelihood):
    """A likelihood of raw outputs (B, M, *raw) of M members with equal weights.

    Args:
        likelihood: the family of every member.
        members: M.

    """

    def __init__(self, likelihood: Likelihood, members: int) -> None:
        super().__init__(likelihood.shape)
        self.likelihood, self.members = likelihood, members
        self.heads, self.support = likelihood.heads, likelihood.support

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape (M, *raw) of the raw outputs of all members for one observation."""
        return (self.members, *self.likelihood.raw_shape)

    def forward(self, h: Tensor) -> Distribution:
        """Return the mixture of the members' distributions, of batch shape B and event shape `shape`."""
        weights = Categorical(logits=h.new_zeros(self.members), validate_args=False)
        return MixtureSameFamily(weights, self.likelihood(h), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return each member's share F/M of the average information, of shape (B, M, *shape, heads, heads)."""
        return self.likelihood.fisher(h) / self.members

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, M, *shape, heads)."""
        return self.likelihood.split(h)

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, M, *shape, heads) in the layout of h."""
        return self.likelihood.join(coordinates)

    def in_support(self, x: Tensor) -> Tensor:
        """Ask the family."""
        return self.likelihood.in_support(x)


class FlatMemberLikelihood(MemberLikelihood, FlatLikelihood):
    """A likelihood of members whose family embeds into a flat space."""

    likelihood: FlatLikelihood

    @property
    def signature(self) -> Tensor:
        """The signs of all members."""
        return self.likelihood.signature.repeat(self.members)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the embeddings of the members side by side, divided by sqrt(M), of shape (B, M m)."""
        return self.likelihood.embed(h, at=at).flatten(-2) / sqrt(self.members)

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the root mean square of the members' bounds, which holds for the average metric."""
        return self.likelihood.distance_bound(h, other).square().mean(-1).sqrt()


def joined(space: LatentSpace, decoders: Sequence[nn.Module]) -> LatentSpace:
    """Return the latent space of several decoders with equal weights."""
    kind = FlatMemberLikelihood if isinstance(space.likelihood, FlatLikelihood) else MemberLikelihood
    family: Any = space.likelihood
    return LatentSpace(Members(decoders), kind(family, len(decoders)), space.prior)


def member_features(likelihood: Likelihood, h: Tensor, maps: Sequence[Callable[[Distribution], Tensor]]) -> Tensor:
    """Return maps of p(x|h) to (N, ...) side by side as (N, m); member by member and over sqrt(M).

    Args:
        likelihood: the family, or that of members.
        h: raw outputs (N, *raw), or (N, M, *raw).
        maps: functions of a distribution of batch shape (n,), each observation by itself.

    """
    if isinstance(likelihood, Surrounded):
        raw, normal = likelihood.parts(h)
        return torch.cat([member_features(likelihood.likelihood, raw, maps), normal], 1)
    if not isinstance(likelihood, MemberLikelihood):
        return torch.cat([f(likelihood(h)).flatten(1) for f in maps], 1)
    p = likelihood.likelihood(h.flatten(0, 1))
    parts = [f(p).reshape(len(h), likelihood.members, -1) for f in maps]
    return torch.cat(parts, -1).flatten(1) / sqrt(likelihood.members)
