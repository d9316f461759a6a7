"""How far samples of a diffusion model are from real observations, by sampler and number of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy.stats import spearmanr
from torch import Tensor

from lsgen.metrics.quality import FeatureExtractor, real_features
from lsgen.metrics.quality.frechet import features_moments, frechet_distance
from lsgen.models.diffusion import Diffusion
from lsgen.models.diffusion.samplers import Sampler
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["SamplingSteps"]


@dataclass(frozen=True)
class SamplingSteps:
    """Measures Frechet distances of samples from training observations, all samplers from the same noise.

    The keys are `SAMPLER_STEPS`, a distance; `floor`, that of as many test observations; `SAMPLER_correlation`,
    Spearman's between steps and distances; and `ratio`, of the two distances that it names.

    Attributes:
        extractor: the features.
        samplers: name -> steps -> sampler.
        steps: name -> numbers of steps.
        ratio: keys of two distances.
        n: samples of each.
        real: training observations that they are compared with.
        chunk_size: observations at once.

    Raises:
        ValueError: samplers and steps have other names, `ratio` names no distance, or a number is too small.
        TypeError: the model is no diffusion model.

    Reference: Song, Meng & Ermon, "Denoising diffusion implicit models" (2021), table 1,
    https://arxiv.org/abs/2010.02502, which has the Inception network's features.
    """

    extractor: FeatureExtractor
    samplers: Mapping[str, Callable[..., Sampler]]
    steps: Mapping[str, Sequence[int]]
    ratio: Sequence[str]
    n: int = 10_000
    real: int | None = None
    chunk_size: int = 250

    def __post_init__(self) -> None:
        if set(self.samplers) != set(self.steps):
            raise ValueError(f"expected steps of {sorted(self.samplers)}, got those of {sorted(self.steps)}")
        known = [f"{name}_{count}" for name, counts in self.steps.items() for count in counts]
        if len(self.ratio) != 2 or not set(self.ratio) <= set(known):
            raise ValueError(f"expected two of {', '.join(known)} in `ratio`, got {list(self.ratio)}")
        if self.n < 2 or self.chunk_size < 1 or (self.real is not None and self.real < 2):
            raise ValueError(
                f"expected n and real of at least 2 and chunk_size of at least 1, got {self.n}, "
                f"{self.real} and {self.chunk_size}"
            )

    @torch.no_grad()
    def __call__(self, run: TrainedRun) -> Measured:
        """Measure a run."""
        model = run.model
        if not isinstance(model, Diffusion):
            raise TypeError(f"SamplingSteps expected a diffusion model, got {type(model).__name__}")
        device = next(model.parameters()).device
        self.extractor.to(device).prepare(run.data)
        self.extractor.eval()
        real = features_moments(
            real_features(self.extractor, run.data, "train", self.real, None, self.chunk_size, device)
        )

        def distance(features: Tensor) -> float:
            return float(frechet_distance(features_moments(features), real))

        held_out = real_features(self.extractor, run.data, "test", self.n, None, self.chunk_size, device)
        values = {"floor": distance(held_out)}
        for name, counts in self.steps.items():
            distances = [
                distance(self._features(model, self.samplers[name](steps=count), run.seed)) for count in counts
            ]
            values.update({f"{name}_{count}": found for count, found in zip(counts, distances, strict=True)})
            values[f"{name}_correlation"] = float(spearmanr(counts, distances).statistic)
        first, second = self.ratio
        return Measured({**values, "ratio": values[first] / values[second]})

    def _features(self, model: Diffusion, sampler: Sampler, seed: int) -> Tensor:
        """Return features (n, dim) of samples."""
        generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
        counts = [len(part) for part in torch.arange(self.n).split(self.chunk_size)]
        parts = [self.extractor(model.sample(count, sampler=sampler, generator=generator)) for count in counts]
        return torch.cat(parts)
