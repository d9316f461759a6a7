r"""Character n-grams of words, by whose hashes fastText shares vectors between words.

    <where>    3-grams: <wh, whe, her, ere, re>    up to 6 characters, and the word itself
    h = 2166136261;  for each byte x:  h = (h xor x) * 16777619  mod 2^32

This is FNV-1a of 32 bits, with one quirk that keeps vectors compatible: fastText's bytes are signed, so that a byte
from 128 on is xored with its sign extended to 32 bits. An n-gram has the row h mod buckets.

Reference: Bojanowski, Grave, Joulin & Mikolov, "Enriching word vectors with subword information" (2017), section 3.2;
the hash is `Dictionary::hash` of https://github.com/facebookresearch/fastText.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from lsgen.models.embedding.options import options_of

__all__ = ["SubwordVectors", "Subwords", "fnv_1a"]


@dataclass(frozen=True)
class Subwords:
    """Which n-grams of a word have vectors, and how many vectors they share.

    Attributes:
        least: characters of the shortest n-grams, the marks < and > at the ends of a word among them.
        most: characters of the longest ones.
        buckets: number of vectors that n-grams share, 4 d bytes each.

    Raises:
        ValueError: a number is not positive, or most is less than least.

    """

    least: int = 3
    most: int = 6
    buckets: int = 2_000_000

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most or self.buckets < 1:
            raise ValueError(
                f"expected 1 <= least <= most and at least 1 bucket, got {self.least}, {self.most} and {self.buckets}"
            )

    @classmethod
    def of(cls, options: Subwords | Mapping[str, Any]) -> Subwords:
        """Return what a model's option `subwords` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return options_of(cls, options, "subwords")

    def grams(self, word: str) -> list[str]:
        """Return the n-grams of a word, from left to right and the shorter ones first; single marks are none."""
        text = f"<{word}>"
        spans = ((i, i + n) for i in range(len(text)) for n in range(self.least, self.most + 1))
        inside = ((i, end) for i, end in spans if end <= len(text))
        return [text[i:end] for i, end in inside if end - i > 1 or 0 < i < len(text) - 1]

    def rows(self, word: str) -> NDArray[np.int64]:
        """Return the buckets of the n-grams of a word."""
        return np.array([fnv_1a(gram) % self.buckets for gram in self.grams(word)], dtype=np.int64)


class SubwordVectors(nn.Module):
    """Vectors of words and of n-grams; the code of a word is the average of its own and those of its n-grams.

    Memory: 4 d bytes for each word and each bucket, 8 for each n-gram of each word.

    Args:
        words: the words (V,).
        dim: dimension d.
        subwords: which n-grams there are.

    Attributes:
        weight: the vectors of the words, then those of the buckets, (V + buckets, d), drawn uniformly from [-1/d, 1/d]
            as in fastText.

    """

    rows: Tensor
    starts: Tensor

    def __init__(self, words: Sequence[str], dim: int, subwords: Subwords) -> None:
        super().__init__()
        self.subwords, self.items = subwords, len(words)
        self.weight = nn.Parameter((2 * torch.rand(len(words) + subwords.buckets, dim) - 1) / dim)
        self.name(words)

    def name(self, words: Sequence[str]) -> None:
        """Compute which vectors the words (V,) are averages of."""
        lists = [np.concatenate([[number], self.items + self.subwords.rows(word)]) for number, word in enumerate(words)]
        starts = np.cumsum([0, *map(len, lists)])
        like = self.weight.device
        self.register_buffer("rows", torch.from_numpy(np.concatenate(lists)).to(like), persistent=False)
        self.register_buffer("starts", torch.from_numpy(starts).to(like), persistent=False)

    def forward(self, words: Tensor | None = None) -> Tensor:
        """Return the codes of words, numbers (n,), of all unless given: (n, d)."""
        if words is None:
            return embedding_bag(self.rows, self.weight, self.starts[:-1], mode="mean")
        return embedding_bag(*self._lists(words), mode="mean")

    @torch.no_grad()
    def add(self, words: Tensor, change: Tensor) -> None:
        """Add changes (n, d) of the codes of words (n,) to each of the vectors that they are averages of."""
        rows, _, starts = self._lists(words)
        sizes = torch.diff(starts, append=starts.new_tensor([len(rows)]))
        self.weight.index_add_(0, rows, change.repeat_interleave(sizes, 0))

    @torch.no_grad()
    def of_grams(self, words: Sequence[str]) -> Tensor:
        """Return codes (n, d) of any words, which are averages of the vectors of their n-grams alone.

        Raises:
            ValueError: a word has no n-gram.

        """
        lists = [self.items + self.subwords.rows(word) for word in words]
        if empty := [word for word, rows in zip(words, lists, strict=True) if not len(rows)]:
            raise ValueError(f"expected words with n-grams of {self.subwords.least} characters, got {empty[0]!r}")
        return torch.stack([self.weight[torch.from_numpy(rows).to(self.weight.device)].mean(0) for rows in lists])

    def _lists(self, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows of words one after another, the vectors, and where the rows of each begin."""
        begins, sizes = self.starts[words], self.starts[words + 1] - self.starts[words]
        starts = sizes.cumsum(0) - sizes
        places = torch.arange(int(sizes.sum()), device=words.device) + (begins - starts).repeat_interleave(sizes)
        return self.rows[places], self.weight, starts


def fnv_1a(text: str) -> int:
    """Return fastText's hash of a text, from 0 to 2^32 - 1."""
    found = 2166136261
    for byte in text.encode():
        signed = byte if byte < 128 else byte | 0xFFFFFF00
        found = (found ^ signed) * 16777619 & 0xFFFFFFFF
    return found
