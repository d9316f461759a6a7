r"""The support of bits and of levels: a finite set of points in a lattice.

    z_i in { v_i1 < ... < v_iK },    independently for every coordinate i; bits are z_i in {0, 1}

The points are isolated: no code moves continuously, and there is no volume, curvature or straight line between them.
What is left of a geometry is the order of the values. A distance counts steps from one value to the next, which for
bits is the Hamming distance, and a path takes these steps one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lsgen.latent import paths
from lsgen.latent.manifolds.manifold import Choice
from lsgen.latent.manifolds.supports import IsolatedPoints

__all__ = ["Lattice"]


class Lattice(IsolatedPoints):
    """Codes whose coordinates each take one of a few values in ascending order.

    Args:
        values: the values of every coordinate.

    Raises:
        ValueError: there is no coordinate, or the values of one are not ascending.

    """

    def __init__(self, values: Sequence[Sequence[float]]) -> None:
        self.values = tuple(tuple(float(value) for value in own) for own in values)
        if not self.values or not all(own and list(own) == sorted(set(own)) for own in self.values):
            raise ValueError(f"expected ascending values for at least one coordinate, got {self.values!r:.80}")

    @classmethod
    def of_bits(cls, length: int) -> Lattice:
        """Return the lattice {0, 1}^length."""
        return cls([(0.0, 1.0)] * length)

    @cached_property
    def _table(self) -> Tensor:
        """The values, (d, K), padded with infinity where a coordinate has fewer."""
        most = max(map(len, self.values))
        return torch.tensor([[*own, *[torch.inf] * (most - len(own))] for own in self.values], dtype=torch.float64)

    @property
    def coordinates(self) -> int:
        """The number of coordinates."""
        return len(self.values)

    @property
    def choices(self) -> list[Choice]:
        """Every coordinate takes one of its values."""
        return [Choice(i, torch.tensor(own).unsqueeze(1)) for i, own in enumerate(self.values)]

    def indices(self, z: Tensor) -> Tensor:
        """Return the number of the value nearest to each coordinate of points (B, d), (B, d)."""
        return (z.unsqueeze(-1) - self._table.to(z)).abs().argmin(-1)

    def at(self, indices: Tensor, like: Tensor) -> Tensor:
        """Return the codes (B, d) whose coordinates have the values of given numbers, in the precision of a tensor."""
        return self._table.to(like)[torch.arange(self.coordinates, device=like.device), indices]

    def onto(self, z: Tensor) -> Tensor:
        """Return the nearest values."""
        return self.at(self.indices(z), z)

    def parametrised(self, raw: Tensor) -> Tensor:
        """Raise an error: no smooth map of unconstrained numbers has its values in a lattice.

        Raises:
            TypeError: always.

        """
        raise TypeError("expected a posterior over the points of a lattice, got unconstrained numbers")

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the code nearest to z, from which no velocity leads away."""
        return self.onto(z)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Raise an error: no velocity leads from one code to another.

        Raises:
            TypeError: always.

        """
        raise TypeError("expected codes that can move continuously, got the points of a lattice")

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the number of steps from value to value between the codes, for bits how many differ, (B,)."""
        return (self.indices(z) - self.indices(other)).abs().sum(-1).to(z)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return 0: no direction leads away from a code."""
        return torch.zeros_like(z)

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Return codes with one coordinate at the next value, or at the one before it at the end of the lattice."""
        indices, last = self.indices(z), len(self.values[axis]) - 1
        moved = torch.where(step > 0, 1, -1) + indices[..., axis]
        turned = torch.where((moved < 0) | (moved > last), 2 * indices[..., axis] - moved, moved)
        indices[..., axis] = turned.clamp(0, last)
        return self.at(indices, z)

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return codes with one coordinate at a time at its values nearest to the given ones, (B, K, N, d).

        Args:
            anchor: points (B, d); codes nearest to them are moved.
            axes: coordinates (K,).
            values: of these coordinates, (N,).

        """
        return self.onto(paths.axis_traversal(self.onto(anchor), axes, values))

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return codes that take the steps between two codes one at a time, coordinate after coordinate, (B, N, d)."""
        t = paths.times(start, end, points)
        first = self.indices(start)
        steps = self.indices(end) - first
        before = steps.abs().cumsum(-1) - steps.abs()
        done = (t * steps.abs().sum(-1)[..., None, None]).round() - before.unsqueeze(-2)
        own = steps.abs().unsqueeze(-2)
        moved = torch.minimum(done.clamp(min=0).long(), own) * steps.sign().unsqueeze(-2)
        return self.at(first.unsqueeze(-2) + moved, start)

    def arguments(self) -> tuple[Any, ...]:
        """Return the values."""
        return (self.values,)

    def __repr__(self) -> str:
        return f"Lattice({' x '.join(str(len(own)) for own in self.values)} values)"
