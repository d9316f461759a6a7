"""Counts of words near each other against loops over every pair of places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lsgen.data import Cooccurrences, Corpus, Grammar
from lsgen.data.text.cooccurrences import count_cooccurrences


def _looped(tokens: np.ndarray, items: int, window: int, symmetric: bool) -> np.ndarray:
    counts = np.zeros((items, items))
    document: list[int] = []
    for token in [*tokens.tolist(), -1]:
        if token >= 0:
            document.append(token)
            continue
        for i, a in enumerate(document):
            for distance in range(1, window + 1):
                if i + distance < len(document):
                    b = document[i + distance]
                    counts[a, b] += 1 / distance
                    if symmetric:
                        counts[b, a] += 1 / distance
        document = []
    return counts


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("window", "piece"), [(1, 7), (3, 1), (10, 16), (10, 10_000), (200, 50)])
def test_counts_are_those_of_all_pairs_of_places(window: int, piece: int, symmetric: bool) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(-1, 6, 120)  # documents of all lengths, some empty
    found = count_cooccurrences(tokens, 7, window, symmetric, piece)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), _looped(tokens, 7, window, symmetric), rtol=1e-6)


def test_entries_are_split_and_the_rest_is_that_of_the_corpus() -> None:
    corpus = Corpus(example=Grammar(300), tokens={"least": 1})
    data = Cooccurrences(corpus=corpus, window=4, batch_size=64)
    assert (data.vocabulary, data.questions) == (corpus.vocabulary, corpus.questions)
    assert torch.equal(data.counts, corpus.counts)
    expected = _looped(np.asarray(corpus.tokens("train")), data.vocabulary_size, 4, True)
    splits = [data.dataset(split) for split in ("train", "val", "test")]
    x = torch.cat([split[torch.arange(len(split))]["x"] for split in splits]).numpy()
    found = np.zeros_like(expected)
    found[x[:, 0].astype(int), x[:, 1].astype(int)] = x[:, 2]
    assert len(x) == (expected > 0).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [len(split) for split in splits[1:]] == [round(0.05 * len(x))] * 2


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="expected documents of two known words or more, got none"):
        count_cooccurrences(np.array([1, -1, 2, -1]), 3)
    with pytest.raises(ValueError, match="expected a window and pieces of at least 1 word, got 0"):
        count_cooccurrences(np.array([1, 2]), 3, 0)
    with pytest.raises(ValueError, match=r"expected vocabulary_size \d+, got 3"):
        Cooccurrences(vocabulary_size=3)
