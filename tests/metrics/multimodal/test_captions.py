"""Scores of captions against BLEU written out, and against captions whose attributes are known."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, log

import pytest

from lsgen.metrics.multimodal import caption_scores


def parse(texts: Sequence[str]) -> list[Mapping[str, str] | None]:
    """Read `SIZE SHAPE`, or `SHAPE` alone."""
    found: list[Mapping[str, str] | None] = []
    for text in texts:
        words = text.split()
        fits = len(words) in (1, 2) and words[-1] in ("square", "heart")
        found.append(dict(zip(("shape", "size"), reversed(words), strict=False)) if fits else None)
    return found


def bleu(captions: list[str], true: list[str], n: int) -> float:
    shares = []
    for k in range(1, n + 1):
        grams = [
            [Counter(zip(*(t.split()[i:] for i in range(k)), strict=False)) for t in ts] for ts in (captions, true)
        ]
        hits = sum(min(c[g], r[g]) for c, r in zip(*grams, strict=True) for g in c)
        shares.append(hits / sum(sum(c.values()) for c in grams[0]))
    if min(shares) == 0:
        return 0.0
    c, r = (sum(len(t.split()) for t in ts) for ts in (captions, true))
    return exp(min(0.0, 1 - r / c) + sum(log(s) for s in shares) / n)


def test_bleu_is_that_of_the_paper() -> None:
    captions = ["a red square on the left", "a small blue heart", "the the the the"]
    true = ["a red square at the left", "a small heart at the top", "the cat is on the mat"]
    found = caption_scores(captions, true).bleu
    for n in (1, 2, 3, 4):
        assert found[f"bleu_{n}"] == pytest.approx(bleu(captions, true, n), abs=1e-6)
    assert caption_scores(true, true).bleu["bleu_4"] == pytest.approx(1)
    assert caption_scores(["x y"], ["a b"]).bleu["bleu_1"] == 0


def test_attributes_are_counted_where_they_are_stated() -> None:
    captions = ["small square", "large square", "square", "square square square", ""]
    true = ["small square", "small square", "heart", "large square", "heart"]
    found = caption_scores(captions, true, parse, known={"small square", "square"})
    assert found.attributes == {"shape": (2, 5), "size": (1, 3)}
    assert (found.exact, found.valid, found.novel, found.n) == (1, 3, 3, 5)


def test_saying_more_than_is_true_is_not_exact() -> None:
    found = caption_scores(["small square"], ["square"], parse)
    assert found.attributes == {"shape": (1, 1)}
    assert found.exact == 0


def test_without_a_grammar_words_alone_are_scored() -> None:
    found = caption_scores(["a"], ["a"])
    assert (found.exact, found.valid, found.novel, dict(found.attributes)) == (None, None, None, {})


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2 for 1"):
        caption_scores(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="got 'no'"):
        caption_scores(["square"], ["no"], parse)
