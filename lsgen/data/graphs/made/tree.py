"""Trees, whose nodes no flat space of few dimensions can place at the distances of the tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsgen.latent.graphs import Graph

__all__ = ["Tree"]

_MOST = 10**7


@dataclass(frozen=True)
class Tree:
    """A tree in which every node above the last level has the same number of children, breadth first from the root, 0.

    The column "level" has the distance of each node from the root.

    Attributes:
        branching: children of a node.
        depth: levels below the root.
        directed: whether links go from a child to its parent, else they have no direction.

    Raises:
        ValueError: a number is too small, or there would be more than ten million nodes.

    """

    branching: int = 3
    depth: int = 4
    directed: bool = False

    def __post_init__(self) -> None:
        if self.branching < 1 or self.depth < 1:
            raise ValueError(f"expected a branching and a depth of at least 1, got {self}")
        if self.depth > _MOST or sum(self.branching**level for level in range(self.depth + 1)) > _MOST:
            raise ValueError(f"expected a tree of at most {_MOST} nodes, got {self}")

    def graph(self) -> Graph:
        """Return the tree."""
        sizes = [self.branching**level for level in range(self.depth + 1)]
        child = np.arange(1, sum(sizes))
        edges = np.stack([child, (child - 1) // self.branching], 1)
        level = np.repeat(np.arange(self.depth + 1), sizes)
        return Graph.of(edges, sum(sizes), directed=self.directed, columns={"level": level})
