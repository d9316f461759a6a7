r"""A corpus from a known grammar, with its analogies and the similarities of its words.

A sentence is about one word. The word is in one of several sections; it is an item of its section (which country) in
one of two roles (the country, its capital). Each further word of the sentence is drawn by itself,

    p(c | item j, role r) = a_j own_j(c) + (0.5 - a_j) group_j(c) + 0.25 role_r(c) + 0.25 common(c),

from the words of the item, of the group that the item is in, of the role, and from those that every sentence has. The
own share a_j rises from 0.1 to 0.4 over the items of a group, so that similarities are graded. The item decides on some
words and the role on others, so that the two words of an item differ by the same in all items:

    a : b :: c : d    for items in one section, with a, c in the first role and b, d in the second.

The similarity of two words is the affinity of the distributions above, sum_c sqrt(p(c|w) p(c|w')), 1 where they are
equal and 0 where they share no word. Reference: Bhattacharyya, "On a measure of divergence between two statistical
populations" (1943).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grammar"]

SECTIONS = {  # pairs of words; every four of them are a group
    "capital-country": "paris france rome italy madrid spain vienna austria tokyo japan beijing china hanoi vietnam "
    "bangkok thailand cairo egypt nairobi kenya tunis tunisia rabat morocco lima peru quito ecuador havana cuba "
    "santiago chile",
    "plural": "apple apples pear pears plum plums lemon lemons dog dogs cat cats horse horses rabbit rabbits shirt "
    "shirts coat coats shoe shoes glove gloves car cars boat boats train trains bicycle bicycles",
    "gender": "king queen prince princess duke duchess emperor empress father mother brother sister uncle aunt son "
    "daughter actor actress waiter waitress host hostess steward stewardess",
    "comparative": "big bigger tall taller wide wider deep deeper fast faster slow slower quick quicker late later "
    "warm warmer cold colder hot hotter cool cooler bright brighter dark darker loud louder quiet quieter",
}
ROLES = {
    "capital-country": ("mayor streets metro townhall", "border army parliament province"),
    "plural": ("this single one each", "these many several all"),
    "gender": ("he his him himself", "she her hers herself"),
    "comparative": ("very quite rather too", "than even much still"),
}
COMMON = "the of and to in that was for with from it as"
GROUP, OWN, SHARED = 4, 4, 5  # items in a group, words of an item, words of a group
OWN_SHARES, ROLE_SHARE, COMMON_SHARE = (0.1, 0.4), 0.25, 0.25
_CHUNK = 4096  # documents that are drawn together


@dataclass(frozen=True)
class Grammar:
    """Sentences of a known grammar, as documents.

    Attributes:
        documents: sentences.
        length: words of a sentence, one of which it is about.
        seed: of the draws; words and their distributions are the same for all.

    Raises:
        ValueError: a number is out of range.

    """

    documents: int = 4000
    length: int = 9
    seed: int = 0

    def __post_init__(self) -> None:
        if self.documents < 1 or self.length < 2 or self.seed < 0:
            raise ValueError(f"expected at least 1 document of at least 2 words and a seed of at least 0, got {self}")

    def texts(self) -> Iterator[str]:
        """Yield the sentences."""
        words = np.array(self.words, dtype=object)
        cumulative = self.contexts.cumsum(1)
        rising = (cumulative / cumulative[:, -1:] + np.arange(len(cumulative))[:, None]).ravel()
        for first in range(0, self.documents, _CHUNK):
            rng = np.random.default_rng([self.seed, first // _CHUNK])
            about = rng.choice(len(self.subjects), _CHUNK, p=self._weights)
            draws, place = rng.random((_CHUNK, self.length)), rng.integers(self.length, size=_CHUNK)
            rows = min(_CHUNK, self.documents - first)
            found = np.searchsorted(rising, draws + about[:, None], side="right") - about[:, None] * len(words)
            sentences = words[found]
            sentences[np.arange(_CHUNK), place] = np.array(self.subjects, dtype=object)[about]
            yield from map(" ".join, sentences[:rows].tolist())

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """The words that sentences are about: section by section, item by item, both roles of each."""
        return tuple(word for text in SECTIONS.values() for word in text.split())

    @property
    def words(self) -> tuple[str, ...]:
        """The words that sentences have beside what they are about, in the order of the columns of `contexts`."""
        return self._parts[0]

    @property
    def contexts(self) -> NDArray[np.float64]:
        """The probabilities p(c | w) of the words c beside a word w that a sentence is about, (subjects, words)."""
        return self._parts[1]

    @cached_property
    def questions(self) -> tuple[tuple[str, str, str, str, str], ...]:
        """Analogies (section, a, b, c, d) with a : b :: c : d, of all pairs of items of a section."""
        found = []
        for section, text in SECTIONS.items():
            words = text.split()
            for (a, b), (c, d) in permutations(list(zip(words[::2], words[1::2], strict=True)), 2):
                found.append((section, a, b, c, d))
        return tuple(found)

    @cached_property
    def similarities(self) -> tuple[tuple[str, str, float], ...]:
        """Pairs of words with their affinity: those within a section, and as many others at random."""
        roots = np.sqrt(self.contexts)
        affinity = roots @ roots.T
        section = np.repeat(np.arange(len(SECTIONS)), [len(text.split()) for text in SECTIONS.values()])
        one, other = np.triu_indices(len(self.subjects), 1)
        within = section[one] == section[other]
        apart = np.random.default_rng(0).permutation(np.flatnonzero(~within))[: int(within.sum())]
        chosen = np.sort(np.concatenate([np.flatnonzero(within), apart]))
        return tuple(
            (self.subjects[i], self.subjects[j], float(affinity[i, j]))
            for i, j in zip(one[chosen], other[chosen], strict=True)
        )

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """How often sentences are about each subject: like 1/(4 + k) for the k-th item of a section."""
        parts = [np.repeat(1 / (4 + np.arange(len(text.split()) // 2)), 2) for text in SECTIONS.values()]
        weights: NDArray[np.float64] = np.concatenate([part / part.sum() for part in parts])
        return weights / weights.sum()

    @cached_property
    def _parts(self) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        columns: dict[str, int] = {}
        rows: list[dict[int, float]] = []

        def spread(row: dict[int, float], share: float, words: list[str]) -> None:
            for word in words:
                column = columns.setdefault(word, len(columns))
                row[column] = row.get(column, 0.0) + share / len(words)

        for section, text in SECTIONS.items():
            pairs = text.split()
            for item in range(len(pairs) // 2):
                within, group = item % GROUP, item // GROUP
                own = OWN_SHARES[0] + (OWN_SHARES[1] - OWN_SHARES[0]) * within / (GROUP - 1)
                for role in (0, 1):
                    row: dict[int, float] = {}
                    spread(row, own, [f"{pairs[2 * item]}{letter}" for letter in "xyzw"[:OWN]])
                    spread(row, 1 - own - ROLE_SHARE - COMMON_SHARE, _group_words(section, group))
                    spread(row, ROLE_SHARE, ROLES[section][role].split())
                    spread(row, COMMON_SHARE, COMMON.split())
                    rows.append(row)
        contexts = np.zeros((len(rows), len(columns)))
        for number, row in enumerate(rows):
            contexts[number, list(row)] = list(row.values())
        return tuple(columns), contexts


def _group_words(section: str, group: int) -> list[str]:
    return [f"{section.partition('-')[0]}{'abcdef'[group]}{letter}" for letter in "xyzwv"[:SHARED]]
