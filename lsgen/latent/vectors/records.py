"""Records of a word, a space and numbers of 32 bits, after a first line of how many there are.

The C program ends each record by a line feed, gensim does not; either is read, and gensim's is written.
"""

from __future__ import annotations

from collections import deque
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lsgen.latent.vectors.lines import BLOCK, check_distinct, decoded, joined, sizes

__all__ = ["read_records", "write_records"]

LONGEST = 2**12  # bytes of a word


def read_records(file: IO[bytes], most: int | None = None) -> tuple[list[str], NDArray[np.float32]]:
    """Return words and vectors (N, d).

    Args:
        file: an open file.
        most: number of vectors to read.

    Raises:
        ValueError: the file is damaged; with the number of the record.

    """
    declared = sizes(file.readline(100))
    if declared is None or not min(declared):
        raise ValueError("expected the number of words and their dimension in the first line")
    total, dim = declared
    wanted = total if most is None else min(most, total)
    parts, count, rest = deque[tuple[list[str], NDArray[np.float32]]](), 0, b""
    while count < wanted:
        chunk = file.read(BLOCK)
        names, numbers, rest = _cut(rest + chunk, wanted - count, 4 * dim, count + 1)
        z = np.frombuffer(numbers, dtype="<f4").reshape(-1, dim).astype(np.float32, copy=False)
        if not (finite := np.isfinite(z).all(1)).all():
            raise ValueError(f"expected finite numbers, got others in record {count + 1 + int(finite.argmin()):,}")
        parts.append((decoded(names, "record", count + 1), z))
        count += len(names)
        if not chunk and count < wanted:
            raise ValueError(
                f"expected {total:,} words as the first line says, got an end after {count:,} in a file that is cut off"
            )
    if count == total and (rest.strip() or file.read(1).strip()):
        raise ValueError(f"expected {total:,} words as the first line says, got more")
    words = [word for one, _ in parts for word in one]
    check_distinct(words, "record", 1)
    return words, joined(parts, dim)


def write_records(file: IO[bytes], names: list[bytes], z: NDArray[Any]) -> None:
    """Write words and vectors."""
    file.write(b"%d %d\n" % z.shape)
    for first in range(0, len(z), 2**12):
        rows = z[first : first + 2**12].astype("<f4")
        both = zip(names[first : first + 2**12], rows, strict=True)
        file.write(b"".join(b"%b %b" % (name, row.tobytes()) for name, row in both))


def _cut(data: bytes, most: int, size: int, begin: int) -> tuple[list[bytes], bytes, bytes]:
    """Return words, their numbers, and what is left, of at most some whole records of which the first has a number."""
    words, pieces, place = list[bytes](), list[bytes](), 0
    while len(words) < most:
        space = data.find(b" ", place, place + LONGEST)
        if space < 0 and len(data) - place >= LONGEST:
            raise ValueError(f"expected a word of up to {LONGEST} bytes, got none in record {begin + len(words):,}")
        end = space + 1 + size
        if space < 0 or end > len(data):
            break
        words.append(data[place:space].lstrip(b"\n"))
        pieces.append(data[space + 1 : end])
        place = end
    return words, b"".join(pieces), data[place:]
