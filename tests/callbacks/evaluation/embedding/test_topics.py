"""The quality of topics: it fires when it is due, with the values of the metrics and the words of the data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn

from lsgen.callbacks import TopicQuality, problems_of
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import KnownTopics
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import Multinomial
from lsgen.metrics.topics import CompletionPerplexity, TopicCoherence, top_words, topic_diversity
from lsgen.models import VAE
from lsgen.models.topics import LDA, LogisticNormalPosterior, LogisticNormalPrior, SoftmaxTopics, TopicEncoder
from lsgen.models.vae import ELBO

DATA = KnownTopics(words=30, topics=3, sizes=(60, 20, 20), batch_size=20)


def _trained(
    tmp_path: Path, model: VAE | LDA, callback: TopicQuality, data: KnownTopics = DATA, epochs: int = 1
) -> Trainer:
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=epochs, logger=False, callbacks=[callback],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    assert not problems_of(trainer)
    return trainer


def test_values_are_those_of_the_metrics_and_words_those_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[list[object]] = []
    values: dict[str, float] = {}
    monkeypatch.setattr(Sink, "table", lambda self, key, columns, found: rows.extend(found))
    scalars = Sink.scalars
    monkeypatch.setattr(Sink, "scalars", lambda self, found: (values.update(found), scalars(self, found))[1])
    model = LDA((30,), 3, iterations=5)
    _trained(tmp_path, model, TopicQuality(words=4, reference="test"))
    metric = TopicCoherence(top_words(model.topics, 4))
    metric.update(DATA.dataset("test")[torch.arange(20)]["x"])
    assert values["topics/npmi"] == pytest.approx(float(metric.compute()["npmi"].mean()))
    assert values["topics/diversity"] == topic_diversity(model.topics)
    perplexity = CompletionPerplexity()
    perplexity.update(model.latent_space, DATA.dataset("val")[torch.arange(20)]["x"])
    assert values["topics/perplexity"] == pytest.approx(float(perplexity.compute()))
    best = [DATA.vocabulary[word] for word in top_words(model.topics, 4)[1].tolist()]
    assert rows[1][:2] == [1, " ".join(best)]
    (saved,) = (tmp_path / "figures" / "topics" / "topics").glob("*.npz")
    np.testing.assert_allclose(np.load(saved)["topics"], model.topics.numpy())
    for kind in ("top_words/*.png", "traversal/*.png", "words/*.csv"):
        assert len(list((tmp_path / "figures" / "topics").glob(kind))) == 1


def test_it_fires_when_it_is_due(tmp_path: Path) -> None:
    encoder, decoder = TopicEncoder((30,), 3, (8,)), SoftmaxTopics(3, (30,))
    prior, posterior = LogisticNormalPrior(3), LogisticNormalPosterior(3)
    model = VAE(encoder, decoder, Multinomial((30,)), prior, ELBO(), posterior)
    _trained(tmp_path, model, TopicQuality(every_n_steps=2), epochs=2)
    pictures = sorted((tmp_path / "figures" / "topics" / "top_words").glob("*.png"))
    assert [int(one.stem) for one in pictures] == [2, 4, 6]


def test_a_vocabulary_of_one_word_has_no_coherence(tmp_path: Path) -> None:
    data = KnownTopics(words=1, topics=2, sizes=(10, 5, 5), batch_size=5)
    _trained(tmp_path, LDA((1,), 2, iterations=1), TopicQuality(), data)


def test_models_without_topics_and_options_out_of_range_are_refused() -> None:
    space = EncodableLatentSpace(nn.Linear(4, 4), nn.Linear(2, 4), Multinomial((4,)), StandardNormal(2))
    other = LDA((3,), 2)
    other.latent_space = space
    with pytest.raises(
        TypeError, match="expected a TopicDecoder and a Multinomial likelihood, got Linear and Multinomial"
    ):
        TopicQuality().check(other)
    with pytest.raises(ValueError, match="TopicQuality expected words of at least 2, got 1"):
        TopicQuality(words=1)
    with pytest.raises(ValueError, match="TopicQuality expected documents of at least 1, got 0"):
        TopicQuality(documents=0)
    with pytest.raises(ValueError, match="expected reference to be train, val or test, got 'all'"):
        TopicQuality(reference="all")  # type: ignore[arg-type]
