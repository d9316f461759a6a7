"""The gap between the codes of two views, whether a direction tells them apart, and what the loss is without it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import normalize

from lsgen import viz
from lsgen.analysis import Statistic
from lsgen.analysis.directions.cross_validation import cross_validated_auc
from lsgen.analysis.projections.components import principal_components
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.multimodal.codes_of_views import OfViews, ViewedCodes
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Split
from lsgen.metrics.multimodal import ModalityGap
from lsgen.metrics.multimodal.modality_gap import centred_directions, losses_along_gap

__all__ = ["ModalityGaps"]

FOLDS, MAPPED, COMPARED = 5, 500, 256
SHIFTS = tuple(tenths / 10 for tenths in range(-5, 16))
TEMPERATURES = (0.01, 0.1, 1.0)


class ModalityGaps(OfViews):
    """Logs the gap between the codes of each pair of views, and how well a direction tells the views apart.

    The AUC is cross-validated, both views of an observation in one fold: 1/2 where the views cannot be told apart. It
    is logged for codes as they are and for their directions about the mean of each view. Codes of a space without a
    sphere, as those of a joint posterior, are compared by their directions. Figures are a map of both views, by their
    first two principal components, and the InfoNCE loss of one batch of held-out observations while the views are moved
    towards one another.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        temperatures: of the losses; that of the model is added where it has one.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is not positive, or no split is named; when training starts, there are too few.
        TypeError: see `OfViews`.

    """

    family: ClassVar[str] = "modality_gap"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        temperatures: Sequence[float] = TEMPERATURES,
        splits: Sequence[Split] = ("val", "test"),
        chunk_size: int = 500,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, n, splits, chunk_size, turns)
        if not temperatures or not all(tau > 0 for tau in temperatures):
            raise ValueError(f"ModalityGaps expected temperatures above 0, got {list(temperatures)}")
        self.temperatures = tuple(float(tau) for tau in temperatures)
        self._module: LightningModule | None = None

    @property
    def least(self) -> int:
        """Two observations in each fold."""
        return 2 * FOLDS

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module and the model, whose temperature is logged."""
        super().prepare(trainer, pl_module)
        self._module = pl_module

    def judge(self, space: Any, found: ViewedCodes, sink: Sink) -> None:
        """Measure and log."""
        for first, second in combinations(found.codes, 2):
            of = f"{self.family}/{first}_and_{second}"
            metric = ModalityGap(seed=self.seed, sync_on_compute=False)
            a, b = (normalize(found.codes[name].detach().cpu().double(), dim=1) for name in (first, second))
            metric.update(a, b)
            scores = {f"{first}_and_{second}/{name}": parts for name, parts in metric.compute().items()}
            for name, pair in (("auc", (a, b)), ("auc_centred", (centred_directions(a), centred_directions(b)))):
                scores[f"{first}_and_{second}/{name}"] = _parts(self._auc(*pair))
            self.send(scores, sink)
            sink.image(f"{of}/map", _mapped(a[:MAPPED], b[:MAPPED], first, second))
            self._draw_losses(a[:COMPARED], b[:COMPARED], of, sink)

    def _auc(self, a: Tensor, b: Tensor) -> Statistic:
        n = len(a)
        vectors, view = torch.cat([a, b]).numpy(), np.repeat([0.0, 1.0], n)
        return cross_validated_auc(vectors, view, np.tile(np.arange(n), 2), FOLDS, self.seed)

    def _draw_losses(self, a: Tensor, b: Tensor, of: str, sink: Sink) -> None:
        """Draw the loss as views are moved, and log at which shift it is least at the temperature of the model."""
        own = getattr(self._module, "temperature", None)
        temperatures = sorted({*self.temperatures, *(() if own is None else (float(own),))})
        losses = losses_along_gap(a, b, SHIFTS, temperatures)
        series = {f"τ = {tau:.3g}": (SHIFTS, row.numpy()) for tau, row in zip(temperatures, losses, strict=True)}
        title = f"InfoNCE of {len(a)} observations as the gap is widened (below 0) or closed (1)"
        sink.image(f"{of}/losses", viz.curves(series, title, "share of the gap by which views are moved", "nats"))
        if own is not None:
            row = losses[temperatures.index(float(own))]
            closed = row[SHIFTS.index(1.0)] - row[SHIFTS.index(0.0)]
            sink.scalars({f"{self.family}/temperature": float(own), f"{of}/loss_if_closed": float(closed)})


def _parts(found: Statistic) -> dict[str, Tensor]:
    parts = {"value": found.value, "chance": 0.5}
    if found.interval is not None:
        parts |= dict(zip(("low", "high"), found.interval, strict=True))
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in parts.items()}


def _mapped(a: Tensor, b: Tensor, first: str, second: str) -> viz.Pixels:
    """Return a map of the codes of both views, as they are and about the mean of each view."""
    maps = {}
    for name, x, y in (
        ("as they are", a, b),
        ("about the mean of each view", centred_directions(a), centred_directions(b)),
    ):
        both = torch.cat([x, y]).numpy()
        mean, axes = both.mean(0), principal_components(both)[0]
        maps[name] = (both - mean) @ axes[:2].T
    groups = np.repeat([first, second], len(a))
    return viz.scatter_maps(maps, f"Codes of {first} and {second}, first two principal components", groups)
