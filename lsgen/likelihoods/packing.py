"""One vector that holds every modality of an observation: the modalities flattened, one after the other.

x = (x_1, ..., x_M),    x_i in R^{D_i},    D = sum_i D_i
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import prod

import torch
from torch import Tensor

__all__ = ["Packing"]


class Packing:
    """The names, shapes and places of the modalities in a packed vector; it cannot be changed.

    Args:
        shapes: the shape of one observation of each modality by name, in the order of their places.

    Raises:
        ValueError: there is no modality, a name is empty or a shape is not one of positive sizes.

    """

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        if not shapes:
            raise ValueError("expected the shape of at least one modality, got none")
        for name, shape in shapes.items():
            if not name or not shape or any(int(size) < 1 for size in shape):
                raise ValueError(f"expected names with shapes such as (1, 28, 28) or (10,), got {name!r}: {shape}")
        self._shapes = {name: tuple(int(size) for size in shape) for name, shape in shapes.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one observation of each modality, by name."""
        return dict(self._shapes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the modalities in order."""
        return tuple(self._shapes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each modality, in order."""
        return tuple(prod(shape) for shape in self._shapes.values())

    @cached_property
    def slices(self) -> dict[str, slice]:
        """The place of each modality in a packed vector, by name."""
        ends = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        return {name: slice(end - n, end) for name, n, end in zip(self.names, self.sizes, ends, strict=True)}

    @property
    def dimensions(self) -> int:
        """The number D of values of a packed vector."""
        return sum(self.sizes)

    def __len__(self) -> int:
        """Return the number M of modalities."""
        return len(self._shapes)

    def __iter__(self) -> Iterator[str]:
        """Return the names in order."""
        return iter(self._shapes)

    def __eq__(self, other: object) -> bool:
        """Return whether names, shapes and their order are the same."""
        return isinstance(other, Packing) and list(self._shapes.items()) == list(other._shapes.items())

    def __hash__(self) -> int:
        """Return a hash of the names and shapes."""
        return hash(tuple(self._shapes.items()))

    def __repr__(self) -> str:
        """Return the constructor's call."""
        return f"Packing({self._shapes})"

    def place(self, name: str) -> int:
        """Return the number of a modality, from 0.

        Raises:
            ValueError: there is none of this name.

        """
        if name not in self._shapes:
            raise ValueError(f"expected one of the modalities {', '.join(self.names)}, got {name!r}")
        return self.names.index(name)

    def pack(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the modalities as one vector each, (B, D), in floating-point numbers.

        Args:
            parts: observations (B, *shape) of every modality by name; whole numbers become floating-point ones.

        Raises:
            ValueError: a name is missing or unknown, or a modality has another shape or batch size.

        """
        if set(parts) != set(self._shapes):
            raise ValueError(f"expected the modalities {', '.join(self.names)}, got {', '.join(parts) or 'none'}")
        for name, shape in self._shapes.items():
            if parts[name].ndim != len(shape) + 1 or tuple(parts[name].shape[1:]) != shape:
                expected = ", ".join(map(str, shape))
                raise ValueError(f"expected {name!r} of shape (B, {expected}), got {tuple(parts[name].shape)}")
        if len({len(part) for part in parts.values()}) != 1:
            sizes = ", ".join(f"{len(parts[name])} of {name!r}" for name in self.names)
            raise ValueError(f"expected modalities of one batch size, got {sizes}")
        flat = [parts[name].flatten(1) for name in self.names]
        kinds = [part.dtype for part in flat if part.is_floating_point()]
        kind = torch.float32 if not kinds else kinds[0]
        for other in kinds[1:]:
            kind = torch.promote_types(kind, other)
        return torch.cat([part.to(kind) for part in flat], 1)

    def unpack(self, x: Tensor) -> dict[str, Tensor]:
        """Return the modalities (..., *shape) of packed vectors (..., D) by name, as views where that is possible.

        Raises:
            ValueError: x does not end in D values.

        """
        if not x.ndim or x.shape[-1] != self.dimensions:
            raise ValueError(f"expected packed vectors of shape (B, {self.dimensions}), got {tuple(x.shape)}")
        return {name: x[..., self.slices[name]].reshape(*x.shape[:-1], *self._shapes[name]) for name in self.names}
