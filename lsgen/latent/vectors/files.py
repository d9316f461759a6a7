"""Tables of codes from and to the files in which tools exchange vectors of words.

    word2vec           text: a line "N d", then a line "WORD x_1 ... x_d" for each
    word2vec_binary    the line "N d", then for each WORD, a space and d numbers of 32 bits, little-endian
    glove              text without the first line
    gensim             what `KeyedVectors.save` writes (extra `words`); reading it unpickles: only files that you trust
    npz                `lsgen.latent.Codes`

All but the last hold names and vectors in single precision alone: the manifold is flat space, and columns are lost,
except that gensim keeps numbers. Names stand in a file as they do in the table, so none may be empty or hold a space or
an end of a line. Files that end in .gz are compressed.

Memory: the vectors, 4 N d bytes, some 200 bytes a name, and a block of 16 MiB with what it is parsed into, some
100 MiB. The 400,000 vectors of 50 dimensions of GloVe are read in 6 s of one core and 290 MB.
"""

from __future__ import annotations

import gzip
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lsgen.latent.codes import Codes
from lsgen.latent.vectors.gensim_objects import load_keyed_vectors, to_keyed_vectors
from lsgen.latent.vectors.lines import read_lines, write_lines
from lsgen.latent.vectors.records import read_records, write_records
from lsgen.runs.files import replacement

__all__ = ["VECTOR_FORMATS", "read_vectors", "write_vectors"]

VECTOR_FORMATS = ("word2vec", "word2vec_binary", "glove", "gensim", "npz")
_SUFFIXES = {".bin": "word2vec_binary", ".kv": "gensim", ".npz": "npz"}


def read_vectors(path: str | Path, kind: str | None = None, most: int | None = None) -> Codes:
    """Return the vectors of a file as a table of codes, whose ids are the words.

    Args:
        path: the file.
        kind: a name in `VECTOR_FORMATS`. Unless given, it is word2vec_binary for .bin, npz for .npz, and of other files
            word2vec if the first line is two whole numbers, else glove; gensim is never taken by itself.
        most: number of vectors to read, from the beginning, where frequent words usually stand; all unless given.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: gensim is not installed.
        ValueError: the format is none of these, the file is damaged, a number is not finite, or a word comes twice;
            with the line where there are lines, or else the number of the vector.

    """
    path = Path(path)
    kind = _kind_of(path, kind)
    if most is not None and most < 1:
        raise ValueError(f"expected to read at least one vector, got most = {most}")
    if kind in ("gensim", "npz"):
        codes = Codes.load(path) if kind == "npz" else load_keyed_vectors(path)
        return codes if most is None or most >= len(codes) else codes.select(np.arange(most))
    with _opened(path) as file:
        try:
            words, z = read_records(file, most) if kind == "word2vec_binary" else read_lines(file, kind, most)
        except (EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"expected a whole compressed file, got {path}: {error}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    z.flags.writeable = False
    return Codes(z, _texts(words))


def write_vectors(path: str | Path, codes: Codes, kind: str = "word2vec") -> Path:
    """Write names and vectors of a table of codes, and return the path.

    A file is replaced once the new one is whole, but for those of gensim, which writes large tables as several files.

    Args:
        path: the file; it is compressed if it ends in .gz, and ends in .npz for that format.
        codes: the table.
        kind: a name in `VECTOR_FORMATS`.

    Raises:
        ImportError: gensim is not installed.
        ValueError: the format is none of these, or a name or a number cannot stand in such a file.
        OSError: it cannot be written.

    """
    path = Path(path)
    if kind not in VECTOR_FORMATS:
        raise ValueError(f"expected a format out of {', '.join(VECTOR_FORMATS)}, got {kind!r}")
    if kind == "npz":
        codes.save(path)
        return path
    if float(np.abs(codes.z).max(initial=0)) > float(np.finfo(np.float32).max):
        raise ValueError(f"expected numbers of single precision for {kind}, got {np.abs(codes.z).max():g}")
    if kind == "gensim":
        to_keyed_vectors(codes).save(str(path))
        return path
    names = _names(codes)
    with replacement(path) as file, _compressed(file, path) as target:
        if kind == "word2vec_binary":
            write_records(target, names, codes.z)
        else:
            write_lines(target, names, codes.z, header=kind == "word2vec")
    return path


def _kind_of(path: Path, kind: str | None) -> str | None:
    """Return the format of a file; None where its first line tells."""
    if kind is not None and kind not in VECTOR_FORMATS:
        raise ValueError(f"expected a format out of {', '.join(VECTOR_FORMATS)}, got {kind!r}")
    found = kind or _SUFFIXES.get((path.with_suffix("") if path.suffix == ".gz" else path).suffix)
    if kind is None and found == "gensim":
        raise ValueError(
            f"expected the format of {path} to be given as gensim: reading it runs what is pickled in it, so read only "
            "files that you trust"
        )
    return found


def _compressed(file: IO[bytes], path: Path) -> AbstractContextManager[Any]:
    """Return what writes into an open file, compressed if its path ends in .gz."""
    return gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if path.suffix == ".gz" else nullcontext(file)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _texts(words: list[str]) -> NDArray[Any]:
    column = np.empty(len(words), dtype=object)
    column[:] = words
    column.flags.writeable = False
    return column


def _names(codes: Codes) -> list[bytes]:
    """Return the names of codes as they stand in a file."""
    names = []
    for name in codes.ids.tolist():
        text = str(name)
        if not text or " " in text or "\n" in text:
            raise ValueError(f"expected names without a space or an end of a line, got {text!r}")
        try:
            names.append(text.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"expected names that UTF-8 can write, got {text!r}") from error
    return names
