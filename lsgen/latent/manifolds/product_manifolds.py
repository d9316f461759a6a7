"""Products of manifolds: codes z = (z_1, ..., z_n), each part on a manifold of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lsgen.latent.manifolds.manifold import Choice, Euclidean, Manifold

__all__ = ["ProductManifold", "side_by_side"]


class ProductManifold(Manifold):
    """The product of manifolds; see `side_by_side`.

    Args:
        parts: two manifolds or more, no two flat ones beside each other.
        sizes: how many coordinates each has.

    """

    def __init__(self, parts: Sequence[Manifold], sizes: Sequence[int]) -> None:
        self.parts, self.sizes = tuple(parts), tuple(sizes)

    @property
    def measure(self) -> Manifold:
        """The product of the manifolds to whose volume densities of the parts refer."""
        return side_by_side([part.measure for part in self.parts], self.sizes)

    @property
    def continuous(self) -> bool:
        """Whether any part can move."""
        return any(part.continuous for part in self.parts)

    @property
    def coordinates(self) -> int:
        """The number of coordinates of all parts together."""
        return sum(self.sizes)

    @property
    def choices(self) -> list[Choice]:
        """The choices of the parts."""
        starts = [sum(self.sizes[:i]) for i in range(len(self.sizes))]
        pairs = zip(starts, self.parts, strict=True)
        return [Choice(start + choice.start, choice.values) for start, part in pairs for choice in part.choices]

    def onto(self, z: Tensor) -> Tensor:
        """Return the nearest codes of the parts."""
        return self._each(lambda part, z: part.onto(z), z)

    def retraction(self, z: Tensor) -> Tensor:
        """Return the codes of the parts."""
        return self._each(lambda part, z: part.retraction(z), z)

    def normal_coordinates(self, z: Tensor) -> Tensor:
        """Return the coordinates across all parts."""
        return self._each(lambda part, z: part.normal_coordinates(z), z)

    def parametrised(self, raw: Tensor) -> Tensor:
        """Return codes of the parts as a function of unconstrained numbers."""
        return self._each(lambda part, raw: part.parametrised(raw), raw)

    def exp(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the exponential maps."""
        return self._each(lambda part, z, v: part.exp(z, v), z, v)

    def log(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the logarithmic maps."""
        return self._each(lambda part, z, other: part.log(z, other), z, other)

    def distance(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the root of the summed squares of the distances."""
        pairs = zip(self.parts, self._split(z), self._split(other), strict=True)
        return torch.linalg.vector_norm(torch.stack([part.distance(a, b) for part, a, b in pairs]), dim=0)

    def direction(self, z: Tensor, axis: Tensor) -> Tensor:
        """Return the direction within the part that the axis belongs to."""

        def within(part: Manifold, z: Tensor, axis: Tensor) -> Tensor:
            return part.direction(z, axis) * (axis != 0).any(-1, keepdim=True)

        return self._each(within, z, axis)

    def tangent(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the tangent parts."""
        return self._each(lambda part, z, v: part.tangent(z, v), z, v)

    def conformal_factor(self, z: Tensor) -> Tensor:
        """Return the factors of all coordinates, (B, d)."""
        return self._each(lambda part, z: part.conformal_factor(z).expand_as(z), z)

    def gradient(self, z: Tensor, g: Tensor) -> Tensor:
        """Return the gradients of the parts."""
        return self._each(lambda part, z, g: part.gradient(z, g), z, g)

    def displacement(self, z: Tensor, other: Tensor) -> Tensor:
        """Return the displacements of the parts."""
        return self._each(lambda part, z, other: part.displacement(z, other), z, other)

    def shift(self, z: Tensor, v: Tensor) -> Tensor:
        """Return codes moved within the parts."""
        return self._each(lambda part, z, v: part.shift(z, v), z, v)

    def flow(self, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flows of the parts."""
        pairs = zip(self.parts, self._split(z), self._split(v), strict=True)
        places, velocities = zip(*(part.flow(a, b) for part, a, b in pairs), strict=True)
        return torch.cat(places, -1), torch.cat(velocities, -1)

    def scaled(self, z: Tensor, factors: Tensor) -> Tensor:
        """Return codes with scaled parts."""
        return self._each(lambda part, z, factors: part.scaled(z, factors), z, factors.expand_as(z))

    def inside(self, z: Tensor, margin: float) -> Tensor:
        """Return codes whose parts are away from their walls."""
        return self._each(lambda part, z: part.inside(z, margin), z)

    def intervene(self, z: Tensor, axis: int, step: Tensor) -> Tensor:
        """Return codes moved within the part that the axis belongs to."""
        pieces = list(self._split(z))
        number, inside = self._place(axis)
        pieces[number] = self.parts[number].intervene(pieces[number], inside, step)
        return torch.cat(pieces, -1)

    def geodesic(self, start: Tensor, end: Tensor, points: int) -> Tensor:
        """Return the paths of the parts beside each other, (B, N, d)."""
        return self._each(lambda part, start, end: part.geodesic(start, end, points), start, end)

    def traversal(self, anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
        """Return codes (B, K, N, d) moved within the part that each axis belongs to."""
        shown = []
        for axis in axes.tolist():
            pieces = [piece.unsqueeze(-2).expand(*piece.shape[:-1], len(values), -1) for piece in self._split(anchor)]
            number, inside = self._place(axis)
            own = self._split(anchor)[number]
            pieces[number] = self.parts[number].traversal(own, torch.tensor([inside], device=axes.device), values)[
                ..., 0, :, :
            ]
            shown.append(torch.cat(pieces, -1))
        return torch.stack(shown, -3)

    def _split(self, z: Tensor) -> tuple[Tensor, ...]:
        return z.split(self.sizes, -1)

    def _each(self, act: Callable[..., Tensor], *codes: Tensor) -> Tensor:
        pieces = zip(self.parts, *(self._split(z) for z in codes), strict=True)
        return torch.cat([act(part, *own) for part, *own in pieces], -1)

    def _place(self, axis: int) -> tuple[int, int]:
        """Return the part that an axis belongs to, and its number there."""
        for number, size in enumerate(self.sizes):
            if axis < size:
                return number, axis
            axis -= size
        raise ValueError(f"expected an axis below {sum(self.sizes)}, got {axis + sum(self.sizes)}")

    def arguments(self) -> tuple[Any, ...]:
        """Return the parts and their sizes."""
        return self.parts, self.sizes


def side_by_side(parts: Sequence[Manifold], sizes: Sequence[int]) -> Manifold:
    """Return the product of manifolds, in which adjacent equal flat parts are merged and nested products are flattened.

    Args:
        parts: manifolds.
        sizes: how many coordinates each has.

    """
    flat: list[tuple[Manifold, int]] = []
    for part, size in zip(parts, sizes, strict=True):
        inner = zip(part.parts, part.sizes, strict=True) if isinstance(part, ProductManifold) else [(part, size)]
        flat.extend(inner)
    merged: list[tuple[Manifold, int]] = []
    for part, size in flat:
        if merged and isinstance(part, Euclidean) and merged[-1][0] == part:
            merged[-1] = part, merged[-1][1] + size
        else:
            merged.append((part, size))
    return merged[0][0] if len(merged) == 1 else ProductManifold(*zip(*merged, strict=True))
