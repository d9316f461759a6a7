r"""Captions against true ones: by their words, and by what they say.

    BLEU-n      exp(min(0, 1 - r/c) + 1/n sum_{k=1..n} log p_k), p_k the share of the k-grams of all captions that are
                in the true one of the same observation, each counted as often as there at most; r and c the numbers
                of words of all true captions and of all captions
    attributes  the share of captions that say a true value of the attribute; and of those that say all
    valid       the share of captions that are sentences of the grammar
    novel       the share of captions that training has not shown

BLEU is that of a corpus, without smoothing: it is 0 where no caption has an n-gram in common with the true one.

Reference: Papineni et al., "BLEU: a method for automatic evaluation of machine translation" (ACL 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchmetrics.functional.text import bleu_score

__all__ = ["CaptionScores", "Parse", "caption_scores"]

Parse = Callable[[Sequence[str]], Sequence[Mapping[str, Any] | None]]
ORDERS = (1, 2, 3, 4)


@dataclass(frozen=True)
class CaptionScores:
    """What N captions score.

    Attributes:
        n: the number of captions.
        bleu: BLEU-1 to BLEU-4, by name.
        attributes: of how many captions the value of each attribute is right, with how many true captions state it.
        exact: of how many captions all attributes are right.
        valid: how many are sentences of the grammar; None without a grammar.
        novel: how many training has not shown; None where that is not known.

    """

    n: int
    bleu: Mapping[str, float]
    attributes: Mapping[str, tuple[int, int]]
    exact: int | None
    valid: int | None
    novel: int | None


def caption_scores(
    captions: Sequence[str], true: Sequence[str], parse: Parse | None = None, known: Collection[str] | None = None
) -> CaptionScores:
    """Return what captions score.

    Args:
        captions: N captions.
        true: the true caption of each observation.
        parse: captions -> the values of their attributes by name, None for what is no sentence of the grammar; nothing
            is said of attributes where it is None.
        known: captions of training.

    Raises:
        ValueError: there are none, or not as many of both; a true caption is no sentence of the grammar.

    """
    if not captions or len(captions) != len(true):
        raise ValueError(f"expected a true caption for each of some captions, got {len(true)} for {len(captions)}")
    bleu = {f"bleu_{n}": float(bleu_score(captions, [[text] for text in true], n_gram=n)) for n in ORDERS}
    novel = None if known is None else sum(text not in known for text in captions)
    if parse is None:
        return CaptionScores(len(captions), bleu, {}, None, None, novel)
    said, stated = parse(captions), parse(true)
    if wrong := [text for text, values in zip(true, stated, strict=True) if values is None]:
        raise ValueError(f"expected true captions of the grammar, got {wrong[0]!r}")
    facts = [values for values in stated if values is not None]
    pairs = list(zip([values or {} for values in said], facts, strict=True))
    names = dict.fromkeys(name for values in facts for name in values)
    attributes = {name: _right(name, pairs) for name in names}
    exact = sum(values == truth for values, truth in pairs)
    return CaptionScores(len(captions), bleu, attributes, exact, sum(v is not None for v in said), novel)


def _right(name: str, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> tuple[int, int]:
    asked = [(values, truth) for values, truth in pairs if name in truth]
    return sum(name in values and values[name] == truth[name] for values, truth in asked), len(asked)
