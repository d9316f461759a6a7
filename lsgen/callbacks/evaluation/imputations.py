"""Imputation of missing values by the model, compared with methods that have no latent space.

METHOD is mean, knn, iterative, missforest, pca, miwae, pseudo_gibbs or metropolis, see `lsgen.metrics.imputation`. What
is missing is shown in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.data import Split
from lsgen.latent import EncodableLatentSpace, LatentSpace, impute
from lsgen.latent.densities import check_density
from lsgen.metrics.imputation import METHODS, NEED_DENSITIES, QUICK_METHODS, compare_imputations

__all__ = ["Imputations"]


class Imputations(PeriodicCallback):
    """Compares imputations of held-out observations with gaps; batches must have "observed".

    Gaps whose truth is NaN are filled in the picture and left out of the comparison.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: held-out observations, or all where there are fewer.
        draws: draws of every method.
        level: probability of the central interval.
        samples: codes for every observation in importance sampling.
        methods: which methods are compared, see `compare_imputations`.
        split: where the observations come from; "train" fills the gaps of what was trained on.
        columns: images in one row of the picture.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; when training starts, the data have no gaps, or none whose truth is
            known.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`, or a method or the picture needs
            densities that the latent space has not.

    """

    family: ClassVar[str] = "reconstruction/imputation"
    needs_encoder = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 500,
        draws: int = 100,
        level: float = 0.9,
        samples: int = 2000,
        methods: Sequence[str] = QUICK_METHODS,
        split: Split = "val",
        columns: int = 16,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, draws=draws, samples=samples, columns=columns)
        if not 0 < level < 1:
            raise ValueError(f"Imputations expected a level in (0, 1), got {level}")
        self.n, self.draws, self.level, self.samples = n, draws, level, samples
        self.methods, self.split, self.columns = tuple(methods), split, columns
        if unknown := set(self.methods) - set(METHODS):
            raise ValueError(f"Imputations expected methods out of {', '.join(METHODS)}, got {', '.join(unknown)}")
        self._parts: list[tuple[Tensor, Tensor]] = []

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the training and the held-out observations with their gaps."""
        data = self.data_with(trainer, self.split)
        train, held_out = data.dataset("train"), data.dataset(self.split)
        batches = [train[torch.arange(len(train))], held_out[torch.arange(min(self.n, len(held_out)))]]
        if "observed" not in batches[0]:
            raise ValueError('Imputations expected batches with "observed", got none: set data.missing')
        held_out_x, seen = batches[1]["x"], batches[1]["observed"]
        if not bool((~seen & ~held_out_x.isnan()).any()):
            raise ValueError(
                f"Imputations expected gaps in the {self.split} observations whose true values are known, to compare "
                "with, got none: gaps of a file (data.missing=mask) have no truth"
            )
        space = self.check(pl_module)
        assert isinstance(space, EncodableLatentSpace)
        if not NEED_DENSITIES.isdisjoint(self.methods) or len(space.likelihood.shape) > 1:
            check_density(space.prior, space.posterior)
        self._parts = [(batch["x"], batch["observed"]) for batch in batches]

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Compare and draw."""
        if not isinstance(space, EncodableLatentSpace) or not self._parts:
            raise TypeError(f"Imputations expected an encoder and data with gaps, got {type(space).__name__}")
        device = next(space.parameters()).device
        train, test = ((x.to(device), observed.to(device)) for x, observed in self._parts)
        scores = compare_imputations(space, train, test, self.draws, self.level, self.samples, self.methods)
        sink.scalars({f"{self.family}/{m}/{k}": value for m, row in scores.items() for k, value in row.items()})
        if len(space.likelihood.shape) > 1:
            self._draw(space, *test, sink)

    def _draw(self, space: EncodableLatentSpace, x: Tensor, observed: Tensor, sink: Sink) -> None:
        x, observed = x[: self.columns], observed[: self.columns]
        x = torch.where(x.isnan(), x[observed].mean(), x)
        draw = drawing_of(space, x)
        filled = impute(space, x, observed, self.samples, 1)
        holes = torch.where(observed, x, sum(viz.value_range(x)) / 2)
        rows = [draw(part) for part in (x, holes, filled.mean, filled.draws[0])]
        sink.image("reconstruction/imputation", viz.grid(np.stack(rows), ["input", "observed", "mean", "draw"]))
