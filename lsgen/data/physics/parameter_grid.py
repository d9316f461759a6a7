"""A grid of parameters at which configurations are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor

from lsgen.data.loading import chosen_options

__all__ = ["ParameterGrid"]


@dataclass(frozen=True)
class ParameterGrid:
    """A regular grid over a box of parameters, and how many configurations are drawn at every node.

    Attributes:
        low: least value of each parameter.
        high: greatest value of each parameter.
        sizes: nodes along each parameter, its ends included.
        each: configurations at every node.

    Raises:
        ValueError: the box is empty or not finite, there are fewer than two nodes along a parameter, or each is not
            positive.

    """

    low: Sequence[float]
    high: Sequence[float]
    sizes: Sequence[int] = (16, 16)
    each: int = 20

    def __post_init__(self) -> None:
        for name, kind in (("low", float), ("high", float), ("sizes", int)):
            object.__setattr__(self, name, tuple(kind(value) for value in getattr(self, name)))
        if not len(self.low) == len(self.high) == len(self.sizes) == 2:
            raise ValueError(
                f"expected low, high and sizes of two parameters, got {self.low}, {self.high}, {self.sizes}"
            )
        if not all(isfinite(b - a) and a < b for a, b in zip(self.low, self.high, strict=True)):
            raise ValueError(f"expected a finite box with low below high, got low {self.low} and high {self.high}")
        if min(self.sizes) < 2 or self.each < 1:
            raise ValueError(
                f"expected at least 2 nodes along each parameter and 1 configuration at each, got sizes {self.sizes} "
                f"and each = {self.each}"
            )

    @classmethod
    def of(cls, given: ParameterGrid | Mapping[str, Any]) -> ParameterGrid:
        """Return a grid that may be given as a mapping of its attributes.

        Raises:
            ValueError: there is no such attribute, or a value is of another type.

        """
        return chosen_options(cls, given, "grid")

    @property
    def nodes(self) -> Tensor:
        """The parameters of all nodes, float64 (G, 2), the second varying fastest."""
        axes = zip(self.low, self.high, self.sizes, strict=True)
        return torch.cartesian_prod(*(torch.linspace(a, b, n, dtype=torch.float64) for a, b, n in axes))

    @property
    def total(self) -> int:
        """The number of configurations."""
        return prod(self.sizes) * self.each

    def factors(self) -> Tensor:
        """Return the numbers of the nodes along both parameters, int64 (N, 2), of all configurations in order."""
        node = torch.arange(self.total) % prod(self.sizes)
        return torch.stack(torch.unravel_index(node, self.sizes), dim=-1)
