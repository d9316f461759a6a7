"""Quality of the samples of each class while a conditional generator is trained."""

from __future__ import annotations

from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.options import RealSet
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import LatentSpace
from lsgen.metrics.quality import (
    FeatureExtractor,
    Halves,
    IntraFrechetDistance,
    frechet_distance,
    half_sample_intervals,
    real_labels,
)
from lsgen.metrics.quality.frechet import features_moments

__all__ = ["ClassComparison"]


class ClassComparison(PeriodicCallback):
    """Compares samples with real observations class by class, for codes that end in a one-hot label.

    Args:
        extractor: what they are compared by; it carries its name into the keys.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples of a class.
        real: real observations, of all classes together.
        chunk_size: samples drawn at a time.
        turns: see `PeriodicCallback`.
        halves: settings of the confidence interval of the mean without bias, by halves of every class; None for none.

    Raises:
        ValueError: n is below 2 (4, with an interval) or chunk_size is not positive; the data have no labels.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`, or codes hold no class.

    """

    family: ClassVar[str] = "sample/classes"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        extractor: FeatureExtractor,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 1000,
        real: RealSet = RealSet(),
        chunk_size: int = 500,
        turns: Turns = Turns(),
        halves: Halves | None = None,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        least = 2 if halves is None else 4
        if n < least or chunk_size < 1:
            raise ValueError(f"ClassComparison expected n >= {least} and chunk_size >= 1, got {n} and {chunk_size}")
        self.extractor, self.n, self.real, self.chunk_size = extractor, n, real, chunk_size
        self.halves = halves
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; raise if the codes have no class."""
        data, space = self.data_with(trainer, self.real.split, self.real.n), pl_module.latent_space
        assert isinstance(space, LatentSpace)
        if getattr(space.prior, "classes", 0) < 2 or not hasattr(space.prior, "draw_class"):
            kind = type(space.prior).__name__
            raise TypeError(f"ClassComparison expected a prior whose codes end in a class, got {kind}")
        self._data = data

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw samples of every class, compare, and log."""
        assert self._data is not None
        classes, device = int(space.prior.classes), space.prior().mean.device  # type: ignore[arg-type]
        self.extractor.to(device).prepare(self._data)
        self.extractor.eval()
        metric = IntraFrechetDistance(self.extractor.dim, classes, sync_on_compute=False).to(device)
        real = self.real.features(self.extractor, self._data, self.chunk_size, device)
        labels = real_labels(self._data, self.real.split, self.real.n).to(device)
        metric.update(real, labels, real=True)
        fake: list[list[Tensor]] = [[] for _ in range(classes)]
        for c in range(classes):
            for start in range(0, self.n, self.chunk_size):
                label = torch.full((min(self.chunk_size, self.n - start),), c, device=device)
                x = space.raw(space.prior.draw_class(label))  # type: ignore[operator]
                features = self.extractor(x)
                metric.update(features, label, real=False)
                if self.halves is not None:
                    fake[c].append(features)
        found, name = metric.compute(), self.extractor.frechet_key()
        values = {f"intra_{name}": float(found["mean"]), f"worst_{name}": float(found["classes"].max())}
        if self.halves is not None:
            sets = [*(real[labels == c] for c in range(classes)), *map(torch.cat, fake)]
            values |= _interval(sets, f"intra_{name}_unbiased", self.halves)
        sink.scalars({f"{self.family}/{key}": value for key, value in values.items()})
        facts = {"extractor": self.extractor.name, "weights": self.extractor.fingerprint(), "split": self.real.split}
        counts = {"n_real": len(real), "n_fake": self.n * classes, "seed": self.seed}
        sink.arrays(self.family, distances=found["classes"].cpu(), **facts, **counts)


def _interval(sets: list[Tensor], key: str, halves: Halves) -> dict[str, float]:
    """Return the mean distance within classes without bias, and its interval, of K real and K generated sets."""

    def mean(*drawn: Tensor) -> dict[str, Tensor]:
        moments = [features_moments(one) for one in drawn]
        pairs = zip(moments[: len(drawn) // 2], moments[len(drawn) // 2 :], strict=True)
        return {key: torch.stack([frechet_distance(*pair) for pair in pairs]).mean()}

    found = half_sample_intervals(mean, *sets, biased=(key,), halves=halves)[key]
    return {key: found.estimate, f"{key}_low": found.low, f"{key}_high": found.high}
