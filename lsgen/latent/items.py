"""The space of a closed set of items whose codes are given, such as imported word vectors."""

from __future__ import annotations

from typing import final

from lsgen.latent.codes import Codes
from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.space import ItemSpace

__all__ = ["ItemTable"]


@final
class ItemTable(ItemSpace):
    """A space that is made of a table of codes, one of each item; nothing in it is trained.

    Args:
        codes: the items, by name.

    Raises:
        TypeError: it is no table of codes.
        ValueError: it is empty.

    """

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        if not isinstance(codes, Codes):
            raise TypeError(f"expected the items as a table of Codes, got {type(codes).__name__}")
        if not len(codes):
            raise ValueError("expected at least one item, got an empty table")
        self._codes = codes

    @property
    def dim(self) -> int:
        """The dimension d of codes."""
        return self._codes.dim

    @property
    def manifold(self) -> Manifold:
        """The manifold on which codes lie."""
        return self._codes.manifold

    def items(self) -> Codes:
        """Return the table."""
        return self._codes
