"""Link prediction while codes of nodes train, beside what the links of training tell without any codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks, ScoredBy
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData, HeldOutLinks, Split
from lsgen.latent import ItemSpace
from lsgen.metrics.graphs import BASELINES, LinkPrediction

__all__ = ["LinkTests"]

DEFAULT = ("common_neighbours", "adamic_adar", "resource_allocation", "preferential_attachment")


class LinkTests(OfNetworks):
    """Logs AUC, average precision and Hits@k of held-out links against pairs that are not linked.

    Beside each value of the model stand its 95 % interval, the level of chance, and the same of scores that count
    neighbours in the network of training alone.

    Args:
        every_n_steps: see `OfNetworks`.
        every_n_epochs: see `OfNetworks`.
        by: what the model's pairs are scored by, see `scores_of`.
        baselines: names of scores without codes, see `lsgen.metrics.graphs.BASELINES`; empty for none.
        ks: numbers of pairs without a link that hits come before.
        splits: whose links are asked for.
        draws: bootstrap samples of the intervals; 0 for none.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range, there is no such baseline, or no split is named.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/links"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        by: ScoredBy | None = None,
        baselines: Sequence[str] = DEFAULT,
        ks: Sequence[int] = (10, 50, 100),
        splits: Sequence[Split] = ("val", "test"),
        draws: int = 1000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        LinkPrediction(ks, draws=draws)
        if unknown := [name for name in baselines if name not in BASELINES]:
            raise ValueError(f"LinkTests expected baselines out of {', '.join(BASELINES)}, got {unknown[0]!r}")
        if not splits or not set(splits) <= {"val", "test"}:
            raise ValueError(f"LinkTests expected splits val and test, or one of them, got {list(splits)}")
        self.by, self.ks, self.draws = by, tuple(ks), draws
        self.baselines, self.splits = tuple(baselines), tuple(splits)
        self._known: dict[Split, dict[str, dict[str, dict[str, Tensor]]]] = {}

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the network, and say where no link of it is held out."""
        super().prepare(trainer, pl_module)
        self._known.clear()
        assert self._network is not None
        if not any(len(self._network.held_out(split).positive) for split in self.splits):
            rank_zero_info(
                f"LinkTests asks nothing: no link of {' or '.join(self.splits)} is held out; GraphReconstructionTest "
                "measures how well links of training are found again"
            )

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Measure and log."""
        scores = self.scores(space, data, self.by)
        for split in self.splits:
            held_out = data.held_out(split)
            if not len(held_out.positive) or not len(held_out.negative):
                continue
            pairs = torch.cat([held_out.positive, held_out.negative])
            found = {"model": self._measured(scores.of_pairs(pairs), held_out)}
            if split not in self._known:
                self._known[split] = {
                    name: self._measured(BASELINES[name](data.graph, pairs), held_out) for name in self.baselines
                }
            found |= self._known[split]
            for name, parts in found.items():
                self.send(f"{split}/{name}/", {key: one for key, one in parts.items() if key != "pairs"}, sink)
            self.send(f"{split}/", {"pairs": found["model"]["pairs"]}, sink)
            self._show(split, found, sink)

    def _measured(self, scores: Tensor, held_out: HeldOutLinks) -> dict[str, dict[str, Tensor]]:
        metric = LinkPrediction(self.ks, draws=self.draws, sync_on_compute=False)
        metric.update(scores.cpu(), torch.arange(len(scores)) < len(held_out.positive))
        return metric.compute()

    def _show(self, split: Split, found: Mapping[str, Mapping[str, Mapping[str, Tensor]]], sink: Sink) -> None:
        """Log a table of all numbers, and a chart of AUC and AP."""
        columns = ("value", "low", "high", "chance")
        rows = [
            [name, measure, *(float(parts[column]) if column in parts else None for column in columns)]
            for name, measures in found.items()
            for measure, parts in measures.items()
            if measure != "pairs"
        ]
        sink.rows(
            f"{self.family}/{split}/scores", ["score", "measure", "value", "lower end", "upper end", "chance"], rows
        )
        shown = {measure.upper(): [_bar(one[measure]) for one in found.values()] for measure in ("auc", "ap")}
        names = [name.replace("_", " ") for name in found]
        title = f"Links of {split} told from pairs without a link, with 95 % intervals"
        chance = found["model"]["ap"]["chance"]
        about = f"by chance 0.5 and {float(chance):.2g}"
        sink.image(f"{self.family}/{split}/bars", viz.horizontal_bars(shown, names, title, about))


def _bar(parts: Mapping[str, Tensor]) -> tuple[float, float, float]:
    low, high = (float(parts.get(end, torch.tensor(torch.nan))) for end in ("low", "high"))
    return float(parts["value"]), low, high
