"""A model whose space is a table of named points, which it trains on whatever observations there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from lsgen.latent import Codes, Euclidean, ItemSpace, Manifold
from lsgen.models import ScalarLoss
from lsgen.models.contract import Contract, PlainNumbers
from lsgen.models.optimised import OptimisedModel

WORDS = ("zero", "one", "two", "three", "four", "five", "six")


class Points(ItemSpace):
    """Codes of words."""

    def __init__(self, names: Sequence[str] = WORDS) -> None:
        super().__init__()
        self.names, self.table = list(names), nn.Embedding(len(names), 2)

    @property
    def dim(self) -> int:
        return 2

    @property
    def manifold(self) -> Manifold:
        return Euclidean()

    def items(self) -> Codes:
        return Codes(self.table.weight, self.names)


class NamedPoints(OptimisedModel):
    """Words that are pulled to the mean of observations."""

    def __init__(self, max_steps: int | None = None, names: Sequence[str] = WORDS) -> None:
        super().__init__(Points(names), max_steps=max_steps)

    def contract(self) -> Contract:
        return Contract("NamedPoints", PlainNumbers("NamedPoints"))

    def loss(self, batch: dict[str, Tensor]) -> ScalarLoss:  # type: ignore[override]
        assert isinstance(self.latent_space, Points)
        return ScalarLoss((self.latent_space.table.weight - batch["x"].float().mean()).square().mean())


class NamedNodes(NamedPoints):
    """The nodes of a network, trained on their numbers."""

    def contract(self) -> Contract:
        assert isinstance(self.latent_space, Points)
        return Contract("NamedNodes", PlainNumbers("NamedNodes", (1,), high=len(self.latent_space.names) - 1))


def word_files(folder: Path) -> tuple[str, str]:
    """Write an analogy and some similarities of the words, and return the paths."""
    questions, pairs = folder / "questions.txt", folder / "pairs.tsv"
    questions.write_text(": next\nzero one two three\n: other\none two nine ten\n")
    pairs.write_text("zero\tone\t3\none\ttwo\t2\ntwo\tthree\t2.5\nthree\tsix\t1\nsix\tzero\t0\none\tnine\t1\n")
    return str(questions), str(pairs)


__all__ = ["WORDS", "NamedNodes", "NamedPoints", "Points", "word_files"]
