"""Metrics of topics against gensim, against enumeration and against words that are known."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from lsgen.data import KnownTopics
from lsgen.metrics.topics import (
    CompletionPerplexity,
    TopicCoherence,
    match_topics,
    top_words,
    topic_diversity,
    topic_exclusivity,
    topic_stability,
)
from lsgen.metrics.topics.completion import halves
from lsgen.models.topics import LDA

DATA = KnownTopics(words=30, topics=3, alpha=0.3, eta=0.3, length=15, sizes=(120, 10, 60))


def _counts(split: str) -> Tensor:
    part = DATA.dataset(split)
    return part[torch.arange(len(part))]["x"]


def test_coherence_is_that_of_gensim() -> None:
    models = pytest.importorskip("gensim.models.coherencemodel")
    from gensim.corpora import Dictionary

    x, lists = _counts("train"), top_words(torch.cat([DATA.topics, DATA.topics.flip(0).roll(3, 1)]), 6)
    lists = torch.cat([lists, torch.tensor([[0, 7, 3, 21, 12, 9]])])
    words = DATA.vocabulary
    texts = [[words[v] for v in row.nonzero()[:, 0].tolist() for _ in range(int(row[v]))] for row in x]
    dictionary = Dictionary([list(words)])
    metric = TopicCoherence(lists)
    for batch in x.split(50):
        metric.update(batch)
    found = metric.compute()
    for ours, theirs in (("npmi", "c_npmi"), ("c_v", "c_v"), ("u_mass", "u_mass")):
        model = models.CoherenceModel(
            topics=[[words[v] for v in row] for row in lists.tolist()], texts=texts, dictionary=dictionary,
            corpus=[dictionary.doc2bow(text) for text in texts], coherence=theirs, window_size=10_000, processes=1,
        )  # fmt: skip
        np.testing.assert_allclose(found[ours].numpy(), model.get_coherence_per_topic(), rtol=1e-9, atol=1e-12)


def test_coherence_of_words_that_never_meet_or_never_occur() -> None:
    metric = TopicCoherence(torch.tensor([[0, 1], [0, 2], [3, 4]]))
    metric.update(torch.tensor([[1.0, 0, 0, 2, 2], [0, 1, 0, 3, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]))
    found = metric.compute()
    assert found["npmi"][0] == pytest.approx(np.log(1e-12 * 16) / -np.log(1e-12))
    assert found["npmi"][1] == -1
    assert found["npmi"][2] == pytest.approx(1)
    assert found["u_mass"][1] == pytest.approx(np.log(1e-12 / 0.25))
    with pytest.raises(ValueError, match="expected documents of a reference corpus, got none"):
        TopicCoherence(torch.tensor([[0, 1]])).compute()
    with pytest.raises(ValueError, match=r"expected lists of at least 2 words of each topic \(K, n\), got \(2, 1\)"):
        TopicCoherence(torch.tensor([[0], [1]]))
    with pytest.raises(ValueError, match="expected different words in the list of a topic, got one twice"):
        TopicCoherence(torch.tensor([[1, 1]]))
    with pytest.raises(ValueError, match="expected counts of more than 7 words, got 3"):
        TopicCoherence(torch.tensor([[0, 7]])).update(torch.ones(2, 3))


def test_words_that_topics_share_and_have_for_themselves() -> None:
    topics = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.5, 0.0, 0.2, 0.3]])
    assert top_words(topics, 2).tolist() == [[0, 1], [0, 3]]
    assert topic_diversity(topics, 2) == 3 / 4
    assert topic_diversity(topics, 9) == 4 / 8
    assert topic_exclusivity(topics, 2).tolist() == [0.75, 0.75]
    with pytest.raises(ValueError, match=r"expected topics \(K, V\) and n of at least 1, got \(2, 4\) and 0"):
        top_words(topics, 0)


@pytest.mark.parametrize("by", ["words", "weights"])
def test_topics_are_matched_as_by_trying_all_orders(by: str) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(4, 12, generator=generator) for _ in range(2))
    found = match_topics(one, other, by, 5)  # type: ignore[arg-type]

    def likeness(a: int, b: int) -> float:
        if by == "weights":
            return float(one[a] @ other[b] / one[a].norm() / other[b].norm())
        first, second = (set(t.argsort(descending=True)[:5].tolist()) for t in (one[a], other[b]))
        return len(first & second) / len(first | second)

    best = max(sum(likeness(k, order[k]) for k in range(4)) for order in permutations(range(4)))
    assert found.likeness.sum().item() == pytest.approx(best, abs=1e-6)
    assert sorted(found.order.tolist()) == [0, 1, 2, 3]
    again = match_topics(one, one.flip(0), by)  # type: ignore[arg-type]
    assert again.order.tolist() == [3, 2, 1, 0]
    torch.testing.assert_close(again.likeness, torch.ones(4).double())
    torch.testing.assert_close(topic_stability([one, one.flip(0), one], by), torch.ones(3).double())  # type: ignore[arg-type]
    for build, sentence in (
        (lambda: topic_stability([one]), "expected the topics of 2 fits or more, got 1"),
        (lambda: match_topics(one, one[:2]), r"expected topics \(K, V\) of one shape, got \(4, 12\) and \(2, 12\)"),
        (lambda: match_topics(one, one, "rank"), 'expected topics to be matched by "words" or "weights", got'),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=sentence):
            build()


def test_halves_are_fair_and_do_not_depend_on_the_batch() -> None:
    x = torch.poisson(torch.full((400, 30), 2.0), generator=torch.Generator().manual_seed(0))
    known = halves(x)
    assert bool(((known >= 0) & (known <= x) & (known.frac() == 0)).all())
    z = (known - x / 2) / (x / 4).sqrt().clamp(min=0.1)
    assert abs(z[x > 0].mean()) < 5 / (x > 0).sum() ** 0.5
    assert abs(z[x > 0].var() - 1) < 0.05
    assert torch.equal(torch.cat([halves(row[None]) for row in x[:9]]), known[:9])
    assert torch.equal(halves(x.flip(0)).flip(0), known)
    assert not torch.equal(halves(x, seed=1), known)


def test_perplexity_is_that_of_the_unseen_half_and_known_topics_have_the_least() -> None:
    x = _counts("test")
    truth, flat = LDA((30,), 3, alpha=0.3), LDA((30,), 3, alpha=0.3)
    truth.latent_space.decoder.weights.copy_(1e5 * DATA.topics)
    found = []
    for model in (truth, flat):
        metric = CompletionPerplexity()
        for batch in x.split(25):
            metric.update(model.latent_space, batch)
        found.append(metric.compute().item())
    known = halves(x)
    theta = truth.latent_space.encode(known).mean
    log_p = (theta @ truth.topics).log()
    expected = (-((x - known) * log_p).sum() / (x - known).sum()).exp().item()
    assert found[0] == pytest.approx(expected, rel=1e-5)
    assert found[1] == pytest.approx(30, rel=1e-5)  # equal weights: one of 30 words
    assert found[0] < 20
    empty = CompletionPerplexity()
    empty.update(truth.latent_space, torch.zeros(2, 30))
    assert empty.compute().isnan()
