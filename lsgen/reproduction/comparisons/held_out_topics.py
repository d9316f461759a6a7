"""How well topics predict the rest of held-out documents, by their number: LDA, PLSA and a mixture of unigrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.data import DataModule, Split
from lsgen.metrics.topics.completion import halves
from lsgen.models.topics import LDA, NMF
from lsgen.models.topics.decoders import normalised
from lsgen.models.topics.folding import FoldIn
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["HeldOutTopics", "documents_of", "fitted_plsa"]


@dataclass(frozen=True)
class HeldOutTopics:
    """Measures -log p of the words of the second half of each test document given the first, in nats per word.

    Keys: METHOD_K for lda, plsa and unigrams (a mixture of unigrams) with K topics, the mean over documents, whose
    arrays are (seeds, documents); METHOD_K_perplexity, exp of the mean over words; plsa_K_train, the same of the
    second halves of training documents, folded in likewise; unigram, the distribution of all training words. Topics of
    PLSA, of the mixture and of the unigram get the same pseudo-count as those of LDA have in their prior, so that no
    word is impossible.

    Attributes:
        data: counts of words.
        topics: numbers K.
        pseudo_count: of each word in each topic.
        learning: whether LDA is fitted in batches or online.
        iterations: passes of LDA and of the mixture of unigrams over the training documents.
        updates: updates of PLSA.
        folding: updates of the mixture of a document that is folded in by PLSA.
        seeds: how often each is fitted.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.
        ValueError: a number is not positive.

    Reference: Blei, Ng & Jordan, "Latent Dirichlet allocation" (2003), section 7.1.
    """

    data: DataModule
    topics: Sequence[int] = (5, 10, 20, 50, 100)
    pseudo_count: float = 0.05
    learning: Literal["batch", "online"] = "batch"
    iterations: int = 50
    updates: int = 200
    folding: int = 100
    seeds: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataModule):
            raise TypeError(f"HeldOutTopics expected a lsgen.data.DataModule, got {type(self.data).__name__}")
        if not self.topics or min(*self.topics, self.iterations, self.updates, self.folding, self.seeds) < 1:
            raise ValueError(f"HeldOutTopics expected topics and numbers of 1 or more, got {self}")
        if not self.pseudo_count > 0:
            raise ValueError(f"HeldOutTopics expected a pseudo_count above 0, got {self.pseudo_count}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return nats per word and perplexities; no run is looked at."""
        train, test = documents_of(self.data, "train"), _halved(documents_of(self.data, "test"))
        few = _halved(train[: len(test.rest)])
        values, arrays = dict[str, float](), dict[str, Any]()
        found = {"unigram": [_score(_unigram(train, self.pseudo_count), test.rest)]}
        for k in self.topics:
            for seed in range(self.seeds):
                for key, log_p, rest in self._fitted(k, seed, train, test, few):
                    found.setdefault(key, []).append(_score(log_p, rest))
        for key, scores in found.items():
            arrays[key] = torch.stack([nats for nats, _ in scores])
            values[key] = float(arrays[key].mean())
            values[f"{key}_perplexity"] = sum(perplexity for _, perplexity in scores) / len(scores)
        return Measured(values, arrays)

    def _fitted(
        self, k: int, seed: int, train: Tensor, test: _Halves, few: _Halves
    ) -> list[tuple[str, Tensor, Tensor]]:
        """Return the key of each method, its predictions log p (N, V) and the second halves that they are of."""
        shape = (train.shape[1],)
        lda = LDA(shape, k, eta=self.pseudo_count, learning=self.learning, iterations=self.iterations, seed=seed)
        lda.fit(train)
        plsa = fitted_plsa(train, k, self.updates, self.folding, seed)
        weights = plsa.latent_space.decoder.get_parameter("weights")
        weights.copy_(_expected_counts(plsa.latent_space.encode(train).mean, plsa.topics, train) + self.pseudo_count)
        unigrams = _Mixture(train, k, self.pseudo_count, self.iterations, seed)
        return [
            (f"lda_{k}", _predicted(lda, test.known), test.rest),
            (f"plsa_{k}", _predicted(plsa, test.known), test.rest),
            (f"plsa_{k}_train", _predicted(plsa, few.known), few.rest),
            (f"unigrams_{k}", unigrams.predicted(test.known), test.rest),
        ]


class _Halves(NamedTuple):
    """Counts of the words of the first halves of documents, and of the second, (N, V)."""

    known: Tensor
    rest: Tensor


def documents_of(data: DataModule, split: Split) -> Tensor:
    """Return the counts of words of all documents of a split, (N, V)."""
    part = data.dataset(split)
    return part[torch.arange(len(part))]["x"]


def fitted_plsa(documents: Tensor, k: int, updates: int, folding: int, seed: int) -> NMF:
    """Return PLSA with k topics, fitted to documents (N, V); others are folded in by some updates."""
    plsa = NMF((documents.shape[1],), k, "kullback-leibler", iterations=updates, tol=0.0, seed=seed)
    encoder = plsa.latent_space.encoder
    assert isinstance(encoder, FoldIn)
    encoder.iterations = folding
    plsa.fit(documents)
    return plsa


def _halved(documents: Tensor) -> _Halves:
    """Return the halves of the documents whose second one has a word."""
    known = halves(documents)
    rest = documents - known
    kept = rest.sum(1) > 0
    return _Halves(known[kept], rest[kept])


def _score(log_p: Tensor, rest: Tensor) -> tuple[Tensor, float]:
    """Return the nats per word of each document's second half, and the perplexity of all of them."""
    nats = -(rest * log_p).sum(1, dtype=torch.float64)
    return nats / rest.sum(1), float((nats.sum() / rest.sum()).exp())


def _predicted(model: LDA | NMF, known: Tensor) -> Tensor:
    with torch.no_grad():
        return model.latent_space.raw(model.latent_space.encode(known).mean).log_softmax(-1)


def _expected_counts(theta: Tensor, topics: Tensor, documents: Tensor) -> Tensor:
    """Return how often each topic has given each word, (K, V), by the responsibilities of expectation maximisation."""
    p = (theta @ topics).clamp(min=torch.finfo(theta.dtype).tiny)
    return topics * (theta.T @ (documents / p))


def _unigram(documents: Tensor, pseudo_count: float) -> Tensor:
    counts = documents.sum(0) + pseudo_count
    return (counts / counts.sum()).log()


class _Mixture:
    """A mixture of unigrams: each document has one topic; by expectation maximisation from random responsibilities."""

    def __init__(self, documents: Tensor, k: int, pseudo_count: float, iterations: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        share = torch.softmax(torch.randn(len(documents), k, generator=generator), -1)
        for _ in range(iterations):
            self.weights = ((share.sum(0) + 1) / (len(documents) + k)).log()
            self.log_topics = normalised(share.T @ documents + pseudo_count).log()
            share = self._shares(documents)

    def _shares(self, documents: Tensor) -> Tensor:
        return torch.softmax(documents @ self.log_topics.T + self.weights, -1)

    def predicted(self, known: Tensor) -> Tensor:
        """Return log p (N, V) of a further word given the first halves."""
        return (self._shares(known) @ self.log_topics.exp()).log()
