"""Quality of samples while training.

Samples are draws from p(x|z) at codes of the prior, or of another sampler, with the same seed every time. A value that
is not finite is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import ClassVar

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.options import Neighbourhoods, RealSet
from lsgen.callbacks.latent.sampling import CodeSource
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import CodeSampler, generate_in_chunks
from lsgen.metrics.quality.comparison import Comparison, as_row
from lsgen.metrics.quality.features import ClassifierFeatures, FeatureExtractor

__all__ = ["SampleComparison", "SampleQuality"]


class SampleQuality(PeriodicCallback):
    """Feeds samples to metrics of a single sample set and logs what they compute.

    Args:
        metrics: metrics by name, with `update(samples)`; a metric that computes one number is logged under its
            name, one that computes a mapping under the names in there.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples.
        chunk_size: samples drawn at a time.
        turns: see `PeriodicCallback`.
        sampler: source of codes, see `lsgen.latent.sampling.samplers`; the prior unless given.
        codes: training observations to whose codes the sampler is fitted, anew at every turn.

    Raises:
        ValueError: there are no metrics, or n or chunk_size is not positive.

    """

    family: ClassVar[str] = "sample/quality"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2500,
        chunk_size: int = 500,
        turns: Turns = Turns(),
        sampler: CodeSampler | None = None,
        codes: int = 10_000,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        if not metrics:
            raise ValueError("SampleQuality expected at least one metric, got none")
        self.at_least(1, n=n, chunk_size=chunk_size)
        self.metrics, self.n, self.chunk_size = dict(metrics), n, chunk_size
        self.source = CodeSource(sampler, codes)

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that the sampler can draw codes of this model before training starts."""
        self.source.setup(trainer, pl_module)

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw the samples and log the metrics."""
        sampler = self.source.prepare(space, self.chunk_size)
        for x in generate_in_chunks(space, self.n, self.chunk_size, sampler):
            for metric in self.metrics.values():
                metric.sync_on_compute = False  # the other processes take no part in this turn
                metric.to(x.device).update(x)
        values: dict[str, float] = {}
        for name, metric in self.metrics.items():
            computed = metric.compute()
            values |= (
                {k: float(v) for k, v in computed.items()} if isinstance(computed, dict) else {name: float(computed)}
            )
            metric.reset()
        sink.scalars({f"{self.family}/{name}": value for name, value in values.items() if isfinite(value)})


class SampleComparison(PeriodicCallback):
    """Compares samples with real observations in a feature space: Frechet and kernel distance, precision, recall.

    If the features are a classifier's, it logs the score of their class probabilities too: `inception_score` for the
    Inception network, NAME_score for another one.

    Args:
        extractor: what they are compared by; it carries its name into the keys.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples.
        real: real observations.
        neighbourhoods: settings of distances, balls and scores.
        chunk_size: samples drawn at a time.
        turns: see `PeriodicCallback`.
        sampler: source of codes, see `lsgen.latent.sampling.samplers`; the prior unless given.
        codes: training observations to whose codes the sampler is fitted, anew at every turn.

    Raises:
        ValueError: n or chunk_size is not positive, the score of a classifier has no split or fewer samples (fewer in
            half of them, where there are intervals) than splits, or there are too few to extrapolate.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "sample/comparison"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        extractor: FeatureExtractor,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 10_000,
        real: RealSet = RealSet(),
        neighbourhoods: Neighbourhoods = Neighbourhoods(),
        chunk_size: int = 500,
        turns: Turns = Turns(),
        sampler: CodeSampler | None = None,
        codes: int = 10_000,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, chunk_size=chunk_size, splits=neighbourhoods.splits)
        least = neighbourhoods.splits * (1 if neighbourhoods.halves is None else 2)
        if isinstance(extractor, ClassifierFeatures) and n < least:
            asked = "neighbourhoods.splits" if neighbourhoods.halves is None else "twice neighbourhoods.splits"
            raise ValueError(f"SampleComparison expected n of at least {asked} = {least}, got {n}")
        if neighbourhoods.infinity and n < (needed := 20 if neighbourhoods.halves is None else 40):
            raise ValueError(f"SampleComparison expected n of at least {needed} to extrapolate from, got {n}")
        self.extractor, self.n, self.real = extractor, n, real
        self.neighbourhoods, self.chunk_size = neighbourhoods, chunk_size
        self.source = CodeSource(sampler, codes)
        self._data: DataModule | None = None
        self._comparison: Comparison | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; check the source of codes."""
        self._data, self._comparison = self.data_with(trainer, self.real.split, self.real.n), None
        self.source.setup(trainer, pl_module)

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw the samples, compare, and log values and provenance."""
        sampler = self.source.prepare(space, self.chunk_size)
        for x in generate_in_chunks(space, self.n, self.chunk_size, sampler):
            self._comparison = self._comparison or self._prepared(x)
            self._comparison.update(x)
        assert self._comparison is not None
        sink.arrays(self.family, **as_row(self._comparison.provenance()))
        values = self._comparison.compute()
        sink.scalars({f"{self.family}/{name}": value for name, value in values.items() if isfinite(value)})

    def _prepared(self, like: Tensor) -> Comparison:
        assert self._data is not None
        self.extractor.to(like.device).prepare(self._data)
        self.extractor.eval()
        real, of = self.real.features(self.extractor, self._data, self.chunk_size, like.device), self.neighbourhoods
        settings = (of.k, of.subsets, of.subset_size, self.seed, of.splits, of.infinity, of.halves)
        return Comparison(self.extractor, real, self.real.split, *settings)
