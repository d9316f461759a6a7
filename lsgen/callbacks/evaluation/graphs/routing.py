"""Greedy routing by codes of nodes while they train, and whether hubs lie near the centre."""

from __future__ import annotations

from typing import ClassVar

from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData
from lsgen.latent import Euclidean, ItemSpace, Lorentz, PoincareBall
from lsgen.metrics.graphs import CodeScores, RoutingRule, greedy_routing, radius_degree

__all__ = ["Routing"]


class Routing(OfNetworks):
    """Logs how many packets arrive that go to the neighbour nearest to their target, and how much longer their way is.

    The network is that of training; beside each value stand its 95 % interval over targets and what it is if codes
    belong to other nodes. In flat and in hyperbolic space Spearman's correlation of radius and degree is logged too.

    Args:
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        rule: when a packet is lost, see `lsgen.metrics.graphs.greedy_routing`.
        targets: number of nodes that packets are for, drawn at random, the same in every turn; None for all.
        draws: bootstrap samples of the intervals; 0 for none.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range, or there is no such rule.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/routing"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        rule: RoutingRule = "nearest",
        targets: int | None = 200,
        draws: int = 1000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        if rule not in ("nearest", "closer"):
            raise ValueError(f"Routing expected rule nearest or closer, got {rule!r}")
        self.at_least(1, targets=1 if targets is None else targets)
        self.at_least(0, draws=draws)
        self.rule, self.targets, self.draws = rule, targets, draws

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Measure and log."""
        codes = self.codes(space, data)
        found = greedy_routing(CodeScores(codes), data.graph, self.rule, self.targets, self.draws, seed=self.seed)
        self.send("", found, sink)
        if isinstance(codes.manifold, Euclidean | Lorentz | PoincareBall):
            self.send("", {"radius_degree": radius_degree(codes, data.counts)}, sink)
