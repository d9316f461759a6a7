"""Two small social networks that networkx brings along."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np

from lsgen.latent.graphs import Graph

__all__ = ["KarateClub", "LesMiserables"]


@dataclass(frozen=True)
class KarateClub:
    """The 34 members of a karate club and 78 friendships between them; the column "club" says whom each followed.

    Attributes:
        weighted: whether links weigh what interactions outside of the club were counted, else 1.

    Reference: Zachary, "An information flow model for conflict and fission in small groups" (1977).
    """

    weighted: bool = False

    def graph(self) -> Graph:
        """Return the network, its members named 1 to 34 as in the paper."""
        found = nx.karate_club_graph()
        clubs = [found.nodes[node]["club"] for node in found]
        return _graph(found, self.weighted, [str(node + 1) for node in found], {"club": clubs})


@dataclass(frozen=True)
class LesMiserables:
    """The 77 characters of Les Misérables and the 254 pairs of them that appear together in a chapter.

    Attributes:
        weighted: whether links weigh the number of chapters, else 1.

    Reference: Knuth, "The Stanford GraphBase" (1993).
    """

    weighted: bool = False

    def graph(self) -> Graph:
        """Return the network."""
        found = nx.les_miserables_graph()
        return _graph(found, self.weighted, [str(node) for node in found], {})


def _graph(found: nx.Graph, weighted: bool, names: list[str], columns: dict[str, list[str]]) -> Graph:
    number = {node: row for row, node in enumerate(found)}
    edges = np.array([(number[a], number[b]) for a, b in found.edges])
    weights = [float(weight) for _, _, weight in found.edges(data="weight")] if weighted else None
    return Graph.of(edges, len(names), names=names, weights=weights, columns=columns)
