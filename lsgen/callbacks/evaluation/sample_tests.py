"""Statistical tests of samples while training: against held-out data, and for copies of training data.

Samples are draws from p(x|z) at codes of the prior, or of another sampler, with the same seed every time. A value that
is not finite is left out. See `lsgen.metrics.quality.hypotheses` for what each test assumes, and for the values that a
perfect generator has by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.options import RealSet
from lsgen.callbacks.latent.sampling import CodeSource
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import CodeSampler, generate_in_chunks
from lsgen.metrics.quality import FeatureExtractor
from lsgen.metrics.quality.hypotheses import (
    CLASSIFIERS,
    authenticity,
    classifier_two_sample_test,
    compare_bins,
    copying_statistic,
)

__all__ = ["Memorisation", "TwoSampleTests"]


class TwoSampleTests(PeriodicCallback):
    """Tests whether samples are distributed as the data: classifier two-sample tests, and statistically different bins.

    Classifiers are tested against held-out observations, bins are those of all training observations.

    Args:
        extractor: features that are tested; it carries its name into the keys.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples.
        real: real observations that classifiers have to tell from samples; training observations are no independent
            draws for a generator, or an extractor, that was trained on them.
        classifiers: some of "knn", "linear" and "mlp", see `classifier_two_sample_test`.
        bins: see `compare_bins`; 0 leaves them out.
        chunk_size: samples drawn at a time.
        turns: see `PeriodicCallback`.
        sampler: source of codes, see `lsgen.latent.sampling.samplers`; the prior unless given.

    Raises:
        ValueError: a number is out of its range, or a classifier is not known.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "sample/tests"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        extractor: FeatureExtractor,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 5000,
        real: RealSet = RealSet(split="val"),
        classifiers: Sequence[str] = ("knn", "linear"),
        bins: int = 100,
        chunk_size: int = 500,
        turns: Turns = Turns(),
        sampler: CodeSampler | None = None,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(4, n=n, **{"real.n": real.n})
        self.at_least(1, chunk_size=chunk_size)
        if unknown := set(classifiers) - set(CLASSIFIERS):
            known = ", ".join(CLASSIFIERS)
            raise ValueError(f"TwoSampleTests expected classifiers out of {known}, got {', '.join(sorted(unknown))}")
        if bins < 0 or bins == 1:
            raise ValueError(f"TwoSampleTests expected at least 2 bins, or 0 for none, got {bins}")
        if not classifiers and not bins:
            raise ValueError("TwoSampleTests expected classifiers or bins, got neither")
        self.extractor, self.n, self.real, self.classifiers = extractor, n, real, tuple(classifiers)
        self.bins, self.chunk_size, self.source = bins, chunk_size, CodeSource(sampler)
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; check that there are observations enough."""
        self._data = self.data_with(trainer, self.real.split, self.real.n or 4)
        if self.bins:
            self.data_with(trainer, "train", self.bins)
        self.source.setup(trainer, pl_module)

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw samples, test them, and log."""
        assert self._data is not None
        fake = _features(self.extractor, self._data, space, self.n, self.chunk_size, self.source)
        real = self.real.features(self.extractor, self._data, self.chunk_size, fake.device)
        values: dict[str, float] = {}
        for name in self.classifiers:
            test = classifier_two_sample_test(real, fake, name, self.seed)
            values |= {f"c2st_{name}": test.accuracy, f"c2st_{name}_low": test.low, f"c2st_{name}_high": test.high}
            values |= {f"c2st_{name}_p": test.p_value, "c2st_detectable": test.detectable}
        facts: dict[str, Any] = {"split": self.real.split, "n_real": len(real), "n_fake": len(fake), "seed": self.seed}
        if self.bins:
            train = RealSet(cache=self.real.cache).features(self.extractor, self._data, self.chunk_size, fake.device)
            found = compare_bins(train, fake, self.bins, seed=self.seed)
            values |= {"ndb": found.share, "ndb_jensen_shannon": found.divergence, "ndb_p": found.p_value}
            facts |= {"z_of_bins": found.z, "n_train": len(train)}
        _send(self.family, self.extractor, values, facts, sink)


class Memorisation(PeriodicCallback):
    """Tests whether samples copy training observations: the data-copying statistic C_T, and authenticity in percent.

    Args:
        extractor: features in which distances are taken; it carries its name into the keys.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples.
        n_real: training observations, as many as cells at least, and 2; all where it is None.
        cells: see `copying_statistic`.
        cache: folder of features of the data that runs may share; None computes them once a turn.
        chunk_size: samples drawn at a time.
        turns: see `PeriodicCallback`.
        sampler: source of codes, see `lsgen.latent.sampling.samplers`; the prior unless given.

    Raises:
        ValueError: a number is not positive, or there are too few observations.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "sample/memorisation"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        extractor: FeatureExtractor,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 5000,
        n_real: int | None = None,
        cells: int = 10,
        cache: str | Path | None = None,
        chunk_size: int = 500,
        turns: Turns = Turns(),
        sampler: CodeSampler | None = None,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, cells=cells, chunk_size=chunk_size)
        self.at_least(max(2, cells), n_real=n_real)
        self.extractor, self.n, self.n_real, self.cells = extractor, n, n_real, cells
        self.cache, self.chunk_size, self.source = cache, chunk_size, CodeSource(sampler)
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module; check that there are observations enough."""
        self._data = self.data_with(trainer, "train", self.n_real or max(2, self.cells))
        self.data_with(trainer, "val")
        self.source.setup(trainer, pl_module)

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Draw samples, test them, and log."""
        assert self._data is not None
        fake = _features(self.extractor, self._data, space, self.n, self.chunk_size, self.source)
        sets = RealSet("train", self.n_real, self.cache), RealSet("val", cache=self.cache)
        train, held_out = (one.features(self.extractor, self._data, self.chunk_size, fake.device) for one in sets)
        copying = copying_statistic(train, held_out, fake, self.cells, seed=self.seed)
        found, reference = authenticity(train, fake), authenticity(train, held_out)
        values = {"c_t": copying.statistic, "c_t_z": copying.z, "c_t_p": copying.p_value}
        values |= {"authpct": found.percent, "authpct_low": found.low, "authpct_high": found.high}
        values |= {"authpct_held_out": reference.percent}
        counts = {"n_train": len(train), "n_held_out": len(held_out), "n_fake": len(fake), "seed": self.seed}
        facts = {"z_of_cells": copying.cells, "authentic": found.authentic.cpu(), **counts}
        _send(self.family, self.extractor, values, facts, sink)


def _features(
    extractor: FeatureExtractor, data: DataModule, space: LatentSpace, n: int, chunk_size: int, source: CodeSource
) -> Tensor:
    """Return the features of n samples, float32 (n, dim)."""
    sampler = source.prepare(space, chunk_size)
    features: list[Tensor] = []
    for x in generate_in_chunks(space, n, chunk_size, sampler):
        if not features:
            extractor.to(x.device).prepare(data)
            extractor.eval()
        features.append(extractor(x).float())
    return torch.cat(features)


def _send(
    family: str, extractor: FeatureExtractor, values: dict[str, float], facts: dict[str, Any], sink: Sink
) -> None:
    """Log the finite values under the name of the extractor, and write what they depend on."""
    finite = {f"{family}/{extractor.name}/{key}": value for key, value in values.items() if isfinite(value)}
    sink.scalars(finite)
    sink.arrays(family, extractor=extractor.name, weights=extractor.fingerprint(), **facts)
