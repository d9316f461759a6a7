"""Lines of text of a word and its numbers, with or without a first line of how many there are."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_distinct", "decoded", "joined", "read_lines", "sizes", "write_lines"]

BLOCK, LONGEST = 2**24, 2**26
_MARK = b"\xef\xbb\xbf"  # with which some editors begin a file in UTF-8
_Part = tuple[list[str], NDArray[np.float32]]


def read_lines(file: IO[bytes], kind: str | None, most: int | None = None) -> _Part:
    """Return words and vectors (N, d).

    Args:
        file: an open file.
        kind: "word2vec", whose first line is N and d, or "glove", without it; None lets the first line tell.
        most: number of vectors to read.

    Raises:
        ValueError: the file is damaged; with the line.

    """
    first = file.readline(LONGEST).removeprefix(_MARK)
    declared = sizes(first)
    if kind == "word2vec" and declared is None:
        raise ValueError(f"expected the number of words and their dimension, got {_shown(first)} in line 1")
    if kind == "glove":
        declared = None
    parts, begin, count = deque[_Part](), 1 if declared is None else 2, 0
    dim = len(first.split()) - 1 if declared is None else declared[1]
    if dim < 1:
        raise ValueError(f"expected a word and its numbers, got {_shown(first)} in line 1")
    for block in _blocks(file, first if declared is None else b""):
        words, z = _parsed(block, begin + count, dim)
        parts.append((words, z) if most is None else (words[: most - count], z[: most - count]))
        count += len(words)
        if most is not None and count >= most:
            break
    if declared is not None and (count > declared[0] or (count < declared[0] and (most is None or count < most))):
        raise ValueError(f"expected {declared[0]:,} words as line 1 says, got {count:,} up to line {count + 1:,}")
    words = [word for one, _ in parts for word in one]
    check_distinct(words, "line", begin)
    return words, joined(parts, dim)


def write_lines(file: IO[bytes], names: list[bytes], z: NDArray[Any], header: bool) -> None:
    """Write words and vectors with nine digits, which single precision survives."""
    if header:
        file.write(b"%d %d\n" % z.shape)
    row = " ".join(["%.9g"] * z.shape[1])
    for first in range(0, len(z), 2**12):
        values = z[first : first + 2**12].astype(np.float32).tolist()
        numbers = [(row % tuple(one)).encode() for one in values]
        both = zip(names[first : first + 2**12], numbers, strict=True)
        file.write(b"".join(b"%b %b\n" % pair for pair in both))


def sizes(line: bytes) -> tuple[int, int] | None:
    """Return N and d of a first line that is two whole numbers and nothing else."""
    fields = line.split()
    return (int(fields[0]), int(fields[1])) if len(fields) == 2 and all(one.isdigit() for one in fields) else None


def decoded(words: list[bytes], what: str, begin: int) -> list[str]:
    """Return words as text.

    Args:
        words: their bytes, none of which is an end of a line.
        what: what they are counted in, such as "line".
        begin: the number of the first.

    Raises:
        ValueError: one is empty, or not UTF-8.

    """
    if not words:
        return []
    if b"" in words:
        raise ValueError(f"expected a word, got a space in {what} {begin + words.index(b''):,}")
    try:
        return b"\n".join(words).decode().split("\n")
    except UnicodeDecodeError:
        number = next(i for i, word in enumerate(words) if word.decode("utf-8", "replace").encode() != word)
        raise ValueError(f"expected words in UTF-8, got {words[number][:40]!r} in {what} {begin + number:,}") from None


def check_distinct(words: list[str], what: str, begin: int) -> None:
    """Refuse a word that comes twice.

    Raises:
        ValueError: with both numbers.

    """
    if len(set(words)) == len(words):
        return
    place = dict[str, int]()
    for number, word in enumerate(words, begin):
        if word in place:
            raise ValueError(
                f"expected every word once, got {word!r} in {what} {place[word]:,} and in {what} {number:,}"
            )
        place[word] = number


def joined(parts: deque[_Part], dim: int) -> NDArray[np.float32]:
    """Return the vectors of parts, which are freed one after another so that no vector is held twice."""
    z, row = np.empty((sum(len(words) for words, _ in parts), dim), dtype=np.float32), 0
    if not len(z):
        raise ValueError("expected at least one word, got none up to the end")
    while parts:
        _, part = parts.popleft()
        z[row : row + len(part)] = part
        row += len(part)
    return z


def _blocks(file: IO[bytes], begun: bytes) -> Iterator[bytes]:
    """Yield whole lines, about 16 MiB at a time."""
    rest = begun
    while chunk := file.read(BLOCK):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
        if len(rest) > LONGEST:
            raise ValueError("expected lines of text, got no end of a line in 64 MiB, as in binary files")
    if rest:
        yield rest


def _parsed(block: bytes, begin: int, dim: int) -> _Part:
    """Return words and vectors of lines, of which the first has a number."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    halves = [line.rstrip().partition(b" ") for line in lines]
    for i, (word, _, numbers) in enumerate(halves):
        if numbers.count(b" ") != dim - 1 or not numbers:
            raise ValueError(_wrong_fields(word, numbers, dim, begin + i))
    values = _numbers(b" ".join([numbers for _, _, numbers in halves]))
    if values is None or len(values) != len(lines) * dim or not np.isfinite(values).all():
        for i, (_, _, numbers) in enumerate(halves):
            one = _numbers(numbers)
            if one is None or len(one) != dim or not np.isfinite(one).all():
                raise ValueError(f"expected {dim} finite numbers, got {_shown(numbers)} in line {begin + i:,}")
    assert values is not None
    return decoded([word for word, _, _ in halves], "line", begin), values.reshape(-1, dim)


def _numbers(text: bytes) -> NDArray[np.float32] | None:
    """Return the numbers of a text; None where it holds something else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=np.float32, sep=" ")
        except (DeprecationWarning, RuntimeWarning, ValueError):
            return None


def _wrong_fields(word: bytes, numbers: bytes, dim: int, line: int) -> str:
    found = numbers.count(b" ") + 1 if numbers else 0
    more = "" if found <= dim else ", as where a word holds a space"
    return f"expected a word and {dim} numbers, got {_shown(word)} and {found} of them{more} in line {line:,}"


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
