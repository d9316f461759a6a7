r"""Shares of right answers by kind of question, and the best answers to a text without what it is about.

The most frequent answer to each text in training is what a predictor of the text alone can reach, however it was
trained, where training has shown it often enough:

    y(t) = argmax_y #{n: t_n = t, y_n = y},

the answer with the smallest number where several are as frequent, and the most frequent of all where a text is new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["FrequentAnswers", "RightAnswers", "right_answers"]


class RightAnswers(NamedTuple):
    """How many answers were right, of how many questions."""

    right: int
    asked: int


def right_answers(given: Tensor, true: Tensor, kinds: Tensor, names: Sequence[str]) -> dict[str, RightAnswers]:
    """Return the counts of right answers of every kind of question that was asked, and of "all" of them.

    Args:
        given: answers, integers (N,).
        true: the right ones, integers (N,).
        kinds: what kind each question is of, integers (N,).
        names: what the kinds are called.

    Raises:
        ValueError: the shapes differ, there is no question, or a kind has no name.

    """
    if given.ndim != 1 or given.shape != true.shape or given.shape != kinds.shape or not len(given):
        shapes = ", ".join(str(tuple(part.shape)) for part in (given, true, kinds))
        raise ValueError(f"expected answers, right answers and kinds (N,), got {shapes}")
    low, high = int(kinds.min()), int(kinds.max())
    if low < 0 or high >= len(names):
        raise ValueError(f"expected kinds from 0 to {len(names) - 1}, got {low} to {high}")
    right, asked = given == true, torch.bincount(kinds, minlength=len(names)).tolist()
    correct = torch.bincount(kinds[right], minlength=len(names)).tolist()
    found = {name: RightAnswers(c, n) for name, c, n in zip(names, correct, asked, strict=True) if n}
    return {**found, "all": RightAnswers(int(right.sum()), len(right))}


class FrequentAnswers:
    """The most frequent answer of each text.

    Args:
        texts: N texts of training.
        answers: their answers, numbers.

    Raises:
        ValueError: there are none, or not as many answers as texts.

    """

    def __init__(self, texts: Sequence[str], answers: Sequence[int]) -> None:
        if not texts or len(texts) != len(answers):
            raise ValueError(f"expected an answer for each of some texts, got {len(answers)} for {len(texts)}")
        counts: dict[str, Counter[int]] = {}
        for text, answer in zip(texts, answers, strict=True):
            counts.setdefault(text, Counter())[answer] += 1
        self._best = {text: _first(own) for text, own in counts.items()}
        self._else = _first(Counter(answers))

    def __call__(self, texts: Iterable[str]) -> list[int]:
        """Return the answers to texts."""
        return [self._best.get(text, self._else) for text in texts]


def _first(counts: Counter[int]) -> int:
    return min(counts, key=lambda answer: (-counts[answer], answer))
