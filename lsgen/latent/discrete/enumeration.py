"""All codes of a discrete latent space, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from lsgen.latent.manifolds.manifold import Manifold

__all__ = ["every_code", "number_of_codes"]


def number_of_codes(manifold: Manifold) -> int:
    """Return how many codes there are on a manifold of isolated points.

    Raises:
        TypeError: codes can move continuously, so that they cannot be counted.

    """
    choices = manifold.choices
    if manifold.continuous or sum(choice.values.shape[1] for choice in choices) != manifold.coordinates:
        raise TypeError(f"expected codes that can be counted, got those of {manifold}")
    return prod(len(choice.values) for choice in choices)


def every_code(manifold: Manifold, like: Tensor, chunk_size: int = 4096) -> Iterator[Tensor]:
    """Yield all codes of a manifold of isolated points in chunks (M, d), the last choice changing fastest.

    Args:
        manifold: where codes lie.
        like: gives their precision and device.
        chunk_size: the most codes in a chunk.

    Raises:
        TypeError: codes can move continuously.
        ValueError: chunk_size is not positive.

    """
    if chunk_size < 1:
        raise ValueError(f"expected a chunk_size of at least 1, got {chunk_size}")
    total = number_of_codes(manifold)
    values = [choice.values.to(like) for choice in sorted(manifold.choices, key=lambda choice: choice.start)]
    for start in range(0, total, chunk_size):
        numbers = torch.arange(start, min(start + chunk_size, total), device=like.device)
        parts = []
        for own in reversed(values):
            parts.append(own[numbers % len(own)])
            numbers = numbers // len(own)
        yield torch.cat(parts[::-1], -1)
