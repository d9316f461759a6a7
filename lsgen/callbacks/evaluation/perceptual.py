"""Perceptual path length and diversity of samples while training."""

from __future__ import annotations

from math import isfinite
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer

from lsgen.callbacks.base import PeriodicCallback, Turns, Which
from lsgen.callbacks.evaluation.options import Paths
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import LatentSpace
from lsgen.latent.sampling.samplers import generate_in_chunks
from lsgen.metrics.quality import PerceptualDistance, diversity, path_length
from lsgen.metrics.quality.perceptual_path_length import step_along

__all__ = ["PerceptualQuality"]


class PerceptualQuality(PeriodicCallback):
    """Logs how fast images change along latent paths and how far two samples are apart, by a perceptual distance.

    By LPIPS of VGG16 the first is the perceptual path length, `ppl`; by another distance it is `path_length_NAME`.

    Args:
        distance: a perceptual distance; it carries its name into the keys.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples that the diversity is taken from, in n/2 pairs.
        paths: number, kind and step of the paths.
        chunk_size: images compared at a time.
        turns: see `PeriodicCallback`.
        space: see `PeriodicCallback`; paths in "w" are straight in the paper.

    Raises:
        ValueError: n is below 4 or chunk_size not positive; when training starts, the data are no images that the
            distance can compare.
        TypeError: when training starts, codes leave their manifold on such paths, or the data are no
            `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "sample/perceptual"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        distance: PerceptualDistance,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        paths: Paths = Paths(),
        chunk_size: int = 100,
        turns: Turns = Turns(),
        space: Which = "z",
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns, space)
        if n < 4 or chunk_size < 1:
            raise ValueError(f"PerceptualQuality expected n >= 4 and chunk_size >= 1, got {n} and {chunk_size}")
        self.distance, self.n, self.paths, self.chunk_size = distance, n, paths, chunk_size
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse data that the distance cannot compare, and paths that leave the manifold."""
        self._data = self.data_with(trainer, "train")
        self.distance.check(self._data.shape)
        step_along(self.check(pl_module).manifold, self.paths.kind)

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure and log."""
        assert self._data is not None
        x = torch.cat(list(generate_in_chunks(space, self.n, self.chunk_size)))
        self.distance.to(x.device).prepare(self._data)
        mean, error = diversity(self.distance, x, self.chunk_size)
        of = self.paths
        found = path_length(
            space, self.distance, of.n, of.eps, of.kind, of.ends, of.discard, self.chunk_size, self.seed
        )
        length, name = self.distance.path_length_key(), self.distance.name
        values = {length: found.mean, f"{length}_std": found.std}
        values |= {f"diversity_{name}": mean, f"diversity_{name}_error": error}
        numbers = {f"{self.family}/{key}": float(value) for key, value in values.items()}
        sink.scalars({key: value for key, value in numbers.items() if isfinite(value)})
