"""How PLSA explains new documents by the mixtures of those that it was fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from lsgen.data import DataModule
from lsgen.reproduction.comparisons.held_out_topics import documents_of, fitted_plsa
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["MarginalTopics"]

SMALLEST = 1e-12  # probability of a word that no topic of a document gives


@dataclass(frozen=True)
class MarginalTopics:
    """Measures -log p(x) of test documents in nats per word; p(x) is the mean over the mixtures of training documents.

    No pseudo-count is added to topics. Keys: plsa_K, the mean over documents, whose arrays are (seeds, documents).

    Attributes:
        data: counts of words.
        topics: numbers K.
        updates: updates of PLSA.
        folding: updates of the mixture of a training document.
        seeds: how often each is fitted.

    Raises:
        TypeError: the data are no `lsgen.data.DataModule`.
        ValueError: a number is not positive.

    Reference: Blei, Ng & Jordan, "Latent Dirichlet allocation" (2003), section 7.1 and table 1.
    """

    data: DataModule
    topics: Sequence[int] = (5, 20, 50, 100)
    updates: int = 200
    folding: int = 100
    seeds: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.data, DataModule):
            raise TypeError(f"MarginalTopics expected a lsgen.data.DataModule, got {type(self.data).__name__}")
        if not self.topics or min(*self.topics, self.updates, self.folding, self.seeds) < 1:
            raise ValueError(f"MarginalTopics expected topics and numbers of 1 or more, got {self}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return nats per word; no run is looked at."""
        train, test = documents_of(self.data, "train"), documents_of(self.data, "test")
        found = {
            f"plsa_{k}": torch.stack([self._nats(k, seed, train, test) for seed in range(self.seeds)])
            for k in self.topics
        }
        return Measured({key: float(nats.mean()) for key, nats in found.items()}, found)

    @torch.no_grad()
    def _nats(self, k: int, seed: int, train: Tensor, test: Tensor) -> Tensor:
        model = fitted_plsa(train, k, self.updates, self.folding, seed)
        theta = model.latent_space.encode(train).mean
        log_p = (theta @ model.topics).clamp(min=SMALLEST).log()
        each = (test @ log_p.T).double()
        return (log(len(train)) - each.logsumexp(1)) / test.sum(1)
