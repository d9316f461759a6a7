r"""Questions about scenes, each of which the scene settles, with answers that the question does not give away.

    shape, colour, size, position    "what colour is the small heart ?"     of the only sprite that is so described
    comparison                       "is the thing at the top left larger than the thing at the top right ?",
                                     "do the thing ... and the thing ... have the same colour ?",
                                     "which is larger , the square or the heart ?"
    count                            "how many red squares are there ?"     0, 1, ..., n of n sprites
    existence                        "is there a red square ?"

The answer is drawn first, uniformly among those that the type has, together with the question; then a scene in which it
is right: sprites that are described get the attributes that are named, each of the others differs in at least one of
them, and all else is independent and uniform. So every question has every answer equally often, and one who sees the
question alone is right in 1/3 of the questions for shapes, 1/8 for colours, 1/2 for sizes, 1/4 for positions,
1/2 in comparisons, 1/(n+1) in counts, and 1/2 for existence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.data.draws import Purpose, key, uniform
from lsgen.data.multimodal.scenes.scene_captions import SpriteWords, thing, with_article
from lsgen.data.multimodal.scenes.sprite_scenes import ATTRIBUTES, COLOURS, POSITIONS, SHAPES, SIZES

__all__ = ["ANSWERS", "TYPES", "AskedScenes", "ask", "chances", "question_texts"]

TYPES = ("shape", "colour", "size", "position", "comparison", "count", "existence")
COUNTS = ("zero", "one", "two", "three")
ANSWERS = (*SHAPES, *COLOURS, *SIZES, *POSITIONS, "no", "yes", *COUNTS)

_NUMBERS = torch.tensor([len(words) for words in ATTRIBUTES.values()])
_FIRST = torch.tensor([ANSWERS.index(words[0]) for words in ATTRIBUTES.values()])  # answer of the first value of each
_NO, _ZERO = ANSWERS.index("no"), ANSWERS.index("zero")
_POSITION, _SIZE = 3, 2
_LARGER, _SAME_SHAPE, _SAME_COLOUR, _WHICH = range(4)  # comparisons


class AskedScenes(NamedTuple):
    """Scenes with a question about each.

    Attributes:
        factors: factors of the scenes, int64 (N, n, 8), of which shape, colour, size and position fit to the questions.
        question: numbers of the questions in `question_texts`, int64 (N,).
        answer: numbers of the answers in ANSWERS, int64 (N,).
        type: numbers of the types in TYPES, int64 (N,).

    """

    factors: Tensor
    question: Tensor
    answer: Tensor
    type: Tensor


def chances(sprites: int) -> dict[str, float]:
    """Return how often one who sees the question alone can be right, by the type of the question."""
    return dict(zip(TYPES, (1 / 3, 1 / 8, 1 / 2, 1 / 4, 1 / 2, 1 / (sprites + 1), 1 / 2), strict=True))


def ask(factors: Tensor, types: Tensor, seed: int) -> AskedScenes:
    """Ask a question about each of many scenes, which are changed to fit to the answers.

    Args:
        factors: those of N scenes of n sprites, int64 (N, n, 8); n is 2 at least.
        types: numbers of the types in TYPES that are asked, one after the other.
        seed: seed of the draws.

    """
    rows, n = torch.arange(len(factors)), factors.shape[1]
    u = uniform(key(seed, Purpose.LABEL), rows, 8 + 4 * n)
    kind, changed = types[rows % len(types)], factors.clone()
    question, answer = torch.zeros_like(rows), torch.zeros_like(rows)
    for number in types.tolist():
        own = (kind == number).nonzero()[:, 0]
        asking = _compare if TYPES[number] == "comparison" else _describe
        changed[own], question[own], answer[own] = asking(number, changed[own], _Draws(u[own]))
    return AskedScenes(changed, question, answer, kind)


@dataclass
class _Draws:
    """Uniform numbers (N, k), of which columns are taken one after the other."""

    u: Tensor
    taken: int = 0

    def below(self, number: int | Tensor) -> Tensor:
        """Return whole numbers (N,) below a number, or below that of each row."""
        self.taken += 1
        return (self.u[:, self.taken - 1] * number).to(torch.int64)

    def ranks(self, n: int) -> Tensor:
        """Return random orders (N, n) of 0, ..., n - 1."""
        self.taken += n
        return self.u[:, self.taken - n : self.taken].argsort(1).argsort(1)


def _describe(number: int, factors: Tensor, draws: _Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Ask about an attribute of the only sprite of a description, or how many there are, or whether there is one."""
    rows, n = torch.arange(len(factors)), factors.shape[1]
    of_attribute = number < len(ATTRIBUTES)
    rank = draws.ranks(n)
    lead = rank.argmin(1)
    exact = torch.ones_like(rank, dtype=torch.bool)
    if of_attribute:  # of the only sprite that fits
        wanted = rank == 0
    elif TYPES[number] == "count":
        wanted = rank < draws.below(n + 1)[:, None]
    else:
        yes = draws.below(2).bool()[:, None]
        wanted = yes & (rank == 0)
        exact = ~yes | wanted
    named = _named(draws, number if of_attribute else _POSITION)
    said = torch.where(named, factors[rows, lead, :4], -1)
    factors = _fitted(factors, said, wanted, exact, draws)
    fits = _fits(factors[..., :4], said[:, None])
    if of_attribute:
        answer = _FIRST[number] + factors[rows, lead, number]
    elif TYPES[number] == "count":
        answer = _ZERO + fits.sum(1)
    else:
        answer = _NO + fits.any(1).long()
    return factors, _described(number, said), answer


def _compare(number: int, factors: Tensor, draws: _Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Ask about two sprites, which are named by their positions, or by their shapes where all shapes differ."""
    rows, factors = torch.arange(len(factors)), factors.clone()
    kind, yes = draws.below(4), draws.below(2)
    rank = draws.ranks(factors.shape[1])
    first, second = rank.argmin(1), rank.argsort(1)[:, 1]
    smaller = draws.below(3)  # (small, small), (small, large) or (large, large), where the first is not larger
    larger, which = kind == _LARGER, kind == _WHICH
    sizes = torch.where(larger & (yes == 0), (smaller + torch.tensor([[0], [1]])) // 2, torch.stack([yes, 1 - yes]))
    for sprite, size in zip((first, second), sizes, strict=True):
        factors[rows, sprite, _SIZE] = torch.where(larger | which, size, factors[rows, sprite, _SIZE])
    for column, same in ((0, _SAME_SHAPE), (1, _SAME_COLOUR)):
        values = int(_NUMBERS[column])
        apart = torch.where(yes == 1, 0, 1 + draws.below(values - 1))
        value = (factors[rows, first, column] + apart) % values
        factors[rows, second, column] = torch.where(kind == same, value, factors[rows, second, column])
    shapes = draws.ranks(len(SHAPES)).gather(1, rank)
    factors[..., 0] = torch.where(which[:, None], shapes, factors[..., 0])
    positions = factors[rows, first, _POSITION] * len(POSITIONS) + factors[rows, second, _POSITION]
    told = factors[rows, first, 0] * len(SHAPES) + factors[rows, second, 0]
    question = _BEFORE_COMPARISONS + kind * len(POSITIONS) ** 2 + torch.where(which, told, positions)
    winner = factors[rows, torch.where(yes == 1, first, second), 0]
    return factors, question, torch.where(which, winner, _NO + yes)


@cache
def question_texts() -> dict[int, str]:
    """Return all questions by their numbers."""
    words = [(None, *options) for options in ATTRIBUTES.values()]
    texts = {}
    for type_number, form in enumerate(_FORMS):
        for code, told in enumerate(product(*words)):
            asked = _ASKED[type_number]
            if any(told) and told[asked] is None:
                texts[type_number * _DESCRIPTIONS + code] = form(SpriteWords(*told))
    for kind, (comparison, named) in enumerate(_COMPARISONS):
        for code, pair in enumerate(product(named, repeat=2)):
            if pair[0] != pair[1]:
                texts[_BEFORE_COMPARISONS + kind * len(POSITIONS) ** 2 + code] = comparison.format(*pair)
    return texts


def _named(draws: _Draws, asked: int) -> Tensor:
    """Return which attributes describe sprites, bool (N, 4): one at least, and never what is asked for."""
    others = [name for name in range(len(ATTRIBUTES)) if name != asked]
    subsets = torch.tensor([flags for flags in product((False, True), repeat=len(others)) if any(flags)])
    named = torch.zeros(len(draws.u), len(ATTRIBUTES), dtype=torch.bool)
    named[:, others] = subsets[draws.below(len(subsets))]
    return named


def _fits(attributes: Tensor, said: Tensor) -> Tensor:
    """Return to which sprites (..., 4) a description fits."""
    return ((attributes == said) | (said < 0)).all(-1)


def _fitted(factors: Tensor, said: Tensor, wanted: Tensor, exact: Tensor, draws: _Draws) -> Tensor:
    """Return scenes in which a description fits to the sprites that are wanted, and to no other one of the exact ones.

    Args:
        factors: those of the scenes, (N, n, 8).
        said: values of the attributes that are named, -1 for the others, (N, 4).
        wanted: the sprites that it shall fit to, (N, n); where a position is named, the one that is there.
        exact: the sprites that it may fit to only if they are wanted, (N, n).
        draws: uniform numbers.

    """
    factors = factors.clone()
    attributes = factors[..., :4]
    attributes.copy_(torch.where((said >= 0)[:, None] & wanted[..., None], said[:, None], attributes))
    edges = (said[:, :_POSITION] >= 0).cumsum(1)
    for sprite in range(factors.shape[1]):  # one of the attributes that are named gets another value; no position does
        column = (draws.below(edges[:, -1])[:, None] >= edges).sum(1).clamp(max=_SIZE)
        numbers, value = _NUMBERS[column], said.gather(1, column[:, None])[:, 0]
        other = (value + 1 + draws.below(numbers - 1)) % numbers
        own = attributes[:, sprite]
        wrong = _fits(own, said) & exact[:, sprite] & ~wanted[:, sprite]
        own.copy_(torch.where(wrong[:, None], own.scatter(1, column[:, None], other[:, None]), own))
    return factors


def _described(number: int, said: Tensor) -> Tensor:
    """Return the numbers (N,) of the questions of a type that name values (N, 4)."""
    code = torch.zeros(len(said), dtype=torch.int64)
    for value, size in zip(said.unbind(1), _NUMBERS.tolist(), strict=True):
        code = code * (size + 1) + value + 1
    return (number if number < len(ATTRIBUTES) else number - 1) * _DESCRIPTIONS + code


_FORMS: tuple[Callable[[SpriteWords], str], ...] = (
    lambda sprite: f"what shape is the {thing(sprite)} ?",
    lambda sprite: f"what colour is the {thing(sprite)} ?",
    lambda sprite: f"what size is the {thing(sprite)} ?",
    lambda sprite: f"where is the {thing(sprite)} ?",
    lambda sprite: f"how many {thing(sprite, 's')} are there ?",
    lambda sprite: f"is there {with_article(thing(sprite))} ?",
)
_ASKED = (0, 1, 2, 3, _POSITION, _POSITION)  # the attribute that the questions of each form never name
_COMPARISONS = (
    ("is the thing at the {} larger than the thing at the {} ?", POSITIONS),
    ("do the thing at the {} and the thing at the {} have the same shape ?", POSITIONS),
    ("do the thing at the {} and the thing at the {} have the same colour ?", POSITIONS),
    ("which is larger , the {} or the {} ?", SHAPES),
)
_DESCRIPTIONS = int((_NUMBERS + 1).prod())
_BEFORE_COMPARISONS = len(_FORMS) * _DESCRIPTIONS
