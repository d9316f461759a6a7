"""How well the codes predict, and separate, the ground-truth factors of the data.

Scores are measured on fixed held-out observations, encoded once, if the data module knows their factors; factors that
do not vary are left out. The observations are those of the test set and, where it has fewer than are asked for, of the
validation set. See `lsgen.metrics.disentanglement` for the definition of each score. Where factors are not independent
a warning says which, and which of the scores take them to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.callbacks.engine.observer import Observer
from lsgen.data import DataModule, Observations, Split
from lsgen.latent import EncodableSpace
from lsgen.metrics import FactorRegression
from lsgen.metrics.disentanglement import OBSERVATIONS, disentanglement_metrics
from lsgen.metrics.disentanglement.factor_pairs.dependence import dependent_pairs

__all__ = ["FactorMetrics"]


class FactorMetrics(Observer):
    """Logs R² of linear fits of the ground-truth factors from posterior means, and disentanglement scores.

    It measures where the latent space has an encoder and the data have factors, and says nothing elsewhere.

    Args:
        n: held-out observations, all where test and validation set have fewer together; None takes as many as the
            preset expects, 15,000 for "full" and 5,000 otherwise.
        chunk_size: observations encoded at a time.
        preset: settings of the disentanglement scores, "fast" to compare runs by or "full" to quote, see
            `lsgen.metrics.disentanglement.disentanglement_metrics`; None leaves the scores out.

    Raises:
        ValueError: n or chunk_size is not positive, or the preset is not known.

    """

    judges: ClassVar[bool] = True

    def __init__(self, n: int | None = None, chunk_size: int = 500, preset: str | None = "fast") -> None:
        if preset is not None:
            disentanglement_metrics(preset)
        n = OBSERVATIONS[preset or "fast"] if n is None else n
        if n < 1 or chunk_size < 1:
            raise ValueError(f"expected n and chunk_size of at least 1, got {n} and {chunk_size}")
        self.n, self.chunk_size, self.preset = n, chunk_size, preset

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        space = getattr(pl_module, "latent_space", None)
        if not isinstance(data, DataModule) or not data.factor_names or not isinstance(space, EncodableSpace):
            return
        probes = _held_out(data, self.n)
        factors = torch.cat([probe["factors"] for probe in probes]).to(pl_module.device)
        parts = [x for probe in probes for x in probe["x"].split(self.chunk_size)]
        codes = torch.cat([_codes(space, x.to(pl_module.device)) for x in parts])
        metric = FactorRegression(space.dim, len(data.factor_names)).to(pl_module.device)
        metric.update(codes, factors)
        values = metric.compute()
        row = {
            f"test/factor/{name}/{key}": values[key].reshape(-1)[i]  # a metric drops the dimension of a single number
            for i, name in enumerate(data.factor_names)
            for key in ("r2", "r2_single")
        }
        if self.preset is not None:
            scores = _scores(codes, factors, data.factor_names, self.preset)
            row |= {f"test/disentanglement/{name}": score for name, score in scores}
        for key, value in row.items():
            pl_module.log(key, value, batch_size=1, rank_zero_only=True)


def _held_out(data: DataModule, n: int) -> list[Observations]:
    """Return n observations of the test set, then of the validation set."""
    probes = []
    splits: tuple[Split, ...] = ("test", "val")
    for split in splits:
        taken = min(n, len(data.dataset(split)))
        if taken:
            probes.append(data.probe(taken, split))
        n -= taken
    return probes


@torch.no_grad()
def _codes(space: EncodableSpace, x: Tensor) -> Tensor:
    return space.encode(x).mean


def _scores(codes: Tensor, factors: Tensor, names: Sequence[str], preset: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the held-out scores by name; a metric of several parts has one for each."""
    varies = (factors != factors[:1]).any(0)
    factors, names = factors[:, varies], [name for name, kept in zip(names, varies.tolist(), strict=True) if kept]
    metrics = disentanglement_metrics(preset)
    _say_dependence(factors, names, [name for name, metric in metrics.items() if metric.independent_factors])
    for name, metric in metrics.items():
        if factors.shape[1] < metric.least_factors:
            continue
        metric.to(codes.device).update(codes, factors)
        terms = metric.terms()
        held_out = [part for part in metric.parts if not part.startswith("train_")]
        for part in held_out:
            yield name if len(held_out) == 1 else f"{name}/{part}", terms[part]
        if "parting" in terms:
            for (i, first), (j, second) in combinations(enumerate(names), 2):
                yield f"{name}/entanglement/{first}_{second}", terms["parting"][i, j]


def _say_dependence(factors: Tensor, names: Sequence[str], scores: Sequence[str]) -> None:
    """Warn of factors that are not independent, with the scores that take them to be."""
    pairs = dependent_pairs(factors)
    if pairs:
        which = ", ".join(f"{names[i]} and {names[j]} (Cramér's V {v:.2f})" for i, j, v in pairs)
        rank_zero_warn(
            f"FactorMetrics expected independent factors, got a dependence of {which}: {', '.join(scores)} charge the "
            "codes for it"
        )
