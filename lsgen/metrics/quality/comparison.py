"""The comparison of generated with real observations by one feature extractor, with the provenance of every value.

| key                                          | meaning                                                 |
|----------------------------------------------|---------------------------------------------------------|
| fid, or fd_NAME for any other extractor      | Frechet distance                                        |
| kid_NAME, kid_NAME_std                       | kernel distance over subsets                            |
| precision_NAME, recall_NAME, density_NAME, coverage_NAME | balls of k nearest neighbours               |
| inception_score, or NAME_score for any other classifier | score of its class probabilities, mean over splits |
| inception_score_std, NAME_score_std          | standard deviation over splits                          |
| KEY_low, KEY_high                            | confidence interval of any of these at as many observations |
| fid_unbiased, fd_NAME_unbiased, .._low, .._high | Frechet distance without its bias in 1/N, interval   |
| fid_infinity, fd_NAME_infinity               | Frechet distance by a line in 1/N, N generated          |

NAME is that of the extractor. Values are comparable only where the whole provenance agrees: a Frechet distance of
5,000 samples is several units above that of 50,000.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lsgen.data import DataModule
from lsgen.data.module import Split
from lsgen.metrics.quality.extrapolation import frechet_infinity
from lsgen.metrics.quality.features import ClassifierFeatures, FeatureExtractor
from lsgen.metrics.quality.frechet import Moments, features_moments, frechet_distance
from lsgen.metrics.quality.intervals import Halves, half_sample_intervals
from lsgen.metrics.quality.kernel import KernelDistance
from lsgen.metrics.quality.manifold import PrecisionRecall, neighbours
from lsgen.metrics.quality.score import inception_score

__all__ = ["Comparison", "Provenance", "as_row", "real_features", "real_labels", "rows_of"]


@dataclass(frozen=True)
class Provenance:
    """The settings, other than the model, that sample-quality values depend on.

    Attributes:
        extractor: name of the extractor.
        weights: fingerprint of its weights.
        resize: what happens to an image before.
        n_real: number of real observations.
        n_fake: number of generated observations.
        split: which split the real ones come from.
        seed: seed of subsets.
        k: neighbour of the balls of precision and recall.
        k_density: that of density and coverage.
        splits: parts over which the score of class probabilities is averaged.

    """

    extractor: str
    weights: str
    resize: str
    n_real: int
    n_fake: int
    split: str
    seed: int
    k: int
    k_density: int
    splits: int


class Comparison:
    """Frechet distance, kernel distance, precision and recall between real features and generated observations.

    If the features are those of a classifier, the score of its class probabilities is computed as well.

    Args:
        extractor: what observations are compared by.
        real: features of real observations, (N, extractor.dim).
        split: which split they come from; stated in the provenance.
        k: neighbour of the balls; 3 for precision and recall, 5 for density and coverage unless given.
        subsets: see `KernelDistance`.
        subset_size: see `KernelDistance`.
        seed: see `KernelDistance`.
        splits: see `inception_score`.
        infinity: subsets of generated observations by which the Frechet distance is extrapolated, see
            `frechet_infinity`; 0 leaves it out.
        halves: settings of confidence intervals; None leaves them out. They cost the time of 2 draws comparisons.

    Raises:
        ValueError: infinity is 1 or negative, or the features have another dimension than the extractor's.

    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        real: Tensor,
        split: str,
        k: int | None = None,
        subsets: int = 100,
        subset_size: int = 1000,
        seed: int = 0,
        splits: int = 10,
        infinity: int = 0,
        halves: Halves | None = None,
    ) -> None:
        if infinity < 0 or infinity == 1:
            raise ValueError(f"expected infinity of 0, or at least 2 subsets to extrapolate from, got {infinity}")
        if real.ndim != 2 or real.shape[1] != extractor.dim:
            raise ValueError(f"expected features of shape (N, {extractor.dim}), got {tuple(real.shape)}")
        self.extractor, self.real, self.split, self.seed, self.k = extractor, real, split, seed, k
        self.splits = splits
        self.kernel = KernelDistance(subsets, subset_size, seed, sync_on_compute=False)
        self.manifold = PrecisionRecall(k, sync_on_compute=False)
        self.infinity, self.halves = infinity, halves
        self._real_moments = features_moments(real)
        self._fake: list[Tensor] = []

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Add generated observations (N, *shape)."""
        self._fake.append(self.extractor(x))

    def provenance(self) -> Provenance:
        """Return the provenance of the values of the observations seen so far."""
        n_fake = sum(map(len, self._fake))
        name, resize, weights = self.extractor.name, self.extractor.resize, self.extractor.fingerprint()
        k, k_density = neighbours(self.k)
        return Provenance(
            name, weights, resize, len(self.real), n_fake, self.split, self.seed, k, k_density, self.splits
        )

    def compute(self) -> dict[str, float]:
        """Return the values by key, and forget the generated observations.

        Raises:
            ValueError: the features are a classifier's, and there are fewer generated observations than splits.

        """
        fake = torch.cat(self._fake)
        self._fake = []
        found = self._values(self.real, fake, self._real_moments)
        frechet = self.extractor.frechet_key()
        if self.infinity:
            found[f"{frechet}_infinity"] = self._extrapolated(fake)
        values = {key: float(value) for key, value in found.items()}
        if self.halves is not None:
            values |= self._intervals(fake, self.halves)
        return values

    def _values(self, real: Tensor, fake: Tensor, moments: Moments | None = None) -> dict[str, Tensor]:
        """Return the values by key for some of the features."""
        moments = features_moments(real) if moments is None else moments
        for metric in (self.kernel, self.manifold):
            metric.reset()
            metric.update(real, real=True)
            metric.update(fake, real=False)
        name, kid = self.extractor.name, self.kernel.compute()
        values = {self.extractor.frechet_key(): frechet_distance(moments, features_moments(fake))}
        values |= {f"kid_{name}": kid["mean"], f"kid_{name}_std": kid["std"]}
        values |= {f"{key}_{name}": value for key, value in self.manifold.compute().items()}
        if isinstance(self.extractor, ClassifierFeatures):
            key = self.extractor.score_key()
            values[key], values[f"{key}_std"] = inception_score(self.extractor.logits(fake), self.splits)
        return values

    def _extrapolated(self, fake: Tensor) -> Tensor:
        return frechet_infinity(self._real_moments, fake, self.infinity, seed=self.seed)

    def _intervals(self, fake: Tensor, halves: Halves) -> dict[str, float]:
        """Return the ends of the intervals by key; those of the Frechet distance are of the one without bias."""
        frechet, unbiased = self.extractor.frechet_key(), f"{self.extractor.frechet_key()}_unbiased"
        drawn = half_sample_intervals(self._values, self.real, fake, biased=(frechet,), halves=halves)
        intervals = {key: one for key, one in drawn.items() if not key.endswith("_std") and key != frechet}
        intervals[unbiased] = drawn[frechet]
        if self.infinity:
            lines = half_sample_intervals(lambda x: {f"{frechet}_infinity": self._extrapolated(x)}, fake, halves=halves)
            intervals |= lines
        values = {unbiased: drawn[frechet].estimate}
        for key, interval in intervals.items():
            values |= {f"{key}_low": interval.low, f"{key}_high": interval.high}
        return values


def rows_of(data: DataModule, split: Split, n: int | None = None) -> Tensor:
    """Return the indices of the first n observations of a split in a fixed random order, int64 (n,).

    Raises:
        ValueError: the split has fewer than n observations.

    """
    total = len(data.dataset(split))
    n = total if n is None else n
    if not 1 <= n <= total:
        raise ValueError(f"expected between 1 and {total} observations of the {split} split, got {n}")
    return torch.randperm(total, generator=torch.Generator().manual_seed(data.split_seed))[:n]


def real_labels(data: DataModule, split: Split, n: int | None = None) -> Tensor:
    """Return the labels, int64 (n,), of the observations whose features `real_features` returns.

    Raises:
        ValueError: the data have no labels, or the split has fewer than n observations.

    """
    rows = data.dataset(split)
    parts = [rows[part] for part in rows_of(data, split, n).split(4096)]
    if "label" not in parts[0]:
        raise ValueError("expected labelled data, got none")
    return torch.cat([part["label"] for part in parts])


@torch.no_grad()
def real_features(
    extractor: FeatureExtractor,
    data: DataModule,
    split: Split = "train",
    n: int | None = None,
    cache: str | Path | None = None,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return features of the first n observations of a split in a fixed random order, float32 (n, dim).

    Args:
        extractor: what observations are compared by.
        data: where they come from.
        split: "train", "val" or "test".
        n: how many; all where it is None.
        cache: folder of stored features; a file is used only where the fingerprint of extractor, data and choice
            agrees, which its name holds. None stores nothing.
        batch_size: observations at a time.
        device: where the features go.

    Raises:
        ValueError: the split has fewer than n observations.

    """
    rows, order = data.dataset(split), rows_of(data, split, n)
    path = None if cache is None else Path(cache) / f"features_{_fingerprint(extractor, data, split, order)}.npy"
    if path is not None and path.exists():
        return torch.from_numpy(np.load(path)).to(device)
    parts = [extractor(rows[part]["x"].to(device)).float() for part in order.split(batch_size)]
    features = torch.cat(parts)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npy")
        np.save(partial, features.cpu().numpy())
        partial.replace(path)
    return features


def _fingerprint(extractor: FeatureExtractor, data: DataModule, split: Split, order: Tensor) -> str:
    """Return 16 hexadecimal digits that depend on the extractor, the choice and some of the observations."""
    some = data.dataset(split)[order[:64]]["x"].contiguous().numpy().tobytes()
    facts = {
        "extractor": extractor.fingerprint(),
        "data": type(data).__name__,
        "shape": data.shape,
        "split": split,
        "order": hashlib.sha256(order.numpy().tobytes()).hexdigest(),
        "observations": hashlib.sha256(some).hexdigest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def as_row(provenance: Provenance) -> dict[str, str]:
    """Return the provenance as text values by name."""
    return {name: str(value) for name, value in asdict(provenance).items()}
