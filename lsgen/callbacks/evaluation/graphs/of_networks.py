"""Codes and scores of the nodes of the network that is trained on, for callbacks that judge them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from math import isfinite
from typing import ClassVar, Literal, get_args

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.analysis import Statistic
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.held_out_scores import score_rows
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import GraphData
from lsgen.latent import Codes, Euclidean, ItemSpace, Sphere
from lsgen.metrics.graphs import CodeScores, LinkScores, PairScores
from lsgen.models.graphs import LinkSpace

__all__ = ["OfNetworks", "ScoredBy", "scores_of"]

ScoredBy = Literal["model", "distance", "cosine", "dot"]


class OfNetworks(PeriodicCallback):
    """Abstract callback that judges the codes of the nodes of a network.

    Where that cannot be done, such as with codes that are not finite, there is a warning and nothing else.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        turns: see `PeriodicCallback`.

    Raises:
        TypeError: when training starts, the data are no network, or the model has no space. Of a space without items,
            a line says that it is left out.

    """

    default_steps: ClassVar[int | None] = None
    takes: ClassVar[type] = ItemSpace

    def __init__(self, every_n_steps: int | None, every_n_epochs: int | None, turns: Turns) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self._network: GraphData | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the network; refuse other data."""
        data = self.data_of(trainer)
        if not isinstance(data, GraphData):
            raise TypeError(
                f"{type(self).__name__} expected a network, a lsgen.data.GraphData, got {type(data).__name__}"
            )
        self._network = data

    @abstractmethod
    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Measure and log."""

    def render(self, space: ItemSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure and log what can be measured."""
        assert self._network is not None
        try:
            self.judge(space, self._network, sink)
        except ValueError as error:
            rank_zero_warn(f"{type(self).__name__} measured nothing: {error}")

    def codes(self, space: ItemSpace, data: GraphData) -> Codes:
        """Return the codes of the nodes in their order, with what the network knows of them and their "degree".

        Raises:
            ValueError: nodes have no code, or one is not finite.

        """
        columns = dict(data.graph.columns) | {"degree": data.counts}
        return space.items().select(ids=list(data.graph.names)).with_columns(columns)

    def scores(self, space: ItemSpace, data: GraphData, by: ScoredBy | None) -> PairScores:
        """Return the scores of pairs of nodes, see `scores_of`."""
        return scores_of(space, self.codes(space, data), by)

    def send(self, place: str, scores: Mapping[str, Mapping[str, Tensor]], sink: Sink) -> None:
        """Log scores: a "value" as FAMILY/PLACE/NAME, and what is known beside it as .../NAME_WHAT, where finite."""
        rows = score_rows(self.family, {place + name: parts for name, parts in scores.items()})
        sink.scalars({key: value for key, value in rows.items() if isfinite(value)})

    def send_statistic(self, place: str, one: Statistic, sink: Sink) -> None:
        """Log a number as FAMILY/PLACE, with the ends of its interval and what it is by chance, where finite."""
        low, high = one.interval or (torch.nan, torch.nan)
        found = {
            "value": one.value,
            "low": low,
            "high": high,
            "chance": torch.nan if one.baseline is None else one.baseline,
        }
        self.send("", {place: {name: torch.tensor(value) for name, value in found.items()}}, sink)


def scores_of(space: ItemSpace, codes: Codes, by: ScoredBy | None = None) -> PairScores:
    """Return scores of pairs of nodes, greater for more probable links.

    Args:
        space: the space of the nodes.
        codes: their codes.
        by: what is scored: "model", the logits of links that the model has; minus the "distance" of codes, their
            "cosine" or their "dot" product. None for the model's where it has them, else for the cosine in flat space
            and on spheres, and minus the distance elsewhere.

    Raises:
        ValueError: there is no such score, or the model has no logits of links.

    """
    if by not in (None, *get_args(ScoredBy)):
        raise ValueError(f"expected scores by {', '.join(get_args(ScoredBy))}, got {by!r}")
    if isinstance(space, LinkSpace) and by in (None, "model"):
        nodes = space
        return LinkScores(nodes.link_scores, len(codes), lambda source: nodes.decoder(nodes.table()[source]))
    if by == "model":
        raise ValueError(f"expected a space with logits of links for scores by model, got {type(space).__name__}")
    flat = isinstance(codes.manifold, Euclidean | Sphere)
    return CodeScores(codes, by or ("cosine" if flat else "distance"))
