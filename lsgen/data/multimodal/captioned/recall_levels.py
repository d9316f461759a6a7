r"""What recall@1 among captions is at random, and what it is for one who knows the attributes that are told.

Of a gallery of N captions, one for each observation, a caption is a hit where it is identical to that of the query:

    random    1/N^2 sum_c n_c^2                                 n_c captions are identical to c
    oracle    1/N sum_i n_{c_i} / m_{a_i}                       m_a captions tell the attributes a

The oracle takes one of the captions that tell what is true of the query. Where equal attributes are always told in
equal words, it is always right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["RecallLevels"]


class RecallLevels(NamedTuple):
    """Recall@1 of a choice at random, and of one by the true attributes."""

    random: float
    oracle: float

    @classmethod
    def of(cls, captions: Sequence[str], attributes: Sequence[Mapping[str, str] | None]) -> RecallLevels:
        """Return the levels of a gallery.

        Args:
            captions: N captions.
            attributes: what each tells.

        Raises:
            ValueError: there is no caption, or not as many attributes, or one that is no sentence of the grammar.

        """
        if not captions or len(captions) != len(attributes) or None in attributes:
            raise ValueError(f"expected captions with what each tells, got {len(captions)} with {len(attributes)}")
        told = [tuple(sorted((known or {}).items())) for known in attributes]
        same, alike, n = Counter(captions), Counter(told), len(captions)
        oracle = sum(same[caption] / alike[known] for caption, known in zip(captions, told, strict=True)) / n
        return cls(sum(count**2 for count in same.values()) / n**2, oracle)
