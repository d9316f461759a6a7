"""Networks in GraphML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from networkx.readwrite.graphml import GraphMLReader

from lsgen.data.files import reading
from lsgen.data.graphs.files.found import ColumnChoice, FoundGraph, FoundNodes, unpacked

__all__ = ["read_graph_ml"]


def read_graph_ml(path: Path, choice: ColumnChoice) -> FoundGraph:
    """Return the network of a file, with what it says of nodes as columns.

    Args:
        path: the file.
        choice: which attributes of links are weight and time; those called so by themselves.

    Raises:
        ValueError: the file is damaged, or holds no network or several, or a link lacks an attribute.

    """
    with reading("network", path), unpacked(path) as content:
        graphs = list(GraphMLReader(node_type=str)(path=content)) or [nx.read_graphml(path)]
    if len(graphs) > 1:
        raise ValueError(f"expected one network in {path}, got {len(graphs)}")
    graph = graphs[0]
    keys, links = list(graph), list(graph.edges(data=True))
    number = {key: row for row, key in enumerate(keys)}
    attributes = dict.fromkeys(name for _, known in graph.nodes(data=True) for name in known)
    columns = {name: [known.get(name) for _, known in graph.nodes(data=True)] for name in attributes}
    edges = np.array([(number[a], number[b]) for a, b, _ in links], np.int64).reshape(-1, 2)
    given = (_attribute(links, getattr(choice, option), option, path) for option in ("weight", "time"))
    return FoundGraph(edges, FoundNodes([str(key) for key in keys], columns), bool(graph.is_directed()), *given)


def _attribute(links: list[Any], chosen: str | int | None, option: str, path: Path) -> list[float] | None:
    name = option if chosen == "auto" else chosen
    found = [known.get(name) for _, _, known in links]
    missing = sum(value is None for value in found)
    if name is None or (chosen == "auto" and missing == len(found)):
        return None
    wrong = next((value for value in found if isinstance(value, bool) or not isinstance(value, int | float)), None)
    if missing or wrong is not None:
        got = f"{missing} without" if missing else repr(wrong)
        raise ValueError(f"expected a number as {option} {name!r} of each of {len(found)} links in {path}, got {got}")
    return found
