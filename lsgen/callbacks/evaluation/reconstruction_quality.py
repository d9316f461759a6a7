"""Quality of the reconstructions of a model with an encoder while training."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.options import RealSet
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import DataModule
from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.metrics import ImageSimilarity
from lsgen.metrics.quality import (
    FeatureExtractor,
    Halves,
    PerceptualDistance,
    frechet_distance,
    half_sample_intervals,
    rows_of,
)
from lsgen.metrics.quality.frechet import features_moments
from lsgen.metrics.reconstruction import window

__all__ = ["ReconstructionQuality"]


class ReconstructionQuality(PeriodicCallback):
    """Compares held-out images with their reconstructions, the means of p(x|z) at the posterior means.

    It logs `psnr`, `ssim`, by an extractor the Frechet distance of reconstructions to the same images (`rfid` for the
    Inception network, `rfd_NAME` for another), and by a perceptual distance its mean (`lpips_vgg16`, `distance_NAME`).
    `ssim` is that of the paper, of a window with sigma = 1.5; another sigma is part of its name.

    Args:
        extractor: features of the Frechet distance; none is computed without.
        distance: perceptual distance; none is computed without.
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        real: which images; 2 at least, and 4 with an interval.
        sigma: see `lsgen.metrics.ImageSimilarity`.
        halves: settings of the interval of the Frechet distance without bias, by halves of the images; None for none.
        chunk_size: images at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: sigma or chunk_size is not positive, there are fewer images asked for than needed, or an interval
            without an extractor; when training starts, the data are no images, too small or beyond [0, 1].
        TypeError: when training starts, the data are no `lsgen.data.DataModule`, or the space has no encoder.

    """

    family: ClassVar[str] = "reconstruction/quality"
    judges: ClassVar[bool] = True
    needs_encoder = True

    def __init__(
        self,
        extractor: FeatureExtractor | None = None,
        distance: PerceptualDistance | None = None,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        real: RealSet = RealSet("val"),
        sigma: float = 1.5,
        halves: Halves | None = None,
        chunk_size: int = 100,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, chunk_size=chunk_size)
        self.at_least(2 if halves is None else 4, **{"real.n": real.n})
        if halves is not None and extractor is None:
            raise ValueError("ReconstructionQuality expected an extractor for the interval of the Frechet distance")
        self.similarity = ImageSimilarity(1.0, sigma, sync_on_compute=False)
        self.extractor, self.distance, self.real, self.halves = extractor, distance, real, halves
        self.chunk_size = chunk_size
        self._data: DataModule | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse data that cannot be compared."""
        data = self.data_with(trainer, self.real.split, self.real.n or (2 if self.halves is None else 4))
        least = window(self.similarity.sigma)
        if len(data.shape) != 3 or min(data.shape[1:]) < least:
            raise ValueError(
                f"ReconstructionQuality expected images (C, H, W) of at least {least} x {least} pixels, the window of "
                f"SSIM, got shape {data.shape}: a smaller sigma has a smaller window"
            )
        if self.distance is not None:
            self.distance.check(data.shape)
        some = data.dataset(self.real.split)[rows_of(data, self.real.split, self.real.n)[:64]]["x"]
        if not bool(((some >= 0) & (some <= 1)).all()):
            found = f"values from {float(some.min()):.3g} to {float(some.max()):.3g}"
            raise ValueError(f"ReconstructionQuality expected images in [0, 1], got {found}")
        self._data = data

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Reconstruct, compare and log."""
        assert self._data is not None
        assert isinstance(space, EncodableLatentSpace)
        device = next(space.parameters()).device
        self.similarity.to(device).reset()
        for part in (self.extractor, self.distance):
            if part is not None:
                part.to(device).prepare(self._data)
                part.eval()
        distances: list[Tensor] = []
        features: list[Tensor] = []
        for x, again in self._pairs(space):
            self.similarity.update(x, again)
            if self.distance is not None:
                distances.append(self.distance(x, again))
            if self.extractor is not None:
                features.append(torch.cat([self.extractor(one).float() for one in (x, again)], 1))
        found, sigma = {key: float(value) for key, value in self.similarity.compute().items()}, self.similarity.sigma
        values = {"psnr": found["psnr"], "ssim" if sigma == 1.5 else f"ssim_sigma_{sigma:g}": found["ssim"]}
        if self.distance is not None:
            values[self.distance.distance_key()] = float(torch.cat(distances).mean())
        if self.extractor is not None:
            values |= self._frechet(torch.cat(features), f"r{self.extractor.frechet_key()}")
            facts = {"extractor": self.extractor.name, "weights": self.extractor.fingerprint()}
            sink.arrays(self.family, **facts, split=self.real.split, n=sum(map(len, features)))
        sink.scalars({f"{self.family}/{key}": value for key, value in values.items() if isfinite(value)})

    def _pairs(self, space: EncodableLatentSpace) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and their reconstructions."""
        assert self._data is not None
        like, data = next(space.parameters()), self._data.dataset(self.real.split)
        for rows in rows_of(self._data, self.real.split, self.real.n).split(self.chunk_size):
            x = data[rows]["x"].to(like.device, like.dtype)
            yield x, space.decode(space.encode(x).mean).mean.clamp(0, 1)

    def _frechet(self, both: Tensor, key: str) -> dict[str, float]:
        """Return the Frechet distance of the two halves of every row (N, 2 m), and its interval."""
        distance = _distance(both)
        if self.halves is None:
            return {key: float(distance)}
        drawn = half_sample_intervals(lambda x: {key: _distance(x)}, both, biased=(key,), halves=self.halves)[key]
        ends = {f"{key}_unbiased": drawn.estimate, f"{key}_unbiased_low": drawn.low, f"{key}_unbiased_high": drawn.high}
        return {key: float(distance), **ends}


def _distance(both: Tensor) -> Tensor:
    return frechet_distance(*(features_moments(part) for part in both.chunk(2, 1)))
