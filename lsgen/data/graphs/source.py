"""What a network of a data set comes from."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from lsgen.latent.graphs import Graph

__all__ = ["FeatureSource", "GraphSource"]


class GraphSource(Protocol):
    """A source of a network, such as a file or a model that draws one."""

    def graph(self) -> Graph:
        """Return the network, the same in every call."""


@runtime_checkable
class FeatureSource(Protocol):
    """A source that knows features of the nodes as well."""

    def features(self) -> Any:
        """Return the features of the nodes, a sparse array of scipy in rows (N, F)."""
