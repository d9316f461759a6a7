"""Coherence, diversity and predictions of the topics of a run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.callbacks.base import undisturbed
from lsgen.data import DataModule, Split
from lsgen.metrics.topics import CompletionPerplexity, TopicCoherence, top_words, topic_diversity, topic_exclusivity
from lsgen.models.topics import TopicDecoder
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["TopicScores"]


@dataclass(frozen=True)
class TopicScores:
    """Measures the topics of a run by the documents of its data.

    Keys: `npmi`, `c_v` and `u_mass` of the top words over the documents of the reference, with the values of the
    topics, and `npmi_train` over training documents; `diversity`; `exclusivity`, with the values of the topics;
    `perplexity` of the second halves of test documents given the first.

    Attributes:
        words: top words of a topic.
        reference: the split whose documents are the reference corpus.
        documents: test documents of the perplexity, all where there are fewer.
        chunk_size: documents at a time.

    Raises:
        TypeError: the decoder of a run has no topics.

    """

    words: int = 10
    reference: Split = "test"
    documents: int = 2000
    chunk_size: int = 500

    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        space = run.encodable_space
        if not isinstance(space.decoder, TopicDecoder):
            raise TypeError(f"TopicScores expected a decoder with topics, got {type(space.decoder).__name__}")
        with undisturbed(space, 0), torch.no_grad():
            space.eval()
            topics = space.decoder.topics()
            lists = top_words(topics, self.words)
            found = self._coherence(lists, run.data, self.reference)
            train = self._coherence(lists, run.data, "train")["npmi"]
            exclusivity, perplexity = topic_exclusivity(topics, self.words), CompletionPerplexity()
            for some in run.probe(self.documents)["x"].split(self.chunk_size):
                perplexity.update(space, some)
        parts = {**found, "npmi_train": train, "exclusivity": exclusivity}
        values = {key: float(part.mean()) for key, part in parts.items()}
        values |= {"diversity": topic_diversity(topics), "perplexity": float(perplexity.compute())}
        return Measured(values, parts)

    def _coherence(self, lists: Tensor, data: DataModule, split: Split) -> dict[str, Tensor]:
        metric, documents = TopicCoherence(lists.cpu()), data.dataset(split)
        for rows in torch.arange(len(documents)).split(self.chunk_size):
            metric.update(documents[rows]["x"])
        computed: dict[str, Tensor] = metric.compute()
        return computed
