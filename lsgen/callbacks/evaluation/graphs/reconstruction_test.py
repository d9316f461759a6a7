"""Reconstruction of a network while codes of its nodes train."""

from __future__ import annotations

from typing import ClassVar

import torch

from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks, ScoredBy
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData
from lsgen.latent import ItemSpace
from lsgen.metrics.graphs import GraphReconstruction, graph_reconstruction

__all__ = ["GraphReconstructionTest"]


class GraphReconstructionTest(OfNetworks):
    """Logs the mean rank and the mean average precision of the nodes that nodes are linked to in training.

    Links that are held out count as none. Beside each value stand its 95 % interval over nodes and the level of chance.

    Args:
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        by: what pairs are scored by, see `scores_of`.
        n: number of nodes that are asked for their neighbours, drawn at random, the same in every turn; None for all.
        draws: bootstrap samples of the intervals; 0 for none.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/reconstruction"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        by: ScoredBy | None = None,
        n: int | None = 2000,
        draws: int = 1000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        GraphReconstruction(draws=draws)
        if n is not None:
            self.at_least(1, n=n)
        self.by, self.n, self.draws = by, n, draws

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Measure and log."""
        linked = (data.graph.degrees() > 0).nonzero()[:, 0]
        order = torch.randperm(len(linked), generator=torch.Generator().manual_seed(self.seed))
        asked = linked[order[: self.n].sort().values]
        metric = GraphReconstruction(draws=self.draws, sync_on_compute=False)
        scores = self.scores(space, data, self.by)
        self.send("", graph_reconstruction(scores, data.graph, metric, sources=asked), sink)
