"""Samples next to their nearest training observations, which show whether a generator memorised its data.

A ratio well below 1 says that samples are closer to the training data than other data are: memorisation. Distances
are Euclidean in the features of the extractor.

Reference: Meehan, Chaudhuri & Dasgupta, "A non-parametric test to detect data-copying in generative models" (2020),
https://arxiv.org/abs/2004.05675, compares the same two sets of distances.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.latent.options import Decoding
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.data import DataModule
from lsgen.latent import LatentSpace
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.quality import FeatureExtractor, real_features, rows_of

__all__ = ["NearestNeighbours"]


class NearestNeighbours(PeriodicCallback):
    """Shows samples with their nearest neighbours in the training data.

    Args:
        extractor: features in which distances are taken.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        n: samples shown.
        k: neighbours of each.
        n_ratio: samples, and held-out observations, from which the ratio is taken; fewer where there are fewer.
        n_real: training observations searched; all where it is None.
        cache: folder of training features that runs may share; None computes them once a run.
        decoding: range of values shown, and observations at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a count is not positive, or there are fewer training observations than neighbours.
        TypeError: when training starts, the data are no `lsgen.data.DataModule`.

    """

    family: ClassVar[str] = "sample/neighbours"

    def __init__(
        self,
        extractor: FeatureExtractor,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 8,
        k: int = 5,
        n_ratio: int = 1000,
        n_real: int | None = None,
        cache: str | Path | None = None,
        decoding: Decoding = Decoding(chunk_size=500),
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, k=k, n_ratio=n_ratio, chunk_size=decoding.chunk_size)
        self.extractor, self.n, self.k, self.n_ratio, self.n_real = extractor, n, k, n_ratio, n_real
        self.cache, self.decoding = cache, decoding
        self._data: DataModule | None = None

    @property
    def wanted(self) -> int:
        """Observations from which the range of the data is taken."""
        return 64

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module."""
        self._data = self.data_with(trainer, "train", self.n_real)
        self.data_with(trainer, "val")

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Find the neighbours, draw and log."""
        assert self._data is not None
        chunk = self.decoding.chunk_size
        samples = torch.cat([space.sample(chunk) for _ in range(-(-max(self.n, self.n_ratio) // chunk))])
        self.extractor.to(samples.device).prepare(self._data)
        self.extractor.eval()
        train, held_out = (self._features(split, samples.device) for split in ("train", "val"))
        if len(train) < self.k:
            raise ValueError(
                f"NearestNeighbours expected at least k = {self.k} training observations, got {len(train)}"
            )
        features = torch.cat([self.extractor(part).float() for part in samples.split(self.decoding.chunk_size)])
        distances, indices = nearest_neighbours(features[: self.n], train, self.k)
        m = min(self.n_ratio, len(held_out))
        medians = [nearest_neighbours(x[:m], train).distances.median() for x in (features, held_out)]
        sink.scalars({f"{self.family}/ratio": float(medians[0] / medians[1])})
        rows = rows_of(self._data, "train", self.n_real)[indices.cpu()]
        neighbours = self._data.dataset("train")[rows.flatten()]["x"].unflatten(0, rows.shape)
        self._draw(space, probe, sink, samples[: self.n], neighbours, distances)
        facts = {"extractor": self.extractor.name, "weights": self.extractor.fingerprint(), "n_real": len(train)}
        sink.arrays(f"{self.family}/grid", distances=distances.cpu(), indices=rows, **facts)  # type: ignore[arg-type]

    def _features(self, split: str, device: torch.device) -> Tensor:
        assert self._data is not None
        n = self.n_real if split == "train" else None
        return real_features(self.extractor, self._data, split, n, self.cache, self.decoding.chunk_size, device)  # type: ignore[arg-type]

    def _draw(
        self, space: LatentSpace, probe: Probe | None, sink: Sink, x: Tensor, near: Tensor, distances: Tensor
    ) -> None:
        draw = drawing_of(space, near if probe is None else probe.x, self.decoding.bounds)
        both = torch.cat([x[:, None].cpu(), near.to(x.dtype)], 1)
        pixels = draw(both)
        labels = ["to " + ", ".join(f"{d:.3g}" for d in row) for row in distances.tolist()]
        names = ["sample", *(str(i + 1) for i in range(self.k))]
        title = f"Nearest training observations by {self.extractor.name}"
        sink.image(f"{self.family}/grid", viz.grid(pixels, labels, names, title, gaps=[1]))
