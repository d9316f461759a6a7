r"""The contract of a likelihood p(x|h).

A decoder maps a latent code z to raw outputs h; a likelihood turns h into a distribution p(x|h) over
observations x. Its Fisher information in the coordinates h is

    F(h) = E_{x ~ p(x|h)}[ s s^T ],    s = d log p(x|h) / dh .

For the factorised families used here F is block diagonal with one (heads, heads) block for every data
dimension. Many of these families embed isometrically into a flat space: there is a map e with

    J_e^T diag(signature) J_e = F ,

so that z -> e(h(z)) is an immersion whose induced metric is the pulled-back Fisher-Rao metric.

Layout: an observation has shape `shape`, (C, H, W) or (D,). The raw outputs h have shape
(B, heads * shape[0], *shape[1:]), the first head of all channels first, for any batch shape B.
A `joint` family has one member for all data dimensions together; its coordinates are (B, 1, D) and F is (B, 1, D, D).

What a family can do is its type: `FlatLikelihood` has the embedding, `ClosedFormLikelihood` also the distance, and
`CubicLikelihood` the third moments of the score, which alpha-connections are made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

__all__ = ["ClosedFormLikelihood", "CubicLikelihood", "FlatLikelihood", "Judge", "Likelihood"]


class Judge(Protocol):
    """What says of values, one for each observation, whether they are allowed."""

    @property
    def support(self) -> str:
        """What a value may be, in words."""

    def in_support(self, x: Tensor, /) -> Tensor:
        """Return which values are allowed, a boolean tensor of the shape of x."""


class Likelihood(nn.Module, ABC):
    r"""Abstract family p(x|h), one independent member for every data dimension, or one for all of them.

    Args:
        shape: shape of one observation, (C, H, W) or (D,).

    Attributes:
        heads: raw outputs per data channel.
        support: what an observation may be, in words; used in error messages.
        discrete: whether p(x|h) is a probability mass function; bits per dimension exist only then.
        convex: whether the support is an interval, so that the least and the greatest value speak for all.
        joint: whether the data dimensions are not independent but one member together, such as the counts of a
            multinomial.

    """

    heads: int = 1
    support: str = "any real number"
    discrete: ClassVar[bool] = False
    convex: ClassVar[bool] = False
    joint: ClassVar[bool] = False

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        if not shape or any(int(size) < 1 for size in shape):
            raise ValueError(f"expected an observation shape such as (1, 64, 64) or (10,), got {tuple(shape)}")
        self.shape = tuple(int(size) for size in shape)

    @property
    def dimensions(self) -> int:
        """The data dimension D, the number of independent members."""
        return prod(self.shape)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape (heads * shape[0], *shape[1:]) of the raw outputs of one observation."""
        return (self.heads * self.shape[0], *self.shape[1:])

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Return p(x|h), of batch shape B and event shape `shape`."""

    @abstractmethod
    def fisher(self, h: Tensor) -> Tensor:
        """Return the Fisher information in the coordinates h, of shape (B, *shape, heads, heads)."""

    @abstractmethod
    def in_support(self, x: Tensor) -> Tensor:
        """Return a boolean tensor of the shape of x: which values the family can give."""

    def allows(self, x: Tensor) -> Tensor:
        """Return whether the family can give every value of observations (B, *shape), a 0-d boolean tensor."""
        values = torch.stack(torch.aminmax(x)) if self.convex else x  # a NaN is the least and the greatest value
        return self.in_support(values).all()

    def witnesses(self, x: Tensor) -> list[tuple[Judge, Tensor]]:
        """Return a few values of each observation that decide whether all its values are in the support.

        Args:
            x: observations (B, *shape).

        Returns:
            Judges, as a rule families, with values (B,): an observation is in the support if and only if each judge
            allows its value.

        """
        flat = x.flatten(1)
        if self.convex:
            return [(self, flat.amin(1)), (self, flat.amax(1))]
        first = self.in_support(x).flatten(1).view(torch.uint8).argmin(1, keepdim=True)
        return [(self, flat.gather(1, first).squeeze(1))]

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, *shape, heads), the coordinates of each data dimension last.

        Raises:
            ValueError: h does not end in (heads * shape[0], *shape[1:]).

        """
        self.check_raw(h)
        event = len(self.shape)
        return h.unflatten(-event, (self.heads, self.shape[0])).movedim(-event - 1, -1)

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, *shape, heads) in the layout of h: the inverse of `split`."""
        event = len(self.shape)
        return coordinates.movedim(-1, -event - 1).flatten(-event - 1, -event)

    def check_raw(self, h: Tensor) -> None:
        """Refuse raw outputs of another shape."""
        if tuple(h.shape[-len(self.shape) :]) != self.raw_shape:
            raise ValueError(
                f"{type(self).__name__} expected raw outputs of shape (B, {', '.join(map(str, self.raw_shape))}), "
                f"got {tuple(h.shape)}"
            )

    def validate(self, x: Tensor) -> None:
        """Refuse observations that the family cannot give.

        Raises:
            ValueError: x has another shape than (B, *shape), or values outside the support.

        """
        name = type(self).__name__
        if tuple(x.shape[-len(self.shape) :]) != self.shape:
            raise ValueError(
                f"{name} expected observations of shape (B, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}"
            )
        if not bool(self.in_support(x).all()):
            raise ValueError(
                f"{name} expected observations that are {self.support}, got values between "
                f"{x.min().item():.6g} and {x.max().item():.6g}: choose another likelihood or rescale the data"
            )


class FlatLikelihood(Likelihood):
    """Abstract family whose Fisher-Rao geometry embeds isometrically into a flat space of m dimensions."""

    @property
    def signature(self) -> Tensor:
        """The signs (m,) of the flat space, +1 for every dimension unless a family says otherwise."""
        return torch.ones(self.dimensions)

    @abstractmethod
    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the flat embedding of p(x|h).

        Args:
            h: raw outputs, (B, heads * shape[0], *shape[1:]).
            at: detached raw outputs of a base point. Families whose embedding loses precision far from its
                origin move the base point there by an isometry; values of different bases are not comparable.

        Returns:
            Points of the flat space, (B, m).

        """

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return a lower bound of the Fisher-Rao distance between p(x|h) and p(x|other), of shape (B,).

        It is the chord |e(h) - e(other)| where all signs of the flat space are +1; NaN, for no bound, where some are
        negative, since chords of such a space may be longer than curves.
        """
        signs = self.signature
        if bool((signs < 0).any()):
            return h.new_full(h.shape[: h.ndim - len(self.shape)], torch.nan)
        return torch.linalg.vector_norm(self.embed(other, at=h) - self.embed(h, at=h), dim=-1)


class ClosedFormLikelihood(FlatLikelihood):
    """Abstract family whose Fisher-Rao distance is in closed form."""

    @abstractmethod
    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the closed-form Fisher-Rao distance between p(x|h) and p(x|other), of shape (B,), in nats^(1/2).

        Reference: Atkinson & Mitchell, "Rao's distance measure" (1981).
        """

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the distance itself."""
        return self.distance(h, other)


class CubicLikelihood(Likelihood):
    """Abstract family whose Amari-Chentsov tensor, the third moments of the score, is in closed form."""

    @abstractmethod
    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        r"""Return the Amari-Chentsov tensor along vectors.

            T(v_i, v_j, v_k) = E_{x ~ p(x|h)}[ <s, v_i> <s, v_j> <s, v_k> ],    s = d log p(x|h) / dh

        Args:
            h: raw outputs, (B, heads * shape[0], *shape[1:]).
            v: k vectors in the coordinates h, (B, k, heads * shape[0], *shape[1:]).

        Returns:
            A tensor (B, k, k, k), symmetric in its last three dimensions.

        Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), section 2.3.

        """

    def contracted(self, moments: Tensor, v: Tensor) -> Tensor:
        """Return T (B, k, k, k) from the moments (B, *shape, heads, heads, heads) of each data dimension."""
        event = len(self.shape)
        t = moments.flatten(-event - 3, -4)
        u = self.split(v).flatten(-event - 1, -2)
        return torch.einsum("...mabc,...ima,...jmb,...kmc->...ijk", t, u, u, u)
