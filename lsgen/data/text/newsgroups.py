"""20 Newsgroups as counts of words, in the splits of its authors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.data.batches import BatchDataset
from lsgen.data.encodings import AsStored
from lsgen.data.files import data_root, reading, require
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.sparse import SparseCounts
from lsgen.data.text.count_files import checked_counts

__all__ = ["TwentyNewsgroups"]

_PARTS: dict[Split, str] = {"train": "tr", "val": "va", "test": "ts"}


class TwentyNewsgroups(DataModule):
    """20 Newsgroups as counts of 3,072 words: 11,214 documents for training, 100 and 7,531 held out; no labels.

    The file is 20ng/bow.npz below the root, with indptr, indices and counts of sparse rows for each split (tr_indptr,
    ..., ts_counts) and the words, vocab. It is the bag of words that the embedded topic model's authors made: no stop
    words, no words in more than 70 % or fewer than 100 of the documents.

    Args:
        shape: (words,); None for as many as the file has.
        root: directory of data sets.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        vocabulary: the words, in the order of x.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged, or see `checked_counts`.

    Reference: Dieng, Ruiz & Blei, "Topic modeling in embedding spaces" (2020), https://arxiv.org/abs/1907.04907.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        root: str = "data",
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self._file = data_root(root) / "20ng" / "bow.npz"
        require("20 Newsgroups", [self._file], "make it from the arrays of github.com/adjidieng/ETM, data/20ng")
        with reading("20 Newsgroups", self._file), np.load(self._file) as arrays:
            self.vocabulary: tuple[str, ...] = tuple(arrays["vocab"].tolist())
        super().__init__(shape, (len(self.vocabulary),), AsStored(None), batch_size, seed, loading)

    def build(self, split: Split) -> BatchDataset:
        """Return the documents of a split."""
        source = self._sources[split]
        return self.subset(source, torch.arange(len(source), dtype=torch.int32), split, part=list(_PARTS).index(split))

    @cached_property
    def _sources(self) -> dict[Split, SparseCounts]:
        with reading("20 Newsgroups", self._file), np.load(self._file) as arrays:
            parts = {split: _rows(arrays, name, len(self.vocabulary)) for split, name in _PARTS.items()}
        words, where = list(self.vocabulary), str(self._file)
        return {split: SparseCounts(checked_counts(part, words, where)[0]) for split, part in parts.items()}


def _rows(arrays: Any, name: str, words: int) -> Any:
    from scipy import sparse

    parts: list[NDArray[Any]] = [arrays[f"{name}_{part}"] for part in ("counts", "indices", "indptr")]
    return sparse.csr_matrix(tuple(parts), shape=(len(parts[2]) - 1, words))
