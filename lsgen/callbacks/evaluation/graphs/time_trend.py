"""The axis along which the nodes of a network move with a time, such as papers with their years, while they train."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lsgen import viz
from lsgen.analysis.directions import trend_of
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData
from lsgen.latent import Euclidean, ItemSpace

__all__ = ["TimeTrend"]


class TimeTrend(OfNetworks):
    """Logs how much of the variance of a time the codes of nodes explain along one axis, and draws them along it.

    Nodes are those with a link in training and a finite time. Each is explained by the codes of other folds; beside the
    share stand its 95 % interval over nodes, and what it is if times belong to other nodes.

    Args:
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        column: of the network, the time of each node.
        folds: of which each is explained by the others, see `lsgen.analysis.directions.trend_of`.
        draws: bootstrap samples of the interval; 0 for none.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; codes lie on a curved manifold, or there is no such column of numbers,
            which a warning says.
        TypeError: see `OfNetworks`.

    Reference: Asatani et al., "Detecting trends in academic research from a citation network using network
    representation learning" (2018).

    """

    family: ClassVar[str] = "graph/trend"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        column: str = "year",
        folds: int = 10,
        draws: int = 1000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(2, folds=folds)
        self.at_least(0, draws=draws)
        self.column, self.folds, self.draws = column, folds, draws

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Measure, log and draw."""
        codes, known = self.codes(space, data), data.graph.columns
        if not isinstance(codes.manifold, Euclidean):
            raise ValueError(f"expected codes of flat space, got those of {codes.manifold}")
        if self.column not in known or known[self.column].dtype.kind not in "iuf":
            numbers = ", ".join(name for name, values in known.items() if values.dtype.kind in "iuf") or "none"
            raise ValueError(f"expected a column of numbers of the network, out of {numbers}, got {self.column!r}")
        times = known[self.column].astype(np.float64)
        asked = ~data.graph.isolated().numpy() & np.isfinite(times)
        z, year = codes.z[asked], times[asked]
        found = trend_of(z, year, self.folds, self.draws, self.seed)
        self.send_statistic("r2", found.r2, sink)
        panel = {"": (found.along, found.across, year)}
        title = f"{len(year)} nodes; one axis explains {found.r2.value:.0%} of the variance"
        sink.image(self.family, viz.trend_axis(panel, title, self.column))
        names = np.asarray(data.graph.names, dtype=object)[asked]
        columns = ("node", self.column, "told by the code", "along the trend")
        rows = zip(names.tolist(), year.tolist(), found.intrinsic.tolist(), found.along.tolist(), strict=True)
        sink.rows(f"{self.family}/nodes", columns, [list(row) for row in rows])
