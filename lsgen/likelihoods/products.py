"""What products of likelihoods over named parts of an observation share, however the parts are laid out.

    p(x|h) = prod_i p_i(x_i|h_i),    F = diag(F_1, F_2, ...),    e(h) = (e_1(h_1), e_2(h_2), ...),    d^2 = sum d_i^2,
    T = sum T_i    the third moments of the score.

A product can do what every part can: it is flat, in closed form or cubic by type.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood, FlatLikelihood, Judge, Likelihood

__all__ = [
    "ClosedFormProductLikelihood",
    "CubicProductLikelihood",
    "FlatProductLikelihood",
    "ProductLikelihood",
    "check_parts",
    "kind_of_product",
]

AnyProduct = TypeVar("AnyProduct", bound="ProductLikelihood")


class ProductLikelihood(Likelihood):
    """Abstract product of likelihoods over named parts of an observation.

    What `split` and `fisher` return has as many coordinates for each member as the part that needs most, filled up with
    zeros.

    Args:
        shape: shape of one observation.
        parts: the likelihoods by name.

    Attributes:
        parts: the same, as modules.
        coordinates: the largest number of coordinates of a member of a part.

    """

    def __init__(self, shape: Sequence[int], parts: Mapping[str, Likelihood]) -> None:
        super().__init__(shape)
        self.parts = nn.ModuleDict(dict(parts))
        self.coordinates = max(coordinates_of(part) for part in parts.values())
        self.support = "; ".join(f"{name}: {part.support}" for name, part in parts.items())

    @property
    def likelihoods(self) -> list[Likelihood]:
        """The parts in order."""
        return [cast(Likelihood, part) for part in self.parts.values()]

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        """Whether all parts are probability mass functions."""
        return all(part.discrete for part in self.likelihoods)

    @abstractmethod
    def observed(self, x: Tensor) -> dict[str, Tensor]:
        """Return the parts (B, *part.shape) of observations (B, *shape) by name."""

    @abstractmethod
    def pairs(self, h: Tensor) -> list[tuple[Any, Tensor]]:
        """Return every part with its raw outputs, of raw outputs of the whole."""

    def allows(self, x: Tensor) -> Tensor:
        """Return whether every part can give its values."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return torch.stack([part.allows(own) for part, own in parts]).all()

    def witnesses(self, x: Tensor) -> list[tuple[Judge, Tensor]]:
        """Return the witnesses of every part."""
        parts = zip(self.likelihoods, self.observed(x).values(), strict=True)
        return [witness for part, own in parts for witness in part.witnesses(own)]


class FlatProductLikelihood(ProductLikelihood, FlatLikelihood):
    """Abstract product of likelihoods that all embed into a flat space."""

    @property
    def signature(self) -> Tensor:
        """The signs of all parts."""
        return torch.cat([cast(FlatLikelihood, part).signature for part in self.likelihoods])

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the embeddings of the parts side by side, of shape (B, m)."""
        bases = [None] * len(self.parts) if at is None else [own for _, own in self.pairs(at)]
        embedded = [part.embed(own, at=base) for (part, own), base in zip(self.pairs(h), bases, strict=True)]
        return torch.cat(embedded, -1)

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the root of the sum of the parts' squared bounds; a part without a bound counts as 0."""
        pairs = zip(self.pairs(h), self.pairs(other), strict=True)
        bounds = torch.stack([part.distance_bound(a, b) for (part, a), (_, b) in pairs], -1)
        none = bounds.isnan().all(-1)
        return torch.where(none, torch.nan, torch.linalg.vector_norm(bounds.nan_to_num(nan=0.0), dim=-1))


class ClosedFormProductLikelihood(FlatProductLikelihood, ClosedFormLikelihood):
    """Abstract product of likelihoods whose Fisher-Rao distances are all in closed form."""

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the root of the sum of the parts' squared distances."""
        pairs = zip(self.pairs(h), self.pairs(other), strict=True)
        return torch.linalg.vector_norm(torch.stack([part.distance(a, b) for (part, a), (_, b) in pairs], -1), dim=-1)


class CubicProductLikelihood(ProductLikelihood, CubicLikelihood):
    """Abstract product of likelihoods whose Amari-Chentsov tensors are all in closed form."""

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return the sum of the parts' tensors, (B, k, k, k)."""
        pairs = zip(self.pairs(h), self.pairs(v), strict=True)
        return torch.stack([part.amari_chentsov(own, u) for (part, own), (_, u) in pairs]).sum(0)


def coordinates_of(part: Likelihood) -> int:
    """Return the number of coordinates of a member of a likelihood: of one data dimension, or of all together."""
    if isinstance(part, ProductLikelihood):
        return part.coordinates
    return int(part.split(torch.zeros(part.raw_shape)).shape[-1])


def check_parts(parts: Mapping[str, Likelihood]) -> None:
    """Refuse parts that are no likelihoods.

    Raises:
        TypeError: one is none.

    """
    for name, part in parts.items():
        if not isinstance(part, Likelihood):
            raise TypeError(f"expected part {name!r} to be a Likelihood, got {type(part).__name__}")


def kind_of_product(parts: Mapping[str, Likelihood], kinds: Sequence[type[AnyProduct]]) -> type[AnyProduct]:
    """Return the first of classes that can do no more than every part can.

    Args:
        parts: the likelihoods by name.
        kinds: products of one layout, those that can do more first.

    """
    abilities = (ClosedFormLikelihood, FlatLikelihood, CubicLikelihood)
    missing = tuple(one for one in abilities if not all(isinstance(part, one) for part in parts.values()))
    return next(kind for kind in kinds if not issubclass(kind, missing))
