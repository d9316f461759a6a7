r"""Captions of scenes, a grammar that tells their attributes and from whose sentences they are read again.

    caption   = opening sprite ("and" sprite)*
    sprite    = article size colour shape place   |   place "is" article size colour shape
    shape     = "square" | "ellipse" | "heart" | "thing", where it is not told

A form fixes the opening, the order and the words for sizes and places; its sentences have the same number of words. The
first form is that of validation and test; the others are paraphrases of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.data.loading import chosen_options
from lsgen.data.multimodal.scenes.sprite_scenes import ATTRIBUTES, POSITIONS, SIZES, check_attributes, combination_of
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["Captions", "SceneGrammar", "SpriteWords", "attributes_of"]


class SpriteWords(NamedTuple):
    """What is told of a sprite; None for what is not."""

    shape: str | None
    colour: str | None
    size: str | None
    position: str | None


def with_article(what: str) -> str:
    """Return words with "a" or "an" before them."""
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def thing(sprite: SpriteWords, plural: str = "") -> str:
    """Return the words for what is told of a sprite, without an article."""
    what = " ".join(filter(None, (sprite.size, sprite.colour, (sprite.shape or "thing") + plural)))
    return what if sprite.position is None else f"{what} at the {sprite.position}"


@dataclass(frozen=True)
class _Form:
    """One way to say it: how the sentence opens, the words for sizes and places, and whether the place comes first."""

    opening: str = ""
    sizes: tuple[str, ...] = SIZES
    place: str = "at the {}"
    places: tuple[str, ...] = POSITIONS
    place_first: bool = False

    def phrase(self, sprite: SpriteWords) -> str:
        """Return the words for a sprite."""
        size = self.sizes[SIZES.index(sprite.size)] if sprite.size else None
        what = " ".join(filter(None, (size, sprite.colour, sprite.shape or "thing")))
        what = with_article(what)
        if sprite.position is None:
            return f"here is {what}" if self.place_first else what
        place = self.place.format(self.places[POSITIONS.index(sprite.position)])
        return f"{place} is {what}" if self.place_first else f"{what} {place}"


FORMS = (
    _Form(),
    _Form("there is"),
    _Form(place_first=True),
    _Form(
        "a picture of",
        ("little", "big"),
        "in the {} corner",
        ("upper left", "upper right", "lower left", "lower right"),
    ),
)


@dataclass(frozen=True)
class Captions:
    """What captions tell, and in how many ways.

    Attributes:
        told: attributes out of "shape", "colour", "size" and "position".
        paraphrases: forms of training, 1 to 4, one of which is drawn in every epoch; held out is the first alone.
        length: words that a caption has room for; as many as the longest one has where it is None.

    Raises:
        ValueError: nothing is told, an attribute is not known or comes twice, or a number is out of range.

    """

    told: Sequence[str] = tuple(ATTRIBUTES)
    paraphrases: int = 1
    length: int | None = None

    def __post_init__(self) -> None:
        check_attributes(self.told, "captions.told")
        if not self.told:
            raise ValueError("expected captions that tell an attribute at least, got an empty data.captions.told")
        if not 1 <= self.paraphrases <= len(FORMS):
            raise ValueError(f"expected data.captions.paraphrases from 1 to {len(FORMS)}, got {self.paraphrases}")

    @classmethod
    def of(cls, options: Captions | Mapping[str, Any]) -> Captions:
        """Return what a data set's option `captions` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "captions")


class SceneGrammar:
    """The captions of scenes as rows of numbers of words.

    Args:
        captions: what they tell.
        sprites: number n of sprites in a scene.

    Attributes:
        vocabulary: all words of all forms that are used.
        length: number L of words that a row has room for.

    Raises:
        ValueError: the longest caption has no room.

    """

    def __init__(self, captions: Captions, sprites: int) -> None:
        self.forms = FORMS[: captions.paraphrases]
        self._phrases = [[form.phrase(words) for words in combinations(captions.told)] for form in self.forms]
        openings = [form.opening for form in self.forms]
        joined = ["and"] if sprites > 1 else []
        self.vocabulary = Vocabulary.of([*openings, *joined, *(text for own in self._phrases for text in own)])
        longest = max(
            len(form.opening.split()) + sprites * len(own[0].split()) + sprites - 1
            for form, own in zip(self.forms, self._phrases, strict=True)
        )
        self.length = room(captions.length, longest, "captions.length", "caption")

    def encode(self, attributes: Tensor, forms: Tensor) -> Tensor:
        """Return captions as rows of numbers.

        Args:
            attributes: shape, colour, size and position of n sprites, integers (B, n, >= 4); more columns are ignored.
            forms: number of the form of each caption, (B,).

        Returns:
            Words and then zeros, int64 (B, L).

        """
        combination = combination_of(attributes)
        rows = torch.zeros(len(forms), self.length, dtype=torch.int64)
        for number, (opening, joint, phrases) in enumerate(self._numbers):
            chosen = (forms == number).nonzero()[:, 0]
            own = phrases[combination[chosen]]
            joints = joint.expand(len(chosen), own.shape[1] - 1, -1)
            told = [opening.expand(len(chosen), -1), torch.cat([joints, own[:, 1:]], 2).flatten(1)]
            words = torch.cat([told[0], own[:, 0], told[1]], 1)
            rows[chosen, : words.shape[1]] = words
        return rows

    @cached_property
    def _numbers(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Opening (k,), what joins sprites (1,), and words of the sprites (192, w), of every form."""

        def numbered(texts: list[str]) -> Tensor:
            return self.vocabulary.encode(texts, len(texts[0].split()))

        empty = torch.zeros(0, dtype=torch.int64)
        joint = numbered(["and"])[0] if "and" in self.vocabulary.words else empty
        openings = [numbered([form.opening])[0] if form.opening else empty for form in self.forms]
        return [(opening, joint, numbered(own)) for opening, own in zip(openings, self._phrases, strict=True)]


def room(length: int | None, longest: int, option: str, what: str) -> int:
    """Return the number of words that a row has room for.

    Raises:
        ValueError: it is less than the longest sentence needs.

    """
    if length is not None and length < longest:
        raise ValueError(f"expected data.{option} of at least {longest} for the longest {what}, got {length}")
    return length or longest


def attributes_of(texts: Iterable[str]) -> list[dict[str, str] | None]:
    """Return what captions tell, by the names of attributes, which are numbered from 1 where there are several sprites.

    None stands for a text that is no sentence of the grammar.
    """
    found = (_sprites(" ".join(text.lower().split())) for text in texts)
    return [None if sprites is None else _by_name(sprites) for sprites in found]


def _by_name(sprites: Sequence[SpriteWords]) -> dict[str, str]:
    end = "" if len(sprites) == 1 else "_{}"
    told = [(name + end.format(n), word) for n, own in enumerate(sprites, 1) for name, word in own._asdict().items()]
    return {name: word for name, word in told if word is not None}


def _sprites(text: str) -> list[SpriteWords] | None:
    for form in FORMS:
        opening = form.opening and f"{form.opening} "
        phrases = text.removeprefix(opening).split(" and ")
        found = [sprite for phrase in phrases if (sprite := _read(form).get(phrase)) is not None]
        if text.startswith(opening) and len(found) == len(phrases):
            return found
    return None


@cache
def _read(form: _Form) -> dict[str, SpriteWords]:
    """Return what every phrase of a form tells, whatever attributes are told."""
    words = [(None, *options) for options in ATTRIBUTES.values()]
    return {form.phrase(SpriteWords(*told)): SpriteWords(*told) for told in product(*words) if any(told)}


def combinations(told: Iterable[str]) -> list[SpriteWords]:
    """Return the words for all combinations of attributes, position fastest, without those that are not told."""
    words = [options if name in told else (None,) * len(options) for name, options in ATTRIBUTES.items()]
    return [SpriteWords(*found) for found in product(*words)]
