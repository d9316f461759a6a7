"""Baskets of items from known groups: what is bought together, for models of items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

__all__ = ["Baskets"]

GROUPS = {
    "bakery": "bread rolls croissant bagel muffin pretzel",
    "dairy": "milk butter yoghurt cheese cream quark",
    "fruit": "apples bananas grapes oranges pears kiwis",
    "cleaning": "soap sponge bleach detergent bucket mop",
    "garden": "seeds spade compost hose gloves rake",
    "office": "paper pens stapler folders envelopes tape",
    "sports": "football racket dumbbell helmet skates goggles",
    "baby": "nappies wipes bottle bib rattle pram",
}
SIZES, OTHER = (3, 6), 0.1  # items in a basket, and the part of them from any group


@dataclass(frozen=True)
class Baskets:
    """Baskets of 3 to 6 items of one group, of which a tenth comes from any group, as documents.

    The k-th item of a group is chosen like 1/(1 + k), k = 0, 1, ..., without being chosen twice.

    Attributes:
        documents: baskets.
        seed: of the draws; the groups are the same for all.

    Raises:
        ValueError: a number is out of range.

    """

    documents: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.documents < 1 or self.seed < 0:
            raise ValueError(f"expected at least 1 document and a seed of at least 0, got {self}")

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The items of each group."""
        return {name: tuple(items.split()) for name, items in GROUPS.items()}

    def texts(self) -> Iterator[str]:
        """Yield the baskets, in each of which an item comes once."""
        rng = np.random.default_rng(self.seed)
        groups = list(self.groups.values())
        everything = [item for group in groups for item in group]
        for _ in range(self.documents):
            size, group = int(rng.integers(SIZES[0], SIZES[1] + 1)), groups[rng.integers(len(groups))]
            strange = int((rng.random(size) < OTHER).sum())
            order = np.argsort(np.log1p(np.arange(len(group))) - rng.gumbel(size=len(group)))  # without replacement
            items = [group[number] for number in order[: size - strange]]
            items += [everything[number] for number in rng.integers(len(everything), size=strange)]
            yield " ".join(dict.fromkeys(items))

    @property
    def questions(self) -> tuple[tuple[str, str, str, str, str], ...]:
        """No analogies."""
        return ()

    @property
    def similarities(self) -> tuple[tuple[str, str, float], ...]:
        """All pairs of items, with 1 for two of one group and 0 for others."""
        owner = {item: name for name, items in self.groups.items() for item in items}
        return tuple((a, b, float(owner[a] == owner[b])) for a, b in combinations(owner, 2))
