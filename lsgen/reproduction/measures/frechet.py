"""The Frechet distance of generated from real observations, once training is over."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import generate_in_chunks
from lsgen.metrics.quality import FeatureExtractor, FrechetDistance, real_features
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Frechet"]


@dataclass(frozen=True)
class Frechet:
    """Measures the Frechet distance of samples from training observations in some features; the key is `distance`.

    It is the FID for `lsgen.metrics.quality.Inception` alone.

    Attributes:
        extractor: the features.
        n: samples, drawn from the prior; more than one.
        real: training observations, drawn at random; None: all of them.
        chunk_size: observations at once.

    Raises:
        ValueError: a number is too small, or there are fewer training observations than `real`.

    """

    extractor: FeatureExtractor
    n: int = 50_000
    real: int | None = None
    chunk_size: int = 250

    def __post_init__(self) -> None:
        if self.n < 2 or self.chunk_size < 1 or (self.real is not None and self.real < 2):
            raise ValueError(f"expected n and real of at least 2 and chunk_size of at least 1, got {self}")

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        device = next(run.model.parameters()).device
        self.extractor.to(device).prepare(run.data)
        self.extractor.eval()
        metric = FrechetDistance(self.extractor.dim).to(device)
        real = real_features(self.extractor, run.data, "train", self.real, None, self.chunk_size, device)
        metric.update(real, real=True)
        space = run.model.latent_space
        assert isinstance(space, LatentSpace)
        for x in generate_in_chunks(space, self.n, self.chunk_size):
            metric.update(self.extractor(x), real=False)
        return Measured({"distance": float(metric.compute())})
