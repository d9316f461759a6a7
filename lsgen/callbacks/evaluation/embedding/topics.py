"""Coherence, diversity and predictions of topics while they are learned, with their top words."""

from __future__ import annotations

from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule, Split
from lsgen.latent import EncodableLatentSpace, LatentSpace, Simplex
from lsgen.likelihoods import Multinomial
from lsgen.metrics.topics import CompletionPerplexity, TopicCoherence, top_words, topic_diversity, topic_exclusivity
from lsgen.models.topics import TopicDecoder

__all__ = ["TopicQuality"]

CHUNK, SHOWN = 500, 50
WEIGHTS, PATHS, NAMED = (0.0, 0.25, 0.5, 0.75, 1.0), 12, 4  # of a traversal: weights, topics, words of a place


class TopicQuality(PeriodicCallback):
    """Measures the topics of a model and shows their top words.

    Coherence is over the documents of a split of the data, each of which is one window; diversity over 25 words of each
    topic. Words are called by their numbers where the data have no vocabulary. A traversal leads from the average
    mixture of validation documents towards each topic, and names the most probable words on the way.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        words: top words of a topic; all where the vocabulary has fewer.
        reference: split of the data that is the reference corpus: "train", "val" or "test".
        documents: validation documents of the perplexity, all where there are fewer.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: words is below 2, or another number not positive; when training starts, a split is empty.
        TypeError: when training starts, the model has no topics of words, or the data are no `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "topics"
    judges: ClassVar[bool] = True
    needs_encoder = True
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        words: int = 10,
        reference: Split = "train",
        documents: int = 2000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(2, words=words)
        self.at_least(1, documents=documents)
        if reference not in ("train", "val", "test"):
            raise ValueError(f"TopicQuality expected reference to be train, val or test, got {reference!r}")
        self.words, self.reference, self.documents = words, reference, documents
        self._data: DataModule | None = None

    def check(self, pl_module: LightningModule) -> LatentSpace:
        """Return the latent space.

        Raises:
            TypeError: it has no topics, or no multinomial counts.

        """
        space = super().check(pl_module)
        if not isinstance(space.decoder, TopicDecoder) or not isinstance(space.likelihood, Multinomial):
            got = f"{type(space.decoder).__name__} and {type(space.likelihood).__name__}"
            raise TypeError(f"TopicQuality expected a TopicDecoder and a Multinomial likelihood, got {got}")
        return space

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module."""
        self._data = self.data_with(trainer, self.reference)
        self.data_with(trainer, "val")

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure, log and show the top words."""
        assert self._data is not None and isinstance(space, EncodableLatentSpace)  # noqa: PT018
        assert isinstance(space.decoder, TopicDecoder)
        topics = space.decoder.topics()
        lists = top_words(topics, self.words).cpu()
        diversity, exclusivity = topic_diversity(topics), topic_exclusivity(topics, self.words)
        found = {"diversity": diversity, "exclusivity": float(exclusivity.mean())}
        perplexity = self._perplexity(space)
        if bool(perplexity.isfinite()):
            found["perplexity"] = float(perplexity)
        coherence = self._coherence(lists) if lists.shape[1] > 1 else {}
        found |= {name: float(values.mean()) for name, values in coherence.items()}
        sink.scalars({f"topics/{name}": value for name, value in found.items()})
        self._show(lists, coherence, exclusivity, sink)
        if isinstance(space.manifold, Simplex):
            sink.image("topics/traversal", self._traversal(space))
        sink.arrays("topics/topics", topics=topics.cpu().numpy(), top_words=lists.numpy())

    def _coherence(self, lists: Tensor) -> dict[str, Tensor]:
        metric = TopicCoherence(lists, sync_on_compute=False)  # the other processes take no part in this turn
        for batch in self._batches(self.reference):
            metric.update(batch)
        computed: dict[str, Tensor] = metric.compute()
        return computed

    def _perplexity(self, space: EncodableLatentSpace) -> Tensor:
        metric, like = CompletionPerplexity(sync_on_compute=False), next(space.parameters())
        metric = metric.to(like.device)
        for batch in self._batches("val", self.documents):
            metric.update(space, batch.to(like))
        perplexity: Tensor = metric.compute()
        return perplexity

    def _batches(self, split: Split, most: int | None = None) -> list[Tensor]:
        assert self._data is not None
        documents = self._data.dataset(split)
        return [documents[rows]["x"] for rows in torch.arange(len(documents))[:most].split(CHUNK)]

    def _show(self, lists: Tensor, coherence: dict[str, Tensor], exclusivity: Tensor, sink: Sink) -> None:
        """Log the top words of each topic as a table, and of the first as a picture."""
        names = [self._named(row) for row in lists]
        npmi = coherence["npmi"].tolist() if coherence else [float("nan")] * len(names)
        rows = [
            [topic, " ".join(words), value, own]
            for topic, (words, value, own) in enumerate(zip(names, npmi, exclusivity.tolist(), strict=True))
        ]
        columns = ["topic", "top words", "NPMI", "exclusivity"]
        sink.rows("topics/words", columns, rows)
        shown = [[str(topic), f"{value:.3f}", words] for topic, words, value, _ in rows[:SHOWN]]
        sink.image("topics/top_words", viz.text_table(["topic", "NPMI", "top words"], shown, "Topics"))

    def _named(self, words: Tensor) -> list[str]:
        known = getattr(self._data, "vocabulary", None)
        return [str(known[word]) if known else str(word) for word in words.tolist()]

    def _traversal(self, space: EncodableLatentSpace) -> viz.Pixels:
        """Return the most probable words on the ways from the average mixture to the corners of the simplex."""
        (first, *_), like = self._batches("val", CHUNK), next(space.parameters())
        start = space.encode(first.to(like)).mean.mean(0, keepdim=True)
        axes = torch.arange(min(space.dim, PATHS), device=start.device)
        z = space.manifold.traversal(start, axes, start.new_tensor(WEIGHTS))[0]
        p = space.raw(z).flatten(2)
        words = p.topk(min(NAMED, p.shape[-1]), -1).indices
        cells = [[[viz.Card(word) for word in self._named(place)] for place in row] for row in words]
        title = "From the average mixture towards each topic: its weight, and the most probable words"
        return viz.cards(cells, [f"topic {axis}" for axis in axes.tolist()], [f"{w:.0%}" for w in WEIGHTS], title)
