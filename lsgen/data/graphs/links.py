"""The links of a network as observations, for models of pairs of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.graphs.graph_data import GraphData
from lsgen.data.graphs.link_split import LinkSplit
from lsgen.data.graphs.source import GraphSource
from lsgen.data.graphs.stochastic_blocks import StochasticBlocks
from lsgen.data.loading import Loading
from lsgen.data.module import Split

__all__ = ["Links"]


class Links(GraphData):
    """The links of a network, one an observation: the numbers of its source and its target, (2,).

    An undirected link comes once, its smaller number first. Batches have "weight" where links have weights, and these
    are negative for negative links. Held out are links, which a model then has not seen.

    Args:
        shape: (2,).
        nodes: number of nodes; None for what the network has.
        graph: where the network comes from.
        split: which links are held out, `LinkSplit` or its options.
        batch_size: links in a batch, on each process.
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
        graph: GraphSource = StochasticBlocks(),
        split: LinkSplit | Mapping[str, Any] = LinkSplit(),
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (2,), nodes, graph, split, batch_size, seed, loading)

    def build(self, split: Split) -> BatchDataset:
        """Return the links of a split."""
        return self.subset(self._source, self._rows[split], split)

    @cached_property
    def _source(self) -> TensorSource:
        weights = self.whole.weights
        return TensorSource(x=self.whole.edges, **({} if weights is None else {"weight": weights.float()}))
