"""Documents as the words that tell them apart, on a page that cannot show them otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lsgen.callbacks.analysis.collection import Collected

__all__ = ["telling_words", "word_weights"]

SHOWN = 8


def word_weights(collected: Collected) -> dict[str, float]:
    """Return how much each word tells of a document that has it.

    It is log((1 + N) / (1 + documents with it)) of N documents, and empty where observations are no counts of words.
    """
    x, words = collected.observations, collected.vocabulary
    if x is None or x.ndim != 2 or len(words) != x.shape[1]:
        return {}
    documents = (x > 0).sum(0).double()
    weights = ((1 + len(x)) / (1 + documents)).log()
    return dict(zip(words, weights.tolist(), strict=True))


def telling_words(collected: Collected, weights: Mapping[str, float]) -> dict[str, list[str]]:
    """Return a column of up to 8 words of each document, those with the greatest count times weight first.

    There is none where no word has a weight.
    """
    if not weights or collected.observations is None:
        return {}
    names, weight = np.array(list(weights), dtype=object), np.array(list(weights.values()))
    found = []
    for counts in collected.observations.double().numpy():
        order = np.argsort(-counts * weight, kind="stable")[:SHOWN]
        found.append(" ".join(names[[i for i in order if counts[i] > 0]]))
    return {"words": found}
