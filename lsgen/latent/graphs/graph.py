"""Graphs: nodes, the links between them, and what is known of both.

A link (i, j) of a directed graph goes from i to j. An undirected one stands once, the smaller number first, and counts
for both of its ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from lsgen.latent.columns import as_column, frozen
from lsgen.latent.graphs.links import Duplicates, Loops, as_links, as_numbers, as_weights, sought, without_repeats

__all__ = ["Graph"]

MOST = 2**27  # nodes of a graph whose number is not given


@final
@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A frozen table of N nodes and E links between them; `Graph.of` makes one from links in any form.

    Attributes:
        edges: the two ends of each link, source and target, int64 (E, 2), no two the same and none from a node to
            itself; of an undirected graph the smaller number stands first.
        nodes: number N of nodes, numbered from 0.
        directed: whether a link has a direction.
        weights: how strong each link is, float64 (E,), above 0 unless signed; 1 each where it is None.
        times: when each link was made, float64 (E,), where that is known.
        names: what the nodes are called, all different, (N,).
        columns: metadata of nodes (N,) by name: numbers, truth values, dates or text, see `lsgen.latent.columns`.
        signed: whether weights may be negative.

    """

    edges: Tensor
    nodes: int
    directed: bool
    weights: Tensor | None
    times: Tensor | None
    names: tuple[str, ...]
    columns: Mapping[str, NDArray[Any]]
    signed: bool

    @classmethod
    def of(
        cls,
        edges: Any,
        nodes: int | None = None,
        *,
        directed: bool = False,
        weights: Any = None,
        times: Any = None,
        names: Sequence[str] | None = None,
        columns: Mapping[str, Any] | None = None,
        signed: bool = False,
        duplicates: Duplicates = "refuse",
        loops: Loops = "refuse",
    ) -> Graph:
        """Return the graph of links in any order.

        Args:
            edges: the two ends of each link, whole numbers (E, 2).
            nodes: number N of nodes; the number of names, else the greatest end and one, unless given.
            directed: whether a link has a direction.
            weights: how strong each link is, (E,).
            times: when each was made, (E,).
            names: what the nodes are called, (N,); "0", "1", ... unless given.
            columns: metadata of nodes (N,) by name.
            signed: whether weights may be negative.
            duplicates: what becomes of two links between the same nodes: they are refused, the first stays, or the
                weights are added (1 each where there are none, and the earlier time stays).
            loops: what becomes of a link from a node to itself: it is refused or dropped.

        Raises:
            TypeError: edges are no whole numbers.
            ValueError: a shape does not fit, an end is no node, a weight is not allowed, a time is not finite, or two
                nodes have one name; see also duplicates and loops.

        """
        links = as_links(edges)
        least = int(links.max()) + 1 if len(links) else 0
        count = (least if names is None else len(names)) if nodes is None else int(nodes)
        if count < 1:
            raise ValueError("expected a graph of at least one node, got none")
        if nodes is None and names is None and count > MOST:
            raise ValueError(f"expected the nodes numbered from 0 on, at most {MOST}, got node {count - 1}: give names")
        if len(links) and (int(links.min()) < 0 or least > count):
            wrong = int(links.min()) if int(links.min()) < 0 else least - 1
            raise ValueError(f"expected links between nodes 0 to {count - 1}, got one with node {wrong}")
        called = tuple(map(str, range(count) if names is None else names))
        if len(called) != count or len(set(called)) != count:
            raise ValueError(f"expected a name of each of {count} nodes, all different, got {len(set(called))}")
        weight, time = as_weights(weights, len(links), signed), as_numbers("times", times, len(links))
        if not directed:
            links = np.sort(links, 1)
        links, weight, time = without_repeats(links, weight, time, called, count, duplicates, loops)
        kept = {str(key): as_column(str(key), value, count) for key, value in (columns or {}).items()}
        strength, made = (None if part is None else torch.from_numpy(part) for part in (weight, time))
        table = MappingProxyType(kept)
        return cls(torch.from_numpy(links), count, bool(directed), strength, made, called, table, bool(signed))

    def __len__(self) -> int:
        """Return the number E of links."""
        return len(self.edges)

    def __repr__(self) -> str:
        kinds = [*["signed"] * self.signed, *["weighted"] * (self.weights is not None)]
        kinds.append("directed" if self.directed else "undirected")
        return f"Graph({self.nodes} nodes, {len(self)} {' '.join(kinds)} links)"

    def __reduce__(self) -> tuple[Any, ...]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return _restored, ({**values, "columns": dict(self.columns)},)

    def strengths(self) -> Tensor:
        """Return the weight of each link, float64 (E,), 1 where there are none."""
        return torch.ones(len(self), dtype=torch.float64) if self.weights is None else self.weights

    def adjacency(self, weighted: bool = True) -> csr_array:
        """Return the matrix (N, N) whose entry (i, j) is the weight of the link from i to j, in float64.

        Args:
            weighted: whether entries are weights, else 1 for every link.

        """
        small = 2 * max(len(self), self.nodes) < 2**31
        i, j = self.edges.numpy().T.astype(np.int32 if small else np.int64)  # the oldest csgraph takes no other
        values = self.strengths().numpy() if weighted else np.ones(len(self))
        if not self.directed:
            i, j, values = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([values, values])
        found = csr_array(coo_array((values, (i, j)), shape=(self.nodes, self.nodes)))
        found.sort_indices()
        return found

    def degrees(self) -> Tensor:
        """Return how many links each node has, int64 (N,); of a directed graph, how many go out of it."""
        ends = self.edges[:, 0] if self.directed else self.edges.reshape(-1)
        return torch.bincount(ends, minlength=self.nodes)

    def in_degrees(self) -> Tensor:
        """Return how many links arrive at each node, int64 (N,); of an undirected graph, how many it has."""
        return torch.bincount(self.edges[:, 1], minlength=self.nodes) if self.directed else self.degrees()

    def isolated(self) -> Tensor:
        """Return which nodes have no link, bool (N,)."""
        return torch.bincount(self.edges.reshape(-1), minlength=self.nodes) == 0

    def components(self) -> Tensor:
        """Return the number of the component that each node is in, whatever the direction of links, int64 (N,)."""
        return torch.from_numpy(connected_components(self.adjacency(False), directed=False)[1]).to(torch.int64)

    def has(self, pairs: Tensor) -> Tensor:
        """Return which pairs of nodes (P, 2) are linked, from the first to the second, bool (P,)."""
        asked = pairs.cpu().numpy()
        known = self.edges.numpy()
        return torch.from_numpy(sought(asked if self.directed else np.sort(asked, 1), known, self.nodes))

    def kept(self, chosen: Tensor) -> Graph:
        """Return the graph of all nodes and the links that a mask (E,) keeps, or that ascending numbers name."""
        weights, times = (None if part is None else part[chosen] for part in (self.weights, self.times))
        return replace(self, edges=self.edges[chosen], weights=weights, times=times)

    def subgraph(self, mask: Tensor) -> Graph:
        """Return the nodes that a mask (N,) keeps, numbered anew in their order, and the links between them.

        Raises:
            ValueError: it keeps none.

        """
        if not bool(mask.any()):
            raise ValueError("expected a graph of at least one node, got none")
        number = torch.cumsum(mask, 0) - 1
        inner = self.kept(mask[self.edges].all(1))
        rows = mask.nonzero()[:, 0].tolist()
        columns = {name: frozen(values[mask.numpy()]) for name, values in self.columns.items()}
        return replace(
            inner,
            edges=number[inner.edges],
            nodes=len(rows),
            names=tuple(self.names[row] for row in rows),
            columns=MappingProxyType(columns),
        )

    def largest_component(self) -> Graph:
        """Return the component with the most nodes; of several, that of the smallest number."""
        of = self.components()
        return self.subgraph(of == int(torch.bincount(of).argmax()))

    def undirected(self) -> Graph:
        """Return the graph without directions: the weights of both are added, and the earlier time stays."""
        if not self.directed:
            return self
        found = Graph.of(
            self.edges,
            self.nodes,
            weights=self.weights,
            times=self.times,
            names=self.names,
            columns=self.columns,
            signed=self.signed,
            duplicates="add",
        )
        return replace(found, weights=None) if self.weights is None else found

    def numbers(self, names: Sequence[str]) -> Tensor:
        """Return the numbers of nodes by name, int64 (n,).

        Raises:
            ValueError: there is no node of a name.

        """
        known = {name: number for number, name in enumerate(self.names)}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"expected names of the {self.nodes} nodes, got {len(unknown)} others, such as {unknown[0]!r}"
            )
        return torch.tensor([known[name] for name in names], dtype=torch.int64)

    def require(
        self, owner: str, *, directed: bool | None = None, signed: bool = False, connected: bool = False, links: int = 1
    ) -> None:
        """Refuse a graph that a model cannot use.

        Args:
            owner: who asks, by name.
            directed: whether links must have a direction, or must not; None for both.
            signed: whether weights may be negative.
            connected: whether there must be one component only, so that no node is isolated.
            links: the least number of links.

        Raises:
            ValueError: the graph is another.

        """
        kinds = {True: "a directed graph", False: "an undirected graph"}
        if directed is not None and directed != self.directed:
            raise ValueError(f"{owner} expected {kinds[directed]}, got {kinds[self.directed]}")
        if self.signed and not signed and self.weights is not None and bool((self.weights < 0).any()):
            raise ValueError(f"{owner} expected weights above 0, got {float(self.weights.min()):g}")
        if len(self) < links:
            raise ValueError(f"{owner} expected a graph of at least {links} links, got {len(self)}")
        if connected and (number := int(self.components().max()) + 1) > 1:
            alone = int(self.isolated().sum())
            hint = f", {alone} of which are nodes without a link" if alone else ""
            raise ValueError(f"{owner} expected a connected graph, got one of {number} components{hint}")


def _restored(values: dict[str, Any]) -> Graph:
    """Return a graph of parts that a copy or another process has made, whose columns can be written to."""
    columns = {name: frozen(column) for name, column in values["columns"].items()}
    return Graph(**{**values, "columns": MappingProxyType(columns)})
