r"""Observations of several modalities of any shapes, such as an image with its caption, as packed vectors.

    p(x|h) = prod_i p_i(x_i|h_i),    x = (x_1, ..., x_M) in R^D,    h = (h_1, ..., h_M),

every modality and its raw outputs flattened, in the order in which they are named; see `Packing`. So the Fisher-Rao
metric that a decoder z -> h pulls back is the sum of those of the modalities,

    J_h^T F J_h = sum_i J_i^T F_i J_i .
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import pad

from lsgen.likelihoods.base import Likelihood
from lsgen.likelihoods.packing import Packing
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
    "ClosedFormModalities",
    "CubicClosedFormModalities",
    "CubicFlatModalities",
    "CubicModalities",
    "FlatModalities",
    "Modalities",
    "PackedDistribution",
    "modalities_likelihood",
]

POSSIBLE = (0.0, 0.5, 1.0)


class Modalities(ProductLikelihood):
    """A product of likelihoods over named modalities of any shapes, of packed observations.

    The decoder gives the raw outputs of all modalities as one vector, of shape `raw_shape`. What `split` and `fisher`
    return has a member for every data dimension of a modality, and one for a modality whose data dimensions are joint.

    Args:
        parts: the likelihoods by name, in the order of their places.

    Attributes:
        packing: names, shapes and places of the modalities.

    Raises:
        ValueError: there are no modalities.
        TypeError: a part is no likelihood.

    """

    def __init__(self, parts: Mapping[str, Likelihood]) -> None:
        check_parts(parts)
        self.packing = Packing({name: part.shape for name, part in parts.items()})
        super().__init__((self.packing.dimensions,), parts)
        self._raw_sizes = [prod(part.raw_shape) for part in self.likelihoods]
        self._members = [part.split(torch.zeros(part.raw_shape)).shape[:-1].numel() for part in self.likelihoods]
        self._possible = {name: _possible_value(name, part) for name, part in parts.items()}

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of the raw outputs of one observation: those of all modalities side by side."""
        return (sum(self._raw_sizes),)

    def observed(self, x: Tensor) -> dict[str, Tensor]:
        """Return the modalities (B, *part.shape) of packed observations (B, D) by name."""
        return self.packing.unpack(x)

    def raw(self, h: Tensor) -> dict[str, Tensor]:
        """Return the raw outputs (B, *part.raw_shape) of every modality by name."""
        self.check_raw(h)
        pieces = zip(self.parts, self.likelihoods, h.split(self._raw_sizes, -1), strict=True)
        return {name: own.reshape(*h.shape[:-1], *part.raw_shape) for name, part, own in pieces}

    def spread(self, present: Tensor) -> Tensor:
        """Return which values of packed vectors are present, bool (..., D), from the modalities that are, (..., M)."""
        sizes = torch.tensor(self.packing.sizes)
        places = torch.repeat_interleave(torch.arange(len(sizes)), sizes).to(present.device)
        return present.index_select(-1, places)

    def forward(self, h: Tensor) -> PackedDistribution:
        """Return the product of the modalities' distributions, of batch shape B and event shape (D,)."""
        members = {name: part(own) for name, (part, own) in zip(self.parts, self.pairs(h), strict=True)}
        return PackedDistribution(members, self.packing, self._possible)

    def fisher(self, h: Tensor) -> Tensor:
        """Return the blocks of all members, filled up with zeros, of shape (B, members, coordinates, coordinates)."""
        blocks = []
        for (part, own), n in zip(self.pairs(h), self._members, strict=True):
            block = part.fisher(own)
            block = block.reshape(*h.shape[:-1], n, *block.shape[-2:])
            room = self.coordinates - block.shape[-1]
            blocks.append(pad(block, (0, room, 0, room)))
        return torch.cat(blocks, -3)

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, members, coordinates), filled up with zeros."""
        split = []
        for (part, own), n in zip(self.pairs(h), self._members, strict=True):
            x = part.split(own)
            x = x.reshape(*h.shape[:-1], n, x.shape[-1])
            split.append(pad(x, (0, self.coordinates - x.shape[-1])))
        return torch.cat(split, -2)

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, members, coordinates) in the layout of h."""
        batch, own = coordinates.shape[:-2], []
        for part, x in zip(self.likelihoods, coordinates.split(self._members, -2), strict=True):
            like = part.split(torch.zeros(part.raw_shape)).shape[:-1]
            x = x[..., : coordinates_of(part)]
            own.append(part.join(x.reshape(*batch, *like, x.shape[-1])).reshape(*batch, -1))
        return torch.cat(own, -1)

    def in_support(self, x: Tensor) -> Tensor:
        """Return whether the modality of every value can give it, bool of the shape of x."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return torch.cat([part.in_support(own).reshape(*x.shape[:-1], -1) for part, own in parts], -1)

    def pairs(self, h: Tensor) -> list[tuple[Any, Tensor]]:
        """Return every part with its raw outputs (B, *part.raw_shape)."""
        return list(zip(self.likelihoods, self.raw(h).values(), strict=True))


class FlatModalities(Modalities, FlatProductLikelihood):
    """A product over modalities that all embed into a flat space."""


class ClosedFormModalities(FlatModalities, ClosedFormProductLikelihood):
    """A product over modalities whose Fisher-Rao distances are all in closed form."""


class CubicModalities(Modalities, CubicProductLikelihood):
    """A product over modalities whose Amari-Chentsov tensors are all in closed form."""


class CubicFlatModalities(FlatModalities, CubicModalities):
    """A product over modalities that all embed into a flat space and have their Amari-Chentsov tensors."""


class CubicClosedFormModalities(ClosedFormModalities, CubicModalities):
    """A product over modalities that all have their distances and their Amari-Chentsov tensors."""


def modalities_likelihood(parts: Mapping[str, Likelihood]) -> Modalities:
    """Return the product of likelihoods over named modalities; it is flat, in closed form or cubic if every part is.

    Args:
        parts: the likelihoods by name, in the order of their places in a packed observation.

    Raises:
        TypeError: a part is no likelihood.
        ValueError: there are no parts.

    """
    check_parts(parts)
    kinds = (
        CubicClosedFormModalities,
        ClosedFormModalities,
        CubicFlatModalities,
        FlatModalities,
        CubicModalities,
        Modalities,
    )
    return kind_of_product(parts, kinds)(parts)


class PackedDistribution(Distribution):
    """The distribution of packed observations, of event shape (D,), with independent modalities.

    Args:
        parts: the modalities' distributions by name, of one batch shape.
        packing: names, shapes and places.
        possible: a value of each modality's support, which stands in the place of a modality that is absent.

    Attributes:
        parts: the modalities' distributions by name.

    """

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)
    support = constraints.real_vector

    def __init__(
        self, parts: Mapping[str, Distribution], packing: Packing, possible: Mapping[str, float] | None = None
    ) -> None:
        self.parts, self.packing = dict(parts), packing
        self._possible = dict(possible or {})
        batch = next(iter(self.parts.values())).batch_shape
        super().__init__(batch, Size((packing.dimensions,)), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether all modalities can be sampled with a gradient."""
        return all(part.has_rsample for part in self.parts.values())

    @property
    def mean(self) -> Tensor:
        """The means, packed, (B, D)."""
        return self._joined({name: part.mean for name, part in self.parts.items()})

    @property
    def variance(self) -> Tensor:
        """The variances, packed, (B, D)."""
        return self._joined({name: part.variance for name, part in self.parts.items()})

    def expand(self, batch_shape: Any, _instance: Any = None) -> PackedDistribution:
        """Return the distribution with a larger batch shape."""
        parts = {name: part.expand(Size(batch_shape)) for name, part in self.parts.items()}
        return PackedDistribution(parts, self.packing, self._possible)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw every modality, (*sample_shape, B, D)."""
        return self._joined({name: part.sample(Size(sample_shape)) for name, part in self.parts.items()})

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw every modality, with gradients."""
        return self._joined({name: part.rsample(Size(sample_shape)) for name, part in self.parts.items()})

    def log_probs(self, value: Tensor, present: Tensor | None = None) -> dict[str, Tensor]:
        """Return log p_i(x_i|h_i) of every modality by name, in nats, (B,).

        Args:
            value: packed observations (B, D).
            present: which modalities count, bool (B, M); all unless given. Those that do not have 0, and neither a
                value nor a gradient depends on what x holds in their place.

        """
        found = {}
        for i, (name, own) in enumerate(self.packing.unpack(value).items()):
            if present is None:
                found[name] = self.parts[name].log_prob(own)
                continue
            there = present[..., i]
            full = there.reshape(*there.shape, *[1] * len(self.packing.shapes[name]))
            log_p = self.parts[name].log_prob(torch.where(full, own, self._possible.get(name, 0.0)))
            found[name] = torch.where(there, log_p, 0.0)
        return found

    def log_prob(self, value: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the sum over modalities, or over those present; see `log_probs`."""
        return torch.stack(list(self.log_probs(value, present).values())).sum(0)

    def _joined(self, values: Mapping[str, Tensor]) -> Tensor:
        batch = {name: len(self.packing.shapes[name]) for name in values}
        flat = [values[name].flatten(-n) for name, n in batch.items()]
        return torch.cat(flat, -1)


def _possible_value(name: str, part: Likelihood) -> float:
    """Return a number that every data dimension of a likelihood can give."""
    for value in POSSIBLE:
        if bool(part.in_support(torch.full((1, *part.shape), value)).all()):
            return value
    raise TypeError(
        f"expected a likelihood of {name!r} that can give one of {', '.join(map(str, POSSIBLE))} in every data "
        f"dimension, which stands where it is absent, got {type(part).__name__}"
    )
