"""The nodes of a network as observations, for models that see all links of a node together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.graphs.graph_data import GraphData
from lsgen.data.graphs.link_split import LinkSplit
from lsgen.data.graphs.social_networks import KarateClub
from lsgen.data.graphs.source import GraphSource
from lsgen.data.loading import Loading
from lsgen.data.module import Split

__all__ = ["Nodes"]


class Nodes(GraphData):
    """The nodes of a network, one an observation: its number, (1,).

    Every split has all nodes: what is held out are links, `held_out`, and models see those of `graph` alone.

    Args:
        shape: (1,).
        nodes: number of nodes; None for what the network has.
        graph: where the network comes from.
        split: which links are held out, `LinkSplit` or its options.
        batch_size: nodes in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, the network has another number of nodes or no links, or see
            `LinkSplit.rows`.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        nodes: int | None = None,
        graph: GraphSource = KarateClub(),
        split: LinkSplit | Mapping[str, Any] = LinkSplit(),
        batch_size: int = 17,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (1,), nodes, graph, split, batch_size, seed, loading)

    def build(self, split: Split) -> BatchDataset:
        """Return all nodes."""
        return self.subset(TensorSource(x=torch.arange(self.nodes)[:, None]), torch.arange(self.nodes), split)
