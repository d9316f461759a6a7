"""The links of a network as observations, for models of pairs of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.draws import Purpose, stream
from lsgen.data.graphs.graph_data import GraphData
from lsgen.data.graphs.link_split import LinkSplit
from lsgen.data.graphs.made.stochastic_blocks import StochasticBlocks
from lsgen.data.graphs.source import GraphSource
from lsgen.data.loading import Loading
from lsgen.data.module import Split
from lsgen.data.sampler import Batching, ShuffledBatches

__all__ = ["Links"]


class Links(GraphData):
    """The links of a network, one an observation: the numbers of its source and its target, (2,).

    An undirected link comes once, its smaller number first. Batches have "weight" where links have weights, and these
    are negative for negative links; not so in training where links are drawn by weight. Held out are links, which a
    model then has not seen.

    Args:
        shape: (2,).
        nodes: number of nodes; None for what the network has.
        graph: where the network comes from.
        split: which links are held out, `LinkSplit` or its options.
        by_weight: whether training draws links with replacement, in proportion to their weights, as many in an epoch as
            there are, instead of each once.
        batch_size: links in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Raises:
        ValueError: an option is out of its range, the network has another number of nodes or no links, links are to be
            drawn by weight and have none or negative ones, or see `LinkSplit.rows`.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        nodes: int | None = None,
        graph: GraphSource = StochasticBlocks(),
        split: LinkSplit | Mapping[str, Any] = LinkSplit(),
        by_weight: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        super().__init__(shape, (2,), nodes, graph, split, batch_size, seed, loading)
        self.by_weight = bool(by_weight)
        if self.by_weight:
            self.graph.require("data.by_weight")
            if self.graph.weights is None:
                raise ValueError(f"expected links with weights for data.by_weight, got {self.graph}")

    def build(self, split: Split) -> BatchDataset:
        """Return the links of a split."""
        source = self._source
        if self.by_weight and split == "train":
            source = TensorSource(x=source.tensors["x"])
        return self.subset(source, self._rows[split], split)

    def _shuffled(self, data: BatchDataset, batching: Batching) -> ShuffledBatches:
        return DrawnBatches(self.graph.strengths(), batching) if self.by_weight else super()._shuffled(data, batching)

    @cached_property
    def _source(self) -> TensorSource:
        weights = self.whole.weights
        return TensorSource(x=self.whole.edges, **({} if weights is None else {"weight": weights.float()}))


class DrawnBatches(ShuffledBatches):
    """Batches for training of observations drawn with replacement, as many in an epoch as there are.

    Args:
        weights: to which draws are proportional, float64 (N,), above 0.
        batching: how they are ordered and cut into batches.

    """

    def __init__(self, weights: Tensor, batching: Batching) -> None:
        super().__init__(range(len(weights)), batching)
        self.cumulative = weights.cumsum(0) / weights.sum()

    def order(self, epoch: int) -> Tensor:
        """Return the draws of an epoch, int64 (N,)."""
        count = len(self.cumulative)
        drawn = torch.rand(count, dtype=torch.float64, generator=stream(self.seed, Purpose.ORDER, epoch))
        return torch.searchsorted(self.cumulative[:-1], drawn, right=True)
