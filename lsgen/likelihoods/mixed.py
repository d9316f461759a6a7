r"""Observations of several kinds at once: a product of likelihoods over named parts.

    p(x|h) = prod_i p_i(x_i|h_i),    F = diag(F_1, F_2, ...),    e(h) = (e_1(h_1), e_2(h_2), ...),    d^2 = sum d_i^2,
    T = sum T_i    the third moments of the score.

The parts share everything but their first dimension: part i takes the next `shape[0]` channels (or columns) of x, and
the next `raw_shape[0]` channels of h, in the order in which they are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, constraints
from torch.nn.functional import pad

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood, FlatLikelihood, Likelihood

__all__ = [
    "ClosedFormMixed",
    "CubicClosedFormMixed",
    "CubicFlatMixed",
    "CubicMixed",
    "FlatMixed",
    "Mixed",
    "mixed_likelihood",
]


class Mixed(Likelihood):
    """A product of likelihoods over named parts of an observation.

    The decoder gives raw outputs of shape `raw_shape`, with one head: `MLPDecoder(dim, likelihood.raw_shape)`. What
    `split` and `fisher` return has as many coordinates for each data dimension as the part that needs most, filled up
    with zeros.

    Args:
        parts: the likelihoods by name.

    Attributes:
        parts: the same, as modules.
        coordinates: the largest number of heads of a part.

    Raises:
        ValueError: there are no parts, or their shapes differ in more than the first dimension.
        TypeError: the data dimensions of a part are not independent.

    """

    def __init__(self, parts: Mapping[str, Likelihood]) -> None:
        if joint := [name for name, part in parts.items() if part.joint]:
            kind = type(parts[joint[0]]).__name__
            raise TypeError(f"expected parts with independent data dimensions, got {kind} for {joint[0]}")
        shapes = {name: part.shape for name, part in parts.items()}
        if len({shape[1:] for shape in shapes.values()}) != 1:
            raise ValueError(f"expected parts whose shapes differ in their first dimension only, got {shapes}")
        channels = sum(shape[0] for shape in shapes.values())
        super().__init__((channels, *next(iter(shapes.values()))[1:]))
        self.parts = nn.ModuleDict(dict(parts))
        self.coordinates = max(_coordinates(part) for part in parts.values())
        self.support = "; ".join(f"{name}: {part.support}" for name, part in parts.items())

    @property
    def likelihoods(self) -> list[Likelihood]:
        """The parts in order."""
        return [cast(Likelihood, part) for part in self.parts.values()]

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        """Whether all parts are probability mass functions."""
        return all(part.discrete for part in self.likelihoods)

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of the raw outputs of one observation: the channels of all parts, then the other dimensions."""
        return (sum(part.raw_shape[0] for part in self.likelihoods), *self.shape[1:])

    def observed(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parts (B, *part.shape) of observations (B, *shape) by name."""
        sizes = [part.shape[0] for part in self.likelihoods]
        return dict(zip(self.parts, x.split(sizes, -len(self.shape)), strict=True))

    def forward(self, h: Tensor) -> Distribution:
        """Return the product of the parts' distributions."""
        members = [cast(Independent, part(own)).base_dist for part, own in self._pairs(h)]
        return Independent(_SideBySide(members, len(self.shape)), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return the blocks of the parts, filled up with zeros, of shape (B, *shape, coordinates, coordinates)."""
        blocks = [part.fisher(own) for part, own in self._pairs(h)]
        sizes = [self.coordinates - block.shape[-1] for block in blocks]
        filled = [pad(block, (0, n, 0, n)) for block, n in zip(blocks, sizes, strict=True)]
        return torch.cat(filled, -2 - len(self.shape))

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, *shape, coordinates), filled up with zeros."""
        split = [part.split(own) for part, own in self._pairs(h)]
        return torch.cat([pad(x, (0, self.coordinates - x.shape[-1])) for x in split], -1 - len(self.shape))

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, *shape, coordinates) in the layout of h."""
        sizes = [part.shape[0] for part in self.likelihoods]
        pieces = coordinates.split(sizes, -1 - len(self.shape))
        own = [p.join(x[..., : _coordinates(p)]) for p, x in zip(self.likelihoods, pieces, strict=True)]
        return torch.cat(own, -len(self.shape))

    def in_support(self, x: Tensor) -> Tensor:
        """Return whether every part can give its values."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return torch.cat([part.in_support(own) for part, own in parts], -len(self.shape))

    def allows(self, x: Tensor) -> Tensor:
        """Return whether every part can give its values."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return torch.stack([part.allows(own) for part, own in parts]).all()

    def witnesses(self, x: Tensor) -> list[tuple[Likelihood, Tensor]]:
        """Return the witnesses of every part."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return [witness for part, own in parts for witness in part.witnesses(own)]

    def _pairs(self, h: Tensor) -> list[tuple[Any, Tensor]]:
        """Return every part with its raw outputs."""
        self.check_raw(h)
        sizes = [part.raw_shape[0] for part in self.likelihoods]
        return list(zip(self.likelihoods, h.split(sizes, -len(self.shape)), strict=True))


class FlatMixed(Mixed, FlatLikelihood):
    """A product of likelihoods that all embed into a flat space."""

    @property
    def signature(self) -> Tensor:
        """The signs of all parts."""
        return torch.cat([cast(FlatLikelihood, part).signature for part in self.likelihoods])

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the embeddings of the parts side by side, of shape (B, m)."""
        bases = [None] * len(self.parts) if at is None else [own for _, own in self._pairs(at)]
        embedded = [part.embed(own, at=base) for (part, own), base in zip(self._pairs(h), bases, strict=True)]
        return torch.cat(embedded, -1)

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the root of the sum of the parts' squared bounds; a part without a bound counts as 0."""
        pairs = zip(self._pairs(h), self._pairs(other), strict=True)
        bounds = torch.stack([part.distance_bound(a, b) for (part, a), (_, b) in pairs], -1)
        none = bounds.isnan().all(-1)
        return torch.where(none, torch.nan, torch.linalg.vector_norm(bounds.nan_to_num(nan=0.0), dim=-1))


class ClosedFormMixed(FlatMixed, ClosedFormLikelihood):
    """A product of likelihoods whose Fisher-Rao distances are all in closed form."""

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the root of the sum of the parts' squared distances."""
        pairs = zip(self._pairs(h), self._pairs(other), strict=True)
        return torch.linalg.vector_norm(torch.stack([part.distance(a, b) for (part, a), (_, b) in pairs], -1), dim=-1)


class CubicMixed(Mixed, CubicLikelihood):
    """A product of likelihoods whose Amari-Chentsov tensors are all in closed form."""

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return the sum of the parts' tensors, (B, k, k, k)."""
        pairs = zip(self._pairs(h), self._pairs(v), strict=True)
        return torch.stack([part.amari_chentsov(own, u) for (part, own), (_, u) in pairs]).sum(0)


class CubicFlatMixed(FlatMixed, CubicMixed):
    """A product of likelihoods that all embed into a flat space and have their Amari-Chentsov tensors."""


class CubicClosedFormMixed(ClosedFormMixed, CubicMixed):
    """A product of likelihoods that all have their distances and their Amari-Chentsov tensors."""


def mixed_likelihood(parts: Mapping[str, Likelihood]) -> Mixed:
    """Return the product of likelihoods over named parts; it is flat, in closed form or cubic if every part is.

    Args:
        parts: the likelihoods by name, in the order of their channels.

    Raises:
        TypeError: a part is no likelihood.
        ValueError: see `Mixed`.

    """
    for name, part in parts.items():
        if not isinstance(part, Likelihood):
            raise TypeError(f"expected part {name!r} to be a Likelihood, got {type(part).__name__}")
    cubic = all(isinstance(part, CubicLikelihood) for part in parts.values())
    kinds: tuple[tuple[type[Likelihood], type[Mixed], type[Mixed]], ...] = (
        (ClosedFormLikelihood, ClosedFormMixed, CubicClosedFormMixed),
        (FlatLikelihood, FlatMixed, CubicFlatMixed),
        (Likelihood, Mixed, CubicMixed),
    )
    return next(
        both(parts) if cubic else kind(parts)
        for needed, kind, both in kinds
        if all(isinstance(part, needed) for part in parts.values())
    )


def _coordinates(part: Likelihood) -> int:
    return part.coordinates if isinstance(part, Mixed) else part.heads


class _SideBySide(Distribution):
    """Elementwise distributions of several kinds, joined along the first data dimension."""

    support = constraints.real

    def __init__(self, members: list[Distribution], event: int) -> None:
        self.members, self.dim = members, -event
        shape = list(members[0].batch_shape)
        shape[-event] = sum(member.batch_shape[-event] for member in members)
        super().__init__(torch.Size(shape), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether all members can be sampled with a gradient."""
        return all(member.has_rsample for member in self.members)

    @property
    def mean(self) -> Tensor:
        """The members' means."""
        return torch.cat([member.mean for member in self.members], self.dim)

    @property
    def variance(self) -> Tensor:
        """The members' variances."""
        return torch.cat([member.variance for member in self.members], self.dim)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw from every member."""
        return torch.cat([member.sample(Size(sample_shape)) for member in self.members], self.dim)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw from every member, with gradients."""
        return torch.cat([member.rsample(Size(sample_shape)) for member in self.members], self.dim)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probabilities of every data dimension."""
        sizes = [member.batch_shape[self.dim] for member in self.members]
        pieces = zip(self.members, value.split(sizes, self.dim), strict=True)
        return torch.cat([member.log_prob(piece) for member, piece in pieces], self.dim)
