"""What codes of nodes tell of their labels while they train: by few labels, and without any."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from lsgen import viz
from lsgen.analysis.networks import community_agreement, spectral_coordinates
from lsgen.analysis.probing import ProbeCurves, ProbeOptions, probe
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData
from lsgen.latent import Codes, ItemSpace
from lsgen.latent.columns import is_text

__all__ = ["Communities", "NodeClassification", "OfNodeLabels"]

MOST, WIDEST = 50, 2000


class OfNodeLabels(OfNetworks):
    """Abstract callback that compares codes with what is known of nodes.

    Args:
        columns: of the network; all that hold text or truth values, and "label", unless given.
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: when training starts, the network has no such column.
        TypeError: see `OfNetworks`.

    """

    def __init__(
        self, columns: Sequence[str], every_n_steps: int | None, every_n_epochs: int | None, turns: Turns
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.columns = tuple(columns)

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the network, and say where nothing is known of its nodes."""
        super().prepare(trainer, pl_module)
        assert self._network is not None
        known = self._network.graph.columns
        if missing := [name for name in self.columns if name not in known]:
            raise ValueError(
                f"{type(self).__name__} expected columns out of {', '.join(known) or 'none'}, got {missing[0]!r}"
            )
        if not self.chosen(self._network):
            rank_zero_info(f"{type(self).__name__} asks nothing: the network has no labels of its nodes")

    def chosen(self, data: GraphData) -> tuple[str, ...]:
        """Return the columns that are looked at: those with 2 to 50 labels, unless they are named."""
        if self.columns:
            return self.columns
        kinds = {
            name: values
            for name, values in data.graph.columns.items()
            if name == "label" or is_text(values) or values.dtype == bool
        }
        return tuple(name for name, values in kinds.items() if 2 <= len(np.unique(values.astype(str))) <= MOST)

    @abstractmethod
    def compare(self, codes: Codes, column: str, data: GraphData, sink: Sink) -> None:
        """Measure and log."""

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Measure and log."""
        if columns := self.chosen(data):
            codes = self.codes(space, data)
            for column in columns:
                self.compare(codes, column, data, sink)


class NodeClassification(OfNodeLabels):
    """Logs how well probes predict labels of nodes by the number of labels that they are fitted to.

    The same probes of other coordinates stand beside the codes: as many of the spectrum of the network of training, the
    features of nodes where there are some, and the most frequent label.

    Args:
        columns: see `OfNodeLabels`.
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        options: how probes are fitted and judged.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: see `OfNodeLabels`.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/classification"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        columns: Sequence[str] = (),
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        options: ProbeOptions = ProbeOptions(),
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(columns, every_n_steps, every_n_epochs, turns)
        self.options = options

    def compare(self, codes: Codes, column: str, data: GraphData, sink: Sink) -> None:
        """Fit the probes, and log accuracies and their curves."""
        others = {"spectrum": spectral_coordinates(data.graph, min(codes.dim, len(codes)))}
        if data.features is not None and data.features.shape[1] <= WIDEST:
            others["features"] = data.features.toarray()
        found = probe(codes, column, others, self.options)
        for name, scores in found.scores.items():
            for budget, one in zip(found.budgets, scores, strict=True):
                self.send_statistic(f"{column}/{name}/at_{budget}", one, sink)
        self._draw(found, sink)

    def _draw(self, found: ProbeCurves, sink: Sink) -> None:
        series = {}
        for name, scores in found.scores.items():
            values = np.array([one.value for one in scores])
            ends = np.array([one.interval or (np.nan, np.nan) for one in scores])
            series[name] = (found.budgets, values, ends[:, 0], ends[:, 1])
        judged = "accuracy" if found.kind == "classification" else "R²"
        title = f"{found.column} of held-out nodes, by the number of labels"
        picture = viz.interval_curves(series, title, "labels", judged, dashed=("majority",))
        sink.image(f"{self.family}/{found.column}/curves", picture)


class Communities(OfNodeLabels):
    """Logs how well clusters of codes agree with labels of nodes, adjusted for chance.

    Beside those of codes, by k-means and by their nearest neighbours, stand those of the network by its spectrum alone.

    Args:
        columns: see `OfNodeLabels`.
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        k: nearest neighbours that codes are joined to.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: k is not positive; see `OfNodeLabels`.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/communities"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        columns: Sequence[str] = (),
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        k: int = 10,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(columns, every_n_steps, every_n_epochs, turns)
        self.at_least(1, k=k)
        self.k = k

    def compare(self, codes: Codes, column: str, data: GraphData, sink: Sink) -> None:
        """Find clusters and log their agreement."""
        for name, one in community_agreement(codes, column, data.graph, self.k, self.seed).items():
            self.send_statistic(f"{column}/{name}/rand_index", one.rand_index, sink)
            self.send_statistic(f"{column}/{name}/mutual_information", one.mutual_information, sink)
