r"""Observations of several kinds at once, whose parts share everything but their first dimension.

Part i of the product takes the next `shape[0]` channels (or columns) of x, and the next `raw_shape[0]` channels of h,
in the order in which they are named. See `lsgen.likelihoods.products`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.nn.functional import pad

from lsgen.likelihoods.base import Likelihood
from lsgen.likelihoods.products import (
    ClosedFormProductLikelihood,
    CubicProductLikelihood,
    FlatProductLikelihood,
    ProductLikelihood,
    check_parts,
    coordinates_of,
    kind_of_product,
)

__all__ = [
    "ClosedFormMixed",
    "CubicClosedFormMixed",
    "CubicFlatMixed",
    "CubicMixed",
    "FlatMixed",
    "Mixed",
    "mixed_likelihood",
]


class Mixed(ProductLikelihood):
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
        super().__init__((channels, *next(iter(shapes.values()))[1:]), parts)

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
        members = [cast(Independent, part(own)).base_dist for part, own in self.pairs(h)]
        return Independent(_SideBySide(members, len(self.shape)), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return the blocks of the parts, filled up with zeros, of shape (B, *shape, coordinates, coordinates)."""
        blocks = [part.fisher(own) for part, own in self.pairs(h)]
        sizes = [self.coordinates - block.shape[-1] for block in blocks]
        filled = [pad(block, (0, n, 0, n)) for block, n in zip(blocks, sizes, strict=True)]
        return torch.cat(filled, -2 - len(self.shape))

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, *shape, coordinates), filled up with zeros."""
        split = [part.split(own) for part, own in self.pairs(h)]
        return torch.cat([pad(x, (0, self.coordinates - x.shape[-1])) for x in split], -1 - len(self.shape))

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, *shape, coordinates) in the layout of h."""
        sizes = [part.shape[0] for part in self.likelihoods]
        pieces = coordinates.split(sizes, -1 - len(self.shape))
        own = [p.join(x[..., : coordinates_of(p)]) for p, x in zip(self.likelihoods, pieces, strict=True)]
        return torch.cat(own, -len(self.shape))

    def in_support(self, x: Tensor) -> Tensor:
        """Return whether every part can give its values."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return torch.cat([part.in_support(own) for part, own in parts], -len(self.shape))

    def pairs(self, h: Tensor) -> list[tuple[Any, Tensor]]:
        """Return every part with its raw outputs."""
        self.check_raw(h)
        sizes = [part.raw_shape[0] for part in self.likelihoods]
        return list(zip(self.likelihoods, h.split(sizes, -len(self.shape)), strict=True))


class FlatMixed(Mixed, FlatProductLikelihood):
    """A product of likelihoods that all embed into a flat space."""


class ClosedFormMixed(FlatMixed, ClosedFormProductLikelihood):
    """A product of likelihoods whose Fisher-Rao distances are all in closed form."""


class CubicMixed(Mixed, CubicProductLikelihood):
    """A product of likelihoods whose Amari-Chentsov tensors are all in closed form."""


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
    check_parts(parts)
    kinds = (CubicClosedFormMixed, ClosedFormMixed, CubicFlatMixed, FlatMixed, CubicMixed, Mixed)
    return kind_of_product(parts, kinds)(parts)


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
