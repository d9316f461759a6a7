r"""Documents as numbers of words, in files that are mapped into memory.

A split is one sequence of int32: the words of a document, -1 after its last one, then the next document. Words that are
not in the vocabulary are left out, before any window is laid over the document, and so are documents without any word.

The files are made in three passes over the text, none of which holds it: the content is hashed and documents are
counted; the words of training documents are counted; words are written as numbers. The directory of the files is named
by the hash of content and options, and appears when all of it is there.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.batches import Observations
from lsgen.data.loading import chosen_options
from lsgen.data.making import advancing, alone
from lsgen.data.splits import random_split
from lsgen.data.text.reading import is_empty, lines, text_files

__all__ = ["END", "TokenFiles", "TokenRows", "Tokens"]

END = -1  # after the last word of a document
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Tokens:
    r"""How documents are cut into words, and which of them are known.

    Attributes:
        pattern: regular expression of a word; letters, digits and underscores where it is `\w+`.
        lowercase: whether capital letters are made small first.
        least: training occurrences that a word must have.
        most: how many words are known, the most frequent ones; all where it is None.
        length: words in a row of a batch, ends of documents included; a document that is longer than what is left of a
            row goes on in the next, and no window reaches over the cut.
        cache: directory for the numbered words of a file; beside it where it is None.

    Raises:
        ValueError: an option is out of its range.

    """

    pattern: str = r"\w+"
    lowercase: bool = True
    least: int = 5
    most: int | None = None
    length: int = 256
    cache: str | None = None

    def __post_init__(self) -> None:
        if self.least < 1 or (self.most is not None and self.most < 1) or self.length < 2:
            raise ValueError(
                "expected least and most of at least 1 and a length of at least 2, "
                f"got {self.least}, {self.most} and {self.length}"
            )
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"expected a regular expression as pattern, got {self.pattern!r}: {error}") from error
        if groups:
            raise ValueError(f"expected a pattern without groups in brackets, got {self.pattern!r}")

    @classmethod
    def of(cls, options: Tokens | Mapping[str, Any]) -> Tokens:
        """Return what a data set's option `tokens` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "tokens")

    def words(self, text: str) -> Iterator[str]:
        """Yield the words of a document."""
        found = re.finditer(self.pattern, text.lower() if self.lowercase else text)
        return (match.group() for match in found)

    def vocabulary(self, counts: Counter[str], name: str) -> dict[str, int]:
        """Return the number of each known word, the most frequent one first and equal ones by alphabet.

        Args:
            counts: of all words.
            name: where they come from, for the sentence.

        Raises:
            ValueError: there is none.

        """
        if not counts:
            raise ValueError(f"expected words in the training documents of {name}, got none")
        known = [word for word, count in counts.items() if count >= self.least]
        if not known:
            often = max(counts.values())
            raise ValueError(
                f"expected words that occur {self.least} times in the training documents of {name}, got {often} at the "
                "most: lower data.tokens.least"
            )
        known.sort(key=lambda word: (-counts[word], word))
        return {word: number for number, word in enumerate(known[: self.most])}


@dataclass(frozen=True)
class TokenFiles:
    """The numbered words of documents: see the module.

    Attributes:
        vocabulary: the words, in the order of their numbers.
        counts: how often each occurs in training, int64 (V,).
        tokens: the sequences of the splits, int32, ends of documents included.

    """

    vocabulary: tuple[str, ...]
    counts: NDArray[np.int64]
    tokens: Mapping[str, NDArray[np.int32]]

    @classmethod
    def of_texts(
        cls, texts: Callable[[], Iterable[str]], options: Tokens, held_out: Mapping[str, int | float], seed: int
    ) -> TokenFiles:
        """Return documents that are made in memory.

        Args:
            texts: gives them anew.
            options: how they are cut into words.
            held_out: "val_size" and "test_size".
            seed: of the split.

        Raises:
            ValueError: there is no document or no word, or a size is out of range.

        """
        split = _Division(sum(1 for _ in texts()), held_out, seed, "the example")
        counts = _counted(texts(), options, split)
        vocabulary = options.vocabulary(counts, "the example")
        parts: dict[str, list[NDArray[np.int32]]] = {name: [] for name in _SPLITS}
        for name, numbers in _numbered(texts(), options, split, vocabulary):
            parts[name].append(numbers)
        empty = np.zeros(0, np.int32)
        tokens = {name: np.concatenate(found) if found else empty for name, found in parts.items()}
        known = np.array([counts[word] for word in vocabulary], np.int64)
        return cls(tuple(vocabulary), known, tokens)

    @classmethod
    def of_path(cls, path: Path, options: Tokens, held_out: Mapping[str, int | float], seed: int) -> TokenFiles:
        """Return the documents of a file or a folder, one a line, from files that are made first unless they are there.

        Raises:
            FileNotFoundError: there is nothing at the path.
            ValueError: there is no document or no word, a size is out of range, or text is not in UTF-8.
            OSError: the files cannot be written.

        """
        files = text_files(path)
        digest, documents = _digest(files)
        split = _Division(documents, held_out, seed, str(path))
        place = path.parent if options.cache is None else Path(options.cache).expanduser()
        settings = {**asdict(options), "length": None, "cache": None, "held_out": dict(held_out), "seed": seed}
        name = hashlib.sha256(f"{digest} {json.dumps(settings, sort_keys=True)}".encode()).hexdigest()[:16]
        made = place / f"{path.stem}-{name}.tokens"
        if not made.is_dir():
            try:
                place.mkdir(parents=True, exist_ok=True)
                with alone(place / ".tokens.lock", f"writes {made}"):
                    if not made.is_dir():
                        _write(files, options, split, made, path)
            except PermissionError as error:
                raise PermissionError(
                    f"expected to write numbered words to {place}, which cannot be written to: name another directory "
                    "by data.tokens.cache=DIRECTORY"
                ) from error
        return cls._read(made)

    @classmethod
    def _read(cls, made: Path) -> TokenFiles:
        header = json.loads((made / "header.json").read_text(encoding="utf-8"))
        tokens = {name: _mapped(made / f"{name}.bin") for name in _SPLITS}
        return cls(tuple(header["vocabulary"]), np.array(header["counts"], np.int64), tokens)


class TokenRows:
    """A source of rows of numbered words, of one length, cut one after another from a sequence; -1 ends documents.

    Args:
        tokens: the sequence, int32, in memory or mapped into it.
        length: words in a row.

    """

    def __init__(self, tokens: NDArray[np.int32], length: int) -> None:
        self.length, self._size = length, len(tokens)
        self._file = Path(tokens.filename) if isinstance(tokens, np.memmap) and tokens.filename else None
        self._kept = tokens if self._file is None else None

    def __len__(self) -> int:
        return -(-self._size // self.length)

    def __call__(self, rows: Tensor) -> Observations:
        """Return rows (B, length), int32; the last one of all is filled up with -1."""
        places = rows.numpy()[:, None] * self.length + np.arange(self.length)
        inside = places < self._size
        numbers = np.take(self._tokens, np.where(inside, places, 0))
        return {"x": torch.from_numpy(np.where(inside, numbers, np.int32(END)))}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pages out for another process, which maps the file itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_tokens"}

    @cached_property
    def _tokens(self) -> NDArray[np.int32]:
        return _mapped(self._file) if self._kept is None and self._file is not None else np.asarray(self._kept)


class _Division:
    """Which split each document belongs to."""

    def __init__(self, documents: int, held_out: Mapping[str, int | float], seed: int, name: str) -> None:
        if not documents:
            raise ValueError(f"expected a document a line in {name}, got an empty file")
        self.number = np.zeros(documents, np.uint8)
        for part, rows in random_split(documents, held_out, seed).items():
            self.number[rows.numpy()] = _SPLITS.index(part)

    def __len__(self) -> int:
        return len(self.number)


def _digest(files: list[Path]) -> tuple[str, int]:
    """Return a hash of the content of files, and how many lines are not empty."""
    found, documents = hashlib.blake2b(digest_size=16), 0
    for file in files:
        found.update(file.name.encode(errors="surrogateescape") + b"\0")
        with open(file, "rb") as content:
            for line in content:
                found.update(line)
                documents += not is_empty(line)
    return found.hexdigest(), documents


def _counted(texts: Iterable[str], options: Tokens, split: _Division) -> Counter[str]:
    """Return how often each word occurs in the training documents."""
    counts: Counter[str] = Counter()
    for row, text in enumerate(texts):
        if not split.number[row]:
            counts.update(options.words(text))
    return counts


def _numbered(
    texts: Iterable[str], options: Tokens, split: _Division, vocabulary: Mapping[str, int]
) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """Yield the split and the numbered words of each document that holds a known word, -1 after them."""
    for row, text in enumerate(texts):
        numbers = [vocabulary[word] for word in options.words(text) if word in vocabulary]
        if numbers:
            yield _SPLITS[split.number[row]], np.array([*numbers, END], np.int32)


def _write(files: list[Path], options: Tokens, split: _Division, made: Path, path: Path) -> None:
    """Count and number the words of files, into a directory that appears when it is whole."""

    def texts(advance: Callable[[int], None]) -> Iterator[str]:
        for file in files:
            for text in lines(file):
                yield text
                advance(1)

    part = Path(tempfile.mkdtemp(prefix=f".{made.name}-", dir=made.parent))
    try:
        what = f"Counting and numbering the words of {len(split)} documents into {made}"
        with advancing(what, 2 * len(split)) as advance:
            counts = _counted(texts(advance), options, split)
            vocabulary = options.vocabulary(counts, str(path))
            streams = {name: open(part / f"{name}.bin", "wb") for name in _SPLITS}  # noqa: SIM115
            try:
                for name, numbers in _numbered(texts(advance), options, split, vocabulary):
                    streams[name].write(numbers.tobytes())
            finally:
                for stream in streams.values():
                    stream.close()
        header = {"vocabulary": list(vocabulary), "counts": [counts[word] for word in vocabulary]}
        (part / "header.json").write_text(json.dumps(header, ensure_ascii=False), encoding="utf-8")
        part.chmod(0o755)
        part.rename(made)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _mapped(file: Path) -> NDArray[np.int32]:
    if not file.stat().st_size:
        return np.zeros(0, np.int32)
    return np.memmap(file, np.int32, "r")
