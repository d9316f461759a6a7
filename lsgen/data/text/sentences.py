"""Sentences as rows of numbers of words, for models that write text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.text.corpus import MadeDocuments
from lsgen.data.text.grammar import Grammar
from lsgen.data.text.reading import lines, text_files
from lsgen.likelihoods.text.vocabulary import PATTERN, Vocabulary

__all__ = ["Sentences", "Wording"]

_TOGETHER = 4096  # sentences that are numbered together


@dataclass(frozen=True)
class Wording:
    """How sentences are cut into words, which of them are known, and how long a sentence may be.

    Attributes:
        pattern: regular expression of a word; a mark such as <unk>, a word or a sign of punctuation by default.
        lowercase: whether capital letters are made small first.
        least: training occurrences that a known word must have.
        most: how many words are known, the most frequent ones; all where it is None.
        unknown: the word that stands for those that are not known, such as "<unk>"; None to refuse them.
        length: words that a sentence may have, L; as many as the longest has where it is None.
        longer: what is done with longer ones: "refuse" or "leave_out".

    Raises:
        ValueError: an option is out of its range.

    """

    pattern: str = PATTERN
    lowercase: bool = True
    least: int = 1
    most: int | None = None
    unknown: str | None = None
    length: int | None = None
    longer: Literal["refuse", "leave_out"] = "refuse"

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise ValueError(f"expected a length of at least 1 word or null, got {self.length}")
        if self.longer not in ("refuse", "leave_out"):
            raise ValueError(f'expected longer "refuse" or "leave_out", got {self.longer!r}')

    @classmethod
    def of(cls, options: Wording | Mapping[str, Any]) -> Wording:
        """Return what a data set's option `wording` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "wording")

    def vocabulary(self, texts: Iterable[str]) -> Vocabulary:
        """Return the known words of training sentences."""
        return Vocabulary.of(texts, self.least, self.most, self.pattern, self.lowercase, self.unknown)


class Sentences(DataModule):
    """Sentences (L,), the numbers of their words and then zeros; see `lsgen.likelihoods.text.vocabulary`.

    A file is read as one sentence a line, without empty lines; of a folder every file .txt below it. It is read three
    times, a line at a time: the sentences are counted, the words of the training sentences, and then all are numbered.
    The numbers are held in memory, 4 bytes for each of the L places of a sentence.

    Args:
        shape: (L,); None for what `wording` says.
        vocabulary_size: number V of words, the end included; None for as many as there are.
        path: a file or a folder in UTF-8; the example where it is None.
        example: sentences that are made up.
        wording: how sentences are cut into words, and how long they may be, `Wording` or its options.
        val_size: sentences held out for validation, a number or a fraction.
        test_size: sentences held out for the test, a number or a fraction.
        batch_size: sentences in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        vocabularies: the words that x is made of, as "sentence".

    Raises:
        ValueError: an option is out of its range, there are no sentences, one has no word or too many, a word is not
            known, or vocabulary_size is another.
        FileNotFoundError: there is nothing at the path.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        vocabulary_size: int | None = None,
        path: str | None = None,
        example: MadeDocuments = Grammar(),
        wording: Wording | Mapping[str, Any] = Wording(),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        options = Wording.of(wording)
        source = "the example" if path is None else str(path)
        texts = example.texts if path is None else partial(_lines, text_files(Path(path).expanduser()))
        longest, total = _measured(texts, options, source)
        length = longest if options.length is None else options.length
        self._rows = random_split(total, {"val_size": val_size, "test_size": test_size}, loading.split_seed)
        training = np.zeros(total, bool)
        training[self._rows["train"].numpy()] = True
        kept = partial(_kept, texts, options, length)
        vocabulary = options.vocabulary(text for own, text in zip(training, kept(), strict=True) if own)
        if vocabulary_size not in (None, vocabulary.size):
            raise ValueError(f"expected vocabulary_size {vocabulary.size}, got {vocabulary_size}")
        self._source = TensorSource(x=torch.from_numpy(_numbered(kept(), vocabulary, length, total)))
        self.vocabularies: Mapping[str, Vocabulary] = {"sentence": vocabulary}
        super().__init__(shape, (length,), AsStored(None), batch_size, seed, loading)

    @property
    def vocabulary_size(self) -> int:
        """The number V of words, the end included."""
        return self.vocabularies["sentence"].size

    def build(self, split: Split) -> BatchDataset:
        """Return the sentences of a split."""
        return self.subset(self._source, self._rows[split], split)


def _lines(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        yield from lines(file)


def _measured(texts: Callable[[], Iterable[str]], options: Wording, source: str) -> tuple[int, int]:
    """Return how many words the longest sentence has, and how many sentences are kept."""
    sizes: Counter[int] = Counter()
    split = Vocabulary(("<end>", "a"), None, options.pattern, options.lowercase).split
    for text in texts():
        words = len(split(text))
        if not words:
            raise ValueError(f"expected a word in every sentence of {source}, got {text.strip()!r} without")
        sizes[words] += 1
    limit = options.length or max(sizes, default=1)
    long = sum(n for size, n in sizes.items() if size > limit)
    if long and options.longer == "refuse":
        raise ValueError(
            f"expected sentences of at most {limit} words in {source}, got {long} longer ones, of up to {max(sizes)}: "
            "raise data.wording.length, or leave them out by data.wording.longer=leave_out"
        )
    if sum(sizes.values()) == long:
        raise ValueError(f"expected sentences of at most {limit} words in {source}, got none")
    return max(sizes), sum(sizes.values()) - long


def _kept(texts: Callable[[], Iterable[str]], options: Wording, length: int) -> Iterator[str]:
    """Yield the sentences that are not too long."""
    split = Vocabulary(("<end>", "a"), None, options.pattern, options.lowercase).split
    return (text for text in texts() if len(split(text)) <= length)


def _numbered(texts: Iterable[str], vocabulary: Vocabulary, length: int, total: int) -> NDArray[np.float32]:
    """Return the numbers of words (total, length)."""
    numbers = np.zeros((total, length), np.float32)
    iterator, first = iter(texts), 0
    while chunk := [text for _, text in zip(range(_TOGETHER), iterator, strict=False)]:
        numbers[first : first + len(chunk)] = vocabulary.encode(chunk, length).numpy()
        first += len(chunk)
    return numbers
