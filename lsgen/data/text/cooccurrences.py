"""How often words stand near each other, as entries of a sparse matrix.

    X_ij = sum over places of j within `window` words of i in a document of 1 / distance

Windows go over what is left of a document without words that are not known. Symmetric, both sides of i count; else only
the words after it.

The matrix is counted in vectorised pieces of 131,072 words: no loop goes over words or pairs. Memory: 12 bytes for each
entry that is not 0, twice that where parts are added, four times where both sides count, 12 for its row among
observations, and 60 MB for a piece.

Reference: Pennington, Socher & Manning, "GloVe: Global vectors for word representation" (2014), sections 3 and 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.data.text.corpus import Corpus
from lsgen.data.text.tokens import END

__all__ = ["Cooccurrences", "count_cooccurrences"]

PIECE = 2**17


class Cooccurrences(DataModule):
    """Entries (i, j, X_ij) of the matrix of how often words of a corpus stand near each other, those that are not 0.

    An observation is three numbers, (3,): the numbers of two words and their weighted count, in training documents.
    Held out are entries, which a model then has not seen.

    Args:
        shape: (3,).
        vocabulary_size: number of known words; None for what the corpus has.
        corpus: the documents; the example unless given.
        window: greatest distance of two words.
        symmetric: whether words on both sides count.
        val_size: entries held out for validation, a number or a fraction.
        test_size: entries held out for the test, a number or a fraction.
        batch_size: entries in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        vocabulary: the words, in the order of their numbers.
        counts: how often each occurs in training, int64 (V,).
        questions: analogies of the words, where they are known.
        similarities: pairs of words with their similarity, where they are known.

    Raises:
        ValueError: an option is out of its range, the corpus has another number of words, or no two words are near.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        vocabulary_size: int | None = None,
        corpus: Corpus | None = None,
        window: int = 10,
        symmetric: bool = True,
        val_size: int | float = 0.05,
        test_size: int | float = 0.05,
        batch_size: int = 1024,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.corpus = Corpus() if corpus is None else corpus
        self.window, self.symmetric = window, symmetric
        self.vocabulary, self.counts = self.corpus.vocabulary, self.corpus.counts
        self.questions, self.similarities = self.corpus.questions, self.corpus.similarities
        if vocabulary_size not in (None, len(self.vocabulary)):
            raise ValueError(f"expected vocabulary_size {len(self.vocabulary)}, got {vocabulary_size}")
        self._held_out = {"val_size": val_size, "test_size": test_size}
        super().__init__(shape, (3,), AsStored(None), batch_size, seed, loading)

    @property
    def vocabulary_size(self) -> int:
        """The number V of known words."""
        return len(self.vocabulary)

    @cached_property
    def matrix(self) -> Any:
        """The matrix X (V, V), float32, as a sparse array of scipy."""
        tokens = self.corpus.tokens("train")
        return count_cooccurrences(tokens, self.vocabulary_size, self.window, self.symmetric)

    def build(self, split: Split) -> BatchDataset:
        """Return the entries of a split."""
        return self.subset(self._source, self._rows[split], split)

    @cached_property
    def _source(self) -> TensorSource:
        entries = self.matrix.tocoo()
        x = np.stack([entries.row.astype(np.float32), entries.col.astype(np.float32), entries.data], 1)
        return TensorSource(x=torch.from_numpy(x))

    @cached_property
    def _rows(self) -> dict[str, Tensor]:
        return random_split(self.matrix.nnz, self._held_out, self.split_seed)


def count_cooccurrences(
    tokens: NDArray[np.integer[Any]], items: int, window: int = 10, symmetric: bool = True, piece: int = PIECE
) -> Any:
    """Return the matrix X (V, V), float32, as a sparse array of scipy, csr.

    Sums are taken in double precision within a piece, and so is the sum of pieces.

    Args:
        tokens: numbers of words from 0, those of one document after another, -1 after each; it may be mapped.
        items: their number V.
        window: greatest distance of two words.
        symmetric: whether words on both sides count, so that X is symmetric; else X_ij counts j after i.
        piece: words at a time.

    Raises:
        ValueError: the window or a piece is not positive, or no two words are near each other.

    """
    if window < 1 or piece < 1:
        raise ValueError(f"expected a window and pieces of at least 1 word, got {window} and {piece}")
    parts = list[Any]()
    for first in range(0, len(tokens), piece):
        parts.append(_counted(np.asarray(tokens[first : first + piece + window], dtype=np.int64), items, window, piece))
        while len(parts) > 1 and parts[-1].nnz >= parts[-2].nnz / 2:
            parts[-2:] = [parts[-2] + parts[-1]]
    total = csr_array((items, items), dtype=np.float64)
    while parts:
        total = total + parts.pop()
    if not total.nnz:
        raise ValueError("expected documents of two known words or more, got none")
    return (total + total.T if symmetric else total).astype(np.float32).tocsr()


def _counted(tokens: NDArray[np.int64], items: int, window: int, heads: int) -> Any:
    """Return the counts of the words that come after the first ones of a piece."""
    document = np.cumsum(tokens == END)
    rows, columns, weights = list[Any](), list[Any](), list[Any]()
    for distance in range(1, min(window, len(tokens) - 1) + 1):
        here, there = slice(0, min(heads, len(tokens) - distance)), slice(distance, heads + distance)
        a, b = tokens[here], tokens[there]
        near = (a != END) & (b != END) & (document[here] == document[there])
        rows.append(a[near].astype(np.int32))
        columns.append(b[near].astype(np.int32))
        weights.append(np.full(int(near.sum()), 1 / distance))
    if not rows:
        return csr_array((items, items), dtype=np.float64)
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return coo_array(entries, shape=(items, items)).tocsr()
