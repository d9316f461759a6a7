"""Documents from known topics have the moments of the generative model."""

import pytest
import torch

from lsgen.data import KnownTopics, Loading


def _all(data, split="train"):
    part = data.dataset(split)
    return part[torch.arange(len(part))]


def test_counts_are_those_of_the_mixtures():
    data = KnownTopics(words=12, topics=3, alpha=0.5, eta=0.5, length=40.0, sizes=(4000, 50, 60))
    batch, theta = _all(data), data.mixtures("train")
    x, lengths = batch["x"].double(), batch["x"].double().sum(1)
    torch.testing.assert_close(data.topics.sum(1), torch.ones(3).double())
    torch.testing.assert_close(theta.sum(1), torch.ones(len(x)).double())
    p = theta @ data.topics
    z = (x - lengths[:, None] * p) / (lengths[:, None] * p * (1 - p)).sqrt()
    assert z.mean(0).abs().max() < 5 / len(x) ** 0.5
    assert (z.var(0) - 1).abs().max() < 0.2
    assert abs(lengths.mean() - 40) < 5 * (39 / len(x)) ** 0.5
    assert lengths.min() >= 1
    assert torch.equal(batch["label"], theta.argmax(1))
    assert (theta.mean(0) - 1 / 3).abs().max() < 5 * (2 / 9 / 2.5 / len(x)) ** 0.5  # variance of Dirichlet(1/2)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [4000, 50, 60]


def test_words_are_named_after_the_topic_that_has_most_of_them():
    data = KnownTopics(words=30, topics=4)
    assert len(set(data.vocabulary)) == 30
    for word, weights in zip(data.vocabulary, data.topics.T, strict=True):
        assert word.startswith(f"t{int(weights.argmax())}_")
    first = data.vocabulary.index("t2_00")
    assert data.topics[2, first] == data.topics[2][data.topics.argmax(0) == 2].max()


def test_the_seed_of_the_splits_draws_all_and_that_of_the_order_nothing():
    one, same, other = KnownTopics(seed=1), KnownTopics(seed=2), KnownTopics(loading=Loading(split_seed=3))
    assert torch.equal(one.topics, same.topics)
    assert torch.equal(_all(one, "test")["x"], _all(same, "test")["x"])
    assert not torch.equal(one.topics, other.topics)
    assert one.mixtures("val").shape == (200, 5)


def test_one_topic_one_word_and_more_topics_than_documents():
    data = KnownTopics(words=1, topics=1, length=1.0, sizes=(2, 1, 1))
    assert _all(data)["x"].tolist() == [[1.0], [1.0]]
    assert len(KnownTopics(topics=9, sizes=(3, 1, 1)).mixtures("train")) == 3
    for options in ({"words": 0}, {"topics": 0}, {"alpha": 0.0}, {"eta": -1.0}, {"length": 0.5}):
        with pytest.raises(ValueError, match="expected a word, a topic, concentrations above 0 and a length of"):
            KnownTopics(**options)
    with pytest.raises(ValueError, match=r"expected sizes of a training, .*, got \[0, 1, 1\]"):
        KnownTopics(sizes=(0, 1, 1))
