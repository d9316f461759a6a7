"""The contract of likelihoods of sentences: rows of L numbers of words, whose names the likelihood keeps."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.likelihoods.base import Judge, Likelihood
from lsgen.likelihoods.text.vocabulary import END, Vocabulary, ends, tokens

__all__ = ["OutOfPlace", "TextLikelihood"]


@dataclass(frozen=True)
class OutOfPlace:
    """Judge of how many numbers of a sentence are out of place, of which none may be.

    Attributes:
        owner: the family that asks, by name.
        support: what an observation may be, in words.

    """

    owner: str
    support: str

    def in_support(self, x: Tensor) -> Tensor:
        """Return which counts are 0."""
        return x == 0


class TextLikelihood(Likelihood, ABC):
    """Abstract family of sentences, rows (L,) of numbers 0, ..., V - 1; see `lsgen.likelihoods.text.vocabulary`.

    What the numbers mean is said by `name` and kept with the weights.

    Args:
        shape: (L,), the number of words that a sentence has room for.
        size: number V of words, the end included.

    Attributes:
        words: the V words; None before `name`.

    Raises:
        ValueError: the shape is not (L,), or there are fewer than 2 words.

    """

    discrete: ClassVar[bool] = True
    joint: ClassVar[bool] = True
    _empty: Tensor

    def __init__(self, shape: Sequence[int], size: int) -> None:
        super().__init__(shape)
        if len(self.shape) != 1:
            raise ValueError(f"expected the shape (L,) of a sentence of at most L words, got {self.shape}")
        if size < 2:
            raise ValueError(f"expected a size of at least 2, the end of a sentence and a word, got {size}")
        self.size = int(size)
        self.support = f"sentences: numbers of words from 1 to {size - 1}, one at least, and zeros after the last word"
        self.words: tuple[str, ...] | None = None
        place = torch.arange(self.length)[:, None] + torch.arange(self.size)
        self.register_buffer("_empty", place == 0, persistent=False)

    @property
    def length(self) -> int:
        """The number L of words that a sentence has room for."""
        return self.shape[0]

    def name(self, words: Sequence[str]) -> None:
        """Say which words the numbers 0, 1, ... are.

        Raises:
            ValueError: they are not V words that begin with "<end>", or others than those it was named by before.

        """
        found = Vocabulary(tuple(words)).words
        if len(found) != self.size:
            raise ValueError(f"expected a vocabulary of {self.size} words, got {len(found)}")
        if self.words is not None and self.words != found:
            pairs = zip(self.words, found, strict=True)
            number, (own, other) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
            raise ValueError(
                f"expected the vocabulary that the model has learned, whose word {number} is {own!r}, got {other!r}"
            )
        self.words = found

    def texts(self, x: Tensor) -> list[str]:
        """Return the sentences of rows (N, L); the words are their numbers where they have no names."""
        return Vocabulary(self.words or (END, *map(str, range(1, self.size)))).decode(x)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept the numbers of words; a row without a word, or with one after its end, is refused as a whole."""
        whole = (x == x.round()) & (x >= 0) & (x < self.size)
        return whole & ends(x).unsqueeze(-1)

    def witnesses(self, x: Tensor) -> list[tuple[Judge, Tensor]]:
        """Return how many numbers of each sentence are out of place."""
        support = f"{self.support}, with no number out of place"
        return [(OutOfPlace(type(self).__name__, support), (~self.in_support(x)).sum(-1).to(x))]

    def targets(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers of words (..., L) as int64, zeros after the first, and which of them are tokens."""
        observed = tokens(x)
        return torch.where(observed, x.round(), 0).clamp(0, self.size - 1).long(), observed

    def without_empty(self, logits: Tensor) -> Tensor:
        """Return logits (..., L, V) by which no sentence ends before its first word."""
        return logits.masked_fill(self._empty, -torch.inf)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the words, to be saved with the weights."""
        return {"words": self.words}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over saved words.

        Raises:
            ValueError: they are not those that it was named by.

        """
        if state["words"] is not None:
            self.name(state["words"])
