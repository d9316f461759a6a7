"""Files of words that are counted already, with their vocabulary."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.data.files import reading
from lsgen.data.text.reading import whole_text

__all__ = ["checked_counts", "holds_counts", "read_counts"]

ARCHIVES, LISTS = (".tgz", ".tar.gz"), (".dat", ".ldac", ".lda-c")
MOST = 2**31 - 1


def holds_counts(path: Path) -> bool:
    """Return whether a file is one of counts by its name: .npz, .dat, .ldac, .lda-c, .tgz or .tar.gz."""
    return path.name.lower().endswith((".npz", *ARCHIVES, *LISTS))


def read_counts(path: Path, vocabulary: str | None = None) -> tuple[Any, NDArray[Any]]:
    """Return counts of words, a scipy matrix in rows (N, V), and the words (V,).

    `.npz` is what `scipy.sparse.save_npz` writes. In the format of lda-c a line is a document, "M word:count ..." with
    M pairs and words numbered from 0; an archive .tgz or .tar.gz holds one such file .dat and a vocabulary vocab.txt.

    Args:
        path: the file.
        vocabulary: a file with a word a line; where it is None, vocab.txt in the archive or beside the file.

    Raises:
        FileNotFoundError: there is no such file, or no vocabulary.
        ValueError: a file is damaged, or see `checked_counts`.

    """
    if not path.is_file():
        raise FileNotFoundError(f"expected documents at {path}, found nothing")
    listed = None
    if path.name.lower().endswith(ARCHIVES):
        text, listed = _unpacked(path)
        counts = _lda_c(text, path)
    elif path.suffix.lower() == ".npz":
        from scipy import sparse

        with reading("counts of words", path):
            counts = sparse.csr_matrix(sparse.load_npz(path))
    else:
        with reading("counts of words", path):
            text = path.read_text(encoding="utf-8-sig")
        counts = _lda_c(text, path)
    if vocabulary is not None or listed is None:
        file = path.with_name("vocab.txt") if vocabulary is None else Path(vocabulary).expanduser()
        if not file.is_file():
            raise FileNotFoundError(
                f"expected a vocabulary, a word a line, at {file}, found nothing: data.vocabulary=FILE says where it is"
            )
        listed = whole_text(file)
    words = listed.rstrip().split("\n")
    if path.suffix.lower() != ".npz" and counts.shape[1] < len(words):  # the last words are in no document
        counts.resize(counts.shape[0], len(words))
    return checked_counts(counts, words, str(path))


def checked_counts(counts: Any, words: list[str], where: str) -> tuple[Any, NDArray[Any]]:
    """Return counts, as whole numbers in rows, and words without the white space around them.

    Args:
        counts: a sparse matrix of scipy (N, V).
        words: V words.
        where: what the counts are, for the sentence.

    Raises:
        ValueError: there is no document or no word, the words are not as many as the columns or not different, a
            count is negative, no whole number or above 2,147,483,647, or a document has no word.

    """
    from scipy import sparse

    names = [word.strip() for word in words]
    counts = sparse.csr_matrix(counts)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    if not counts.shape[0] or not counts.shape[1]:
        raise ValueError(f"expected documents and words in {where}, got counts of shape {counts.shape}")
    if len(names) != counts.shape[1]:
        raise ValueError(f"expected a vocabulary of {counts.shape[1]} words for {where}, got {len(names)}")
    if len(set(names)) < len(names) or "" in names:
        twice = next(name for name in names if not name or names.count(name) > 1)
        raise ValueError(f"expected {len(names)} different words in the vocabulary of {where}, got {twice!r} again")
    if (bad := ~(counts.data >= 0) | (counts.data % 1 != 0) | (counts.data > MOST)).any():
        at = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(counts.indptr, at, side="right")) - 1
        raise ValueError(
            f"expected counts 0, 1, 2, ... in {where}, got {counts.data[at]:g} of {names[counts.indices[at]]!r} in "
            f"document {row}"
        )
    if (empty := np.flatnonzero(np.diff(counts.indptr) == 0)).size:
        raise ValueError(f"expected documents with words in {where}, got {empty.size} without, such as {int(empty[0])}")
    return counts.astype(np.int32), np.array(names)


def _unpacked(path: Path) -> tuple[str, str]:
    """Return the list of documents and the vocabulary of an archive."""
    with reading("counts of words", path), tarfile.open(path) as archive:
        names = [name for name in archive.getnames() if Path(name).name[0] != "."]
        lists, vocabularies = (
            [name for name in names if name.endswith(LISTS)],
            [name for name in names if Path(name).name == "vocab.txt"],
        )
        if len(lists) == 1 and len(vocabularies) == 1:
            return _member(archive, lists[0]), _member(archive, vocabularies[0])
    raise ValueError(f"expected one file .dat and one vocab.txt in {path}, got {', '.join(names[:8]) or 'nothing'}")


def _member(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    if file is None:
        raise OSError(f"{name} is no file")
    return file.read().decode("utf-8-sig")


def _lda_c(text: str, path: Path) -> Any:
    """Return the counts of documents in the format of lda-c, with as many columns as the last word asks for."""
    from scipy import sparse

    rows, columns, values = list[int](), list[int](), list[float]()
    lines = [line.split() for line in text.split("\n") if line.strip()]
    for row, (number, *pairs) in enumerate(lines):
        if number != str(len(pairs)):
            raise ValueError(
                f"expected a line in {path} to begin with its number of pairs, got {number} before {len(pairs)} in "
                f"document {row}"
            )
        for pair in pairs:
            word, _, count = pair.partition(":")
            try:
                columns.append(int(word))
                values.append(float(count))
            except ValueError as error:
                raise ValueError(f"expected pairs WORD:COUNT in {path}, got {pair!r} in document {row}") from error
        rows += [row] * len(pairs)
    if columns and min(columns) < 0:
        raise ValueError(f"expected words numbered from 0 in {path}, got {min(columns)}")
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(lines), max(columns, default=-1) + 1))
