"""Documents that are drawn from known topics: the generative model of latent Dirichlet allocation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset
from lsgen.data.draws import Purpose, key
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.sparse import SparseCounts

__all__ = ["KnownTopics"]


class KnownTopics(DataModule):
    r"""Counts of words of documents from known topics, (words,); the label is the topic that a document has most of.

        beta_k ~ Dirichlet(eta),    theta_d ~ Dirichlet(alpha),    n_d - 1 ~ Poisson(length - 1),
        x_d ~ Multinomial(n_d, sum_k theta_dk beta_k)

    All of it is drawn with `loading.split_seed`. A word is called t3_07 where it is that of rank 7 among the words
    that are more probable in topic 3 than in any other.

    Args:
        shape: (words,); None for that.
        words: number V of words.
        topics: number K of topics.
        alpha: concentration of a document's weights of topics.
        eta: concentration of a topic's weights of words.
        length: words of a document on average.
        sizes: documents of the training, the validation and the test split.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of all that is drawn.

    Attributes:
        vocabulary: the words, in the order of x.
        classes: names of the topics.

    Raises:
        ValueError: a number is too small, or there are not three sizes.

    Reference: Blei, Ng & Jordan, "Latent Dirichlet allocation" (2003), section 3.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        words: int = 200,
        topics: int = 5,
        alpha: float = 0.1,
        eta: float = 0.05,
        length: float = 60.0,
        sizes: Sequence[int] = (1000, 200, 200),
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if words < 1 or topics < 1 or not min(alpha, eta) > 0 or not length >= 1:
            raise ValueError(
                "expected a word, a topic, concentrations above 0 and a length of at least 1, got "
                f"words={words}, topics={topics}, alpha={alpha}, eta={eta} and length={length}"
            )
        if len(sizes) != 3 or min(sizes) < 0 or sizes[0] < 1:
            raise ValueError(f"expected sizes of a training, a validation and a test split, got {list(sizes)}")
        self._alpha, self._eta, self._length, self._sizes = alpha, eta, length, tuple(sizes)
        self._count = (words, topics)
        self.classes = tuple(f"topic {k}" for k in range(topics))
        super().__init__(shape, (words,), AsStored(None), batch_size, seed, loading)

    @property
    def topics(self) -> Tensor:
        """The weights of words of each topic, beta (K, V), in double precision."""
        return torch.from_numpy(self._drawn[0])

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, in the order of x."""
        beta = self._drawn[0]
        owner, names = beta.argmax(0), [""] * beta.shape[1]
        for topic in range(len(beta)):
            own = np.flatnonzero(owner == topic)
            for rank, word in enumerate(own[np.argsort(-beta[topic, own], kind="stable")]):
                names[word] = f"t{topic}_{rank:02d}"
        return tuple(names)

    def mixtures(self, split: Split) -> Tensor:
        """Return the weights of topics of the documents of a split, theta (N, K), in double precision."""
        return torch.from_numpy(self._drawn[1])[self._rows(split).long()]

    def build(self, split: Split) -> BatchDataset:
        """Return the documents of a split."""
        return self.subset(self._source, self._rows(split), split)

    def _rows(self, split: Split) -> Tensor:
        part = ("train", "val", "test").index(split)
        first = sum(self._sizes[:part])
        return torch.arange(first, first + self._sizes[part], dtype=torch.int32)

    @cached_property
    def _drawn(self) -> tuple[Any, Any, Any]:
        """Topics (K, V), weights of topics (N, K) and counts (N, V)."""
        from scipy import sparse

        words, topics = self._count
        draws = np.random.default_rng(key(self.split_seed, Purpose.SYNTHESIS))
        beta = draws.dirichlet(np.full(words, self._eta), size=topics)
        theta = draws.dirichlet(np.full(topics, self._alpha), size=sum(self._sizes))
        lengths = 1 + draws.poisson(self._length - 1, size=len(theta))
        weights = theta @ beta
        weights /= weights.sum(1, keepdims=True)
        rows = [sparse.csr_matrix(draws.multinomial(n, p)[None]) for n, p in zip(lengths, weights, strict=True)]
        return beta, theta, sparse.vstack(rows, format="csr")

    @cached_property
    def _source(self) -> SparseCounts:
        _, theta, counts = self._drawn
        return SparseCounts(counts, label=torch.from_numpy(theta.argmax(1)))
