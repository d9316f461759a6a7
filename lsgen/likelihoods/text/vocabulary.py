r"""Words and their numbers: a sentence is a row of L numbers, its words and then zeros.

    x = (w_1, ..., w_n, 0, ..., 0),    1 <= n <= L,    0 < w_t < V

The number 0 is the end of a sentence and never a word. The numbers up to the first 0 and that one are the tokens of the
sentence, min(n + 1, L) of them: a sentence of L words ends because there is no more room.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["END", "PATTERN", "Vocabulary", "ends", "tokens"]

END = "<end>"
PATTERN = r"<\w+>|\w+(?:'\w+)*|[^\w\s]"  # a mark such as <unk>, a word, or a sign of punctuation


@dataclass(frozen=True)
class Vocabulary:
    """The words that sentences are made of, in the order of their numbers.

    Attributes:
        words: the words; the first is "<end>", which ends a sentence.
        unknown: the word that stands for all others, such as "<unk>"; others are refused where it is None.
        pattern: regular expression of a word; a mark such as <unk>, a word or a sign of punctuation by default.
        lowercase: whether capital letters are made small first.

    Raises:
        ValueError: the first word is not "<end>", there is no other, a word comes twice, or `unknown` is none of them.

    """

    words: tuple[str, ...]
    unknown: str | None = None
    pattern: str = PATTERN
    lowercase: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        _check_pattern(self.pattern)
        if len(self.words) < 2 or self.words[0] != END:
            raise ValueError(f"expected {END!r} and then at least one word, got {', '.join(self.words[:4]) or 'none'}")
        if len(self._numbers) < len(self.words):
            twice, _ = Counter(self.words).most_common(1)[0]
            raise ValueError(f"expected {len(self.words)} different words, got {twice!r} again")
        if self.unknown is not None and (self.unknown == END or self.unknown not in self._numbers):
            raise ValueError(f"expected one of the words for the unknown ones, got {self.unknown!r}")

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        least: int = 1,
        most: int | None = None,
        pattern: str = PATTERN,
        lowercase: bool = True,
        unknown: str | None = None,
    ) -> Vocabulary:
        """Return the words of texts, the most frequent one first and equal ones by alphabet.

        Args:
            texts: sentences.
            least: occurrences that a word must have.
            most: how many words are kept at most, "<end>" and `unknown` not counted; all where it is None.
            pattern: regular expression of a word.
            lowercase: whether capital letters are made small first.
            unknown: the word that stands for those that are not kept, which gets the number 1.

        Raises:
            ValueError: least or most is not positive, there are no words, or "<end>" is one.

        """
        if least < 1 or (most is not None and most < 1):
            raise ValueError(f"expected least and most of at least 1, got {least} and {most}")
        _check_pattern(pattern)
        counts = Counter(word for text in texts for word in _split(text, pattern, lowercase))
        if END in counts:
            raise ValueError(f"expected texts without {END!r}, which ends a sentence, got one with it")
        counts.pop(unknown or "", None)
        known = sorted((word for word in counts if counts[word] >= least), key=lambda word: (-counts[word], word))
        if not known:
            raise ValueError(f"expected words that occur {least} times in the texts, got none")
        return cls((END, *([unknown] if unknown else []), *known[:most]), unknown, pattern, lowercase)

    @property
    def size(self) -> int:
        """The number V of words, the end included."""
        return len(self.words)

    def split(self, text: str) -> list[str]:
        """Return the words of a text, known or not."""
        return _split(text, self.pattern, self.lowercase)

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """Return sentences as rows of numbers, int64 (N, length).

        Args:
            texts: N sentences.
            length: the number L of words that a row has room for.

        Raises:
            ValueError: a sentence has no word, more than `length`, or one that is not known.

        """
        rows = torch.zeros(len(texts), length, dtype=torch.int64)
        for row, text in enumerate(texts):
            words = self.split(text)
            if not words:
                raise ValueError(f"expected a sentence with a word at least, got {text!r} as number {row}")
            if len(words) > length:
                raise ValueError(f"expected sentences of at most {length} words, got {len(words)} in {text!r}")
            rows[row, : len(words)] = torch.tensor([self._number(word, text) for word in words])
        return rows

    def decode(self, x: Tensor) -> list[str]:
        """Return the sentences of rows of numbers (N, L), whole or not, without what comes after their ends.

        Raises:
            ValueError: x has another shape, or numbers that no word has.

        """
        if x.ndim != 2:
            raise ValueError(f"expected rows of numbers of words (N, L), got {tuple(x.shape)}")
        rows = x.detach().cpu()
        numbers = rows.round().long() if rows.is_floating_point() else rows.long()
        if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.size:
            raise ValueError(
                f"expected numbers of words from 0 to {self.size - 1}, got {int(numbers.min())} to {int(numbers.max())}"
            )
        until = (numbers != 0).long().cumprod(1).sum(1).tolist()
        return [" ".join(self.words[i] for i in row[:n]) for row, n in zip(numbers.tolist(), until, strict=True)]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def _number(self, word: str, text: str) -> int:
        found = self._numbers.get(word, 0)
        if not found and self.unknown is not None and word != END:
            found = self._numbers[self.unknown]
        if not found:
            raise ValueError(f"expected words of the vocabulary of {self.size - 1} words, got {word!r} in {text!r}")
        return found


def tokens(x: Tensor) -> Tensor:
    """Return which numbers of rows (..., L) are tokens, the words and the first end, as a boolean tensor (..., L)."""
    words = (x.round() != 0).long().cumprod(-1)
    return torch.cat([torch.ones_like(words[..., :1]), words[..., :-1]], -1).bool()


def ends(x: Tensor) -> Tensor:
    """Return which rows (..., L) are sentences: a word, and after the first end nothing but ends; boolean (...)."""
    words = x.round() != 0
    return words[..., 0] & ~(words[..., 1:] & ~words[..., :-1]).any(-1)


def _split(text: str, pattern: str, lowercase: bool) -> list[str]:
    return [found.group() for found in re.finditer(pattern, text.lower() if lowercase else text)]


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression as pattern, got {pattern!r}: {error}") from error
