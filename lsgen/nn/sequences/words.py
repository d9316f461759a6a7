"""What networks of sentences share: vectors of words, and which numbers of a row are tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["WordVectors", "sentence_length", "token_mask"]


def sentence_length(shape: Sequence[int]) -> int:
    """Return the number L of words that sentences of shape (L,) have room for.

    Raises:
        ValueError: it is another shape.

    """
    if len(shape) != 1 or int(shape[0]) < 1:
        raise ValueError(f"a network of sentences expected the shape (L,) of at most L words, got {tuple(shape)}")
    return int(shape[0])


def token_mask(x: Tensor) -> Tensor:
    """Return which numbers of words (N, L) are tokens, the words and the first 0, boolean (N, L)."""
    words = (x != 0).long().cumprod(1)
    return torch.cat([torch.ones_like(words[:, :1]), words[:, :-1]], 1).bool()


class WordVectors(nn.Module):
    """Numbers of words (N, L) -> their vectors (N, L, width), normal at the start with a deviation of width^(-1/2).

    Args:
        size: number V of words, the end included.
        width: size of a vector.

    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        if size < 2 or width < 1:
            raise ValueError(f"expected at least 2 words and a width of at least 1, got {size} and {width}")
        self.size = size
        self.vectors = nn.Embedding(size, width)
        nn.init.normal_(self.vectors.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of numbers that may be of a floating-point type, which rounding leaves as they are."""
        out: Tensor = self.vectors(x.round().long() if x.is_floating_point() else x.long())
        return out
