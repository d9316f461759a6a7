"""Documents as sequences of words, for models of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.batches import BatchDataset
from lsgen.data.encodings import Numbered
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.text.grammar import Grammar
from lsgen.data.text.tokens import END, TokenFiles, TokenRows, Tokens

__all__ = ["Corpus", "MadeDocuments"]


class MadeDocuments(Protocol):
    """Documents that are made up, with what is known of their words."""

    def texts(self) -> Iterator[str]:
        """Yield the documents, the same in every call."""

    @property
    def questions(self) -> tuple[tuple[str, str, str, str, str], ...]:
        """Analogies (section, a, b, c, d) with a : b :: c : d."""

    @property
    def similarities(self) -> tuple[tuple[str, str, float], ...]:
        """Pairs of words with their similarity."""


class Corpus(DataModule):
    """Documents as rows of numbered words, (length,): the documents of a split one after another, -1 after each.

    A file holds one document a line, without empty lines; of a folder, every line of every file .txt below it is one.
    Words are numbered from the most frequent one on, as they occur in training documents. Words that are not known,
    because they are too rare or in held-out documents alone, are left out as if they were not there. Held out are whole
    documents; batches are made of rows, which a long document or one at the border of two rows is cut for.

    The numbered words of a path are written to files once, which are found again by the content of the text, hashed at
    every start, and mapped into memory: training reads the rows that it asks for. Memory does not depend on the length
    of the text but for 20 bytes a row of 256 words and, while the files are made, 5 bytes a document; it is about 240
    bytes for each different word while they are counted, and 110 for each known one.

    Args:
        shape: (length,); None for what `tokens` says.
        vocabulary_size: number of known words; None for as many as there are.
        path: a file or a folder in UTF-8; the example where it is None.
        example: documents that are made up.
        tokens: how documents are cut into words and rows, `Tokens` or its options.
        val_size: documents held out for validation, a number or a fraction.
        test_size: documents held out for the test, a number or a fraction.
        batch_size: rows in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        vocabulary: the words, in the order of their numbers.
        counts: how often each occurs in training, int64 (V,).
        questions: analogies (section, a, b, c, d) with a : b :: c : d, where they are known.
        similarities: pairs of words with their similarity, where they are known.

    Raises:
        ValueError: an option is out of its range, there are no documents or no words, or another number of words.
        FileNotFoundError: there is nothing at the path.
        OSError: the files of numbered words cannot be written.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        vocabulary_size: int | None = None,
        path: str | None = None,
        example: MadeDocuments = Grammar(),
        tokens: Tokens | Mapping[str, Any] = Tokens(),
        val_size: int | float = 0.05,
        test_size: int | float = 0.05,
        batch_size: int = 8,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.options = Tokens.of(tokens)
        held_out, split_seed = {"val_size": val_size, "test_size": test_size}, loading.split_seed
        if path is None:
            self._files = TokenFiles.of_texts(example.texts, self.options, held_out, split_seed)
            self.questions, self.similarities = example.questions, example.similarities
        else:
            self._files = TokenFiles.of_path(Path(path).expanduser(), self.options, held_out, split_seed)
            self.questions, self.similarities = (), ()
        self.vocabulary: tuple[str, ...] = self._files.vocabulary
        self.counts: Tensor = torch.from_numpy(self._files.counts)
        if vocabulary_size not in (None, len(self.vocabulary)):
            raise ValueError(f"expected vocabulary_size {len(self.vocabulary)}, got {vocabulary_size}")
        super().__init__(shape, (self.options.length,), Numbered(), batch_size, seed, loading)

    @property
    def vocabulary_size(self) -> int:
        """The number V of known words."""
        return len(self.vocabulary)

    def build(self, split: Split) -> BatchDataset:
        """Return the rows of a split."""
        source = TokenRows(self._files.tokens[split], self.options.length)
        return self.subset(source, torch.arange(len(source)), split, part=get_args(Split).index(split))

    def tokens(self, split: Split) -> NDArray[np.int32]:
        """Return the numbered words of all documents of a split one after another, -1 after each; maybe mapped."""
        return self._files.tokens[split]

    def documents(self, split: Split) -> Iterator[NDArray[np.int32]]:
        """Yield the numbered words of each document of a split that holds a known one."""
        tokens, chunk = self.tokens(split), 2**20
        rest = np.zeros(0, np.int32)
        for first in range(0, len(tokens), chunk):
            *whole, rest = _cut(np.concatenate([rest, tokens[first : first + chunk]]))
            yield from whole


def _cut(tokens: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Return what lies between ends of documents, the last of it maybe not whole."""
    ends = np.flatnonzero(tokens == END)
    begins = np.concatenate([[0], ends + 1])
    return [tokens[begin:end] for begin, end in zip(begins, [*ends, len(tokens)], strict=True)]
