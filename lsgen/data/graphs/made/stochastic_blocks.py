"""Networks of communities that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsgen.data.draws import Purpose, key
from lsgen.latent.graphs import Graph

__all__ = ["StochasticBlocks"]


@dataclass(frozen=True)
class StochasticBlocks:
    r"""A network of known communities: two nodes are linked with a probability that depends on their blocks alone.

        P(i ~ j) = inside  if b_i = b_j,  outside  otherwise

    independently for all pairs of different nodes, ordered pairs where it is directed. Nodes are called "b:k", the k-th
    of block b; the column "block" has b.

    Attributes:
        sizes: nodes of each block.
        inside: probability of a link within a block.
        outside: probability of a link between two blocks.
        directed: whether links have a direction.
        seed: of the draws.

    Raises:
        ValueError: a number is out of its range.

    Reference: Holland, Laskey & Leinhardt, "Stochastic blockmodels: first steps" (1983).
    """

    sizes: Sequence[int] = (50, 50, 50, 50)
    inside: float = 0.2
    outside: float = 0.01
    directed: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1 or self.seed < 0:
            raise ValueError(f"expected blocks of at least one node and a seed of at least 0, got {self}")
        if not (0 <= self.inside <= 1 and 0 <= self.outside <= 1):
            raise ValueError(f"expected probabilities inside and outside from 0 to 1, got {self}")

    def graph(self) -> Graph:
        """Return the network."""
        rng = np.random.default_rng(key(self.seed, Purpose.SYNTHESIS))
        first = np.concatenate([[0], np.cumsum(self.sizes)])
        links = []
        for b in range(len(self.sizes)):
            for c in range(0 if self.directed else b, len(self.sizes)):
                p = self.inside if b == c else self.outside
                links.append(_linked(rng, self.sizes[b], self.sizes[c], p) + np.array([first[b], first[c]]))
        edges = np.concatenate(links)
        edges = edges[edges[:, 0] != edges[:, 1] if self.directed else edges[:, 0] < edges[:, 1]]
        names = [f"{b}:{k}" for b, size in enumerate(self.sizes) for k in range(size)]
        block = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return Graph.of(edges, len(names), directed=self.directed, names=names, columns={"block": block})


def _linked(rng: np.random.Generator, rows: int, columns: int, p: float) -> NDArray[np.int64]:
    """Return the pairs that are linked of rows times columns: as many as a binomial number says, without repeats."""
    total = rows * columns
    number = int(rng.binomial(total, p))
    codes = rng.choice(total, number, replace=False, shuffle=False)
    return np.stack([codes // columns, codes % columns], 1)
