"""Documents of one's own as counts of words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.data.batches import BatchDataset
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.sparse import SparseCounts
from lsgen.data.splits import random_split
from lsgen.data.text.count_files import holds_counts, read_counts
from lsgen.data.text.example import example_documents
from lsgen.data.text.reading import lines, text_files, whole_text

__all__ = ["BagOfWords", "Words"]


@dataclass(frozen=True)
class Words:
    r"""How documents are cut into words, and which of them are counted.

    Attributes:
        most: how many words are counted, the most frequent ones of the training documents; all where it is None.
        least_documents: training documents that a word must occur in.
        pattern: regular expression of a word; two letters or digits or more where it is `\b\w\w+\b`.
        lowercase: whether capital letters are made small first.
        stop_words: words that are not counted: "english" for the list of scikit-learn, a list, or None.

    Raises:
        ValueError: an option is out of its range.

    """

    most: int | None = 2000
    least_documents: int = 2
    pattern: str = r"\b\w\w+\b"
    lowercase: bool = True
    stop_words: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.least_documents < 1 or (self.most is not None and self.most < 1):
            raise ValueError(
                f"expected most and least_documents of at least 1, got {self.most} and {self.least_documents}"
            )
        if isinstance(self.stop_words, str) and self.stop_words != "english":
            raise ValueError(f'expected stop_words "english", a list of words or null, got {self.stop_words!r}')
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"expected a regular expression as pattern, got {self.pattern!r}: {error}") from error
        if groups > 1:
            raise ValueError(f"expected a pattern with at most one group in brackets, got {self.pattern!r}")

    @property
    def left_out(self) -> list[str]:
        """The words that are not counted."""
        if isinstance(self.stop_words, str):
            from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

            return sorted(ENGLISH_STOP_WORDS)
        return list(self.stop_words or ())

    def check_counted(self) -> None:
        """Refuse options of cutting text into words, where words are counted already.

        Raises:
            ValueError: the pattern or the case is not left as it is by default.

        """
        plain = Words()
        if (self.pattern, self.lowercase) != (plain.pattern, plain.lowercase):
            raise ValueError(
                "expected data.words.pattern and data.words.lowercase as they are by default for a file of counts, "
                f"got {self.pattern!r} and {self.lowercase}"
            )

    @classmethod
    def of(cls, options: Words | Mapping[str, Any]) -> Words:
        """Return what a data set's option `words` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "words")


class BagOfWords(DataModule):
    """How often each word occurs in a document, (words,); the label is the folder of the document, if there are any.

    A file is read as one document a line, without empty lines; of a folder every file .txt below it is one, and its
    class the first folder, in alphabetical order. A file of counts (see `read_counts`) is taken as it is counted. Words
    are those of the training documents; others are not counted, and a document without any of them has zeros alone.
    Counts are kept sparse.

    Args:
        shape: (words,); None for as many as there are.
        path: a file or a folder in UTF-8, or a file of counts; 1,000 made-up documents of five subjects where it is
            None.
        words: how documents are cut into words, `Words` or its options; of counts, which of them are kept.
        val_size: documents held out for validation, a number or a fraction.
        test_size: documents held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.
        vocabulary: a file with a word a line, of a file of counts; one that lies with it where it is None.

    Attributes:
        vocabulary: the words, in the order of x.
        classes: names of the classes 0, 1, ...; empty if there are none.

    Raises:
        ValueError: an option is out of its range, there are no documents or no words, or see `read_counts`.
        FileNotFoundError: there is nothing at the path.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        words: Words | Mapping[str, Any] = Words(),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
        vocabulary: str | None = None,
    ) -> None:
        self.words, self._path = Words.of(words), None if path is None else Path(path).expanduser()
        self._counts, owners = None, list[str]()
        held_out = {"val_size": val_size, "test_size": test_size}
        if self._path is not None and holds_counts(self._path):
            self._counts, found = read_counts(self._path, vocabulary)
            self.words.check_counted()
            self._rows = random_split(self._counts.shape[0], held_out, loading.split_seed)
            self._columns = self._kept(self._counts[self._training], found)
            self.vocabulary: tuple[str, ...] = tuple(found[self._columns].tolist())
        else:
            if vocabulary is not None:
                raise ValueError(f"expected a file of counts with data.vocabulary, got {self._path or 'no path'}")
            self._texts, owners = example_documents() if self._path is None else _read(self._path)
            self._rows = random_split(len(self._texts), held_out, loading.split_seed)
            self.vocabulary = tuple(self._counter.get_feature_names_out().tolist())
        self.classes = tuple(sorted(set(owners)))
        self._labels = [self.classes.index(owner) for owner in owners]
        super().__init__(shape, (len(self.vocabulary),), AsStored(None), batch_size, seed, loading)

    def build(self, split: Split) -> BatchDataset:
        """Return the documents of a split."""
        return self.subset(self._source, self._rows[split], split)

    @property
    def _training(self) -> NDArray[np.int64]:
        """The training documents, in the order in which they were read."""
        return np.sort(self._rows["train"].numpy()).astype(np.int64)

    def _kept(self, counts: Any, found: NDArray[Any]) -> NDArray[np.int64]:
        """Return in ascending order which of the words found in training documents are counted."""
        words = self.words
        often = np.asarray((counts > 0).sum(0)).ravel() >= words.least_documents
        often &= ~np.isin(found, words.left_out)
        if not often.any():
            raise ValueError(
                f"expected words that occur in {words.least_documents} of {counts.shape[0]} training documents, "
                "got none"
            )
        total = np.where(often, np.asarray(counts.sum(0)).ravel(), 0)
        chosen = np.argsort(-total, kind="stable")[: min(words.most or len(total), int(often.sum()))]
        return np.sort(chosen)

    @cached_property
    def _counter(self) -> Any:
        """Scikit-learn's counter of the words of the training documents."""
        from sklearn.feature_extraction.text import CountVectorizer

        words = self.words
        made = partial(CountVectorizer, lowercase=words.lowercase, token_pattern=words.pattern, dtype=np.int32)
        counter = made()
        try:
            counts = counter.fit_transform([self._texts[row] for row in self._training])
        except ValueError as error:  # as scikit-learn says that there is none
            raise ValueError(f"expected words in {self._path or 'the documents'}, got none: {error}") from error
        found = counter.get_feature_names_out()
        return made(vocabulary=found[self._kept(counts, found)].tolist())

    @cached_property
    def _source(self) -> SparseCounts:
        label = {"label": torch.tensor(self._labels)} if self.classes else {}
        if self._counts is not None:
            return SparseCounts(self._counts[:, self._columns])
        return SparseCounts(self._counter.transform(self._texts).tocsr(), **label)


def _read(path: Path) -> tuple[list[str], list[str]]:
    """Return documents and, of a folder with folders, the names of their classes."""
    files = text_files(path)
    if path.is_file():
        texts = list(lines(path))
        if not texts:
            raise ValueError(f"expected a document a line in {path}, got an empty file")
        return texts, []
    owners = [file.relative_to(path).parts[0] if file.parent != path else "" for file in files]
    if "" in owners and len(set(owners)) > 1:
        stray = files[owners.index("")].name
        raise ValueError(f"expected each file below {path} in the folder of its class, or none, got {stray} in none")
    return [whole_text(file) for file in files], [] if "" in owners else owners
