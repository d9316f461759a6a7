"""Groups of options of callbacks that evaluate samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, device

from lsgen.data import DataModule, Split
from lsgen.metrics.quality import FeatureExtractor, Halves, real_features

__all__ = ["Cloning", "Neighbourhoods", "Paths", "RealSet"]


@dataclass(frozen=True)
class RealSet:
    """Real observations that samples are compared with.

    Attributes:
        split: which split they come from.
        n: how many; the whole split if None.
        cache: folder of their features that runs may share; None computes them once a run.

    """

    split: Split = "train"
    n: int | None = None
    cache: str | Path | None = None

    def features(self, extractor: FeatureExtractor, data: DataModule, chunk_size: int, where: device) -> Tensor:
        """Return their features (n, dim) on a device."""
        return real_features(extractor, data, self.split, self.n, self.cache, chunk_size, where)


@dataclass(frozen=True)
class Neighbourhoods:
    """Settings of the distances, balls and scores of a comparison, see `lsgen.metrics.quality.Comparison`.

    Attributes:
        k: neighbour that the balls of precision and recall reach to.
        subsets: subsets over which the kernel distance is averaged.
        subset_size: observations in each.
        splits: parts of the samples over which the score of a classifier's probabilities is averaged.
        infinity: subsets of the samples by which the Frechet distance is extrapolated to infinitely many; 0 for none.
        halves: settings of confidence intervals, which cost 2 draws comparisons; None for none.

    """

    k: int | None = None
    subsets: int = 100
    subset_size: int = 1000
    splits: int = 10
    infinity: int = 0
    halves: Halves | None = None


@dataclass(frozen=True)
class Paths:
    """Paths through the latent space along which images change, see `lsgen.metrics.quality.path_length`.

    Attributes:
        n: number of paths.
        kind: "geodesic", or in flat space "linear" or "slerp"; the paper's are "slerp" in Z and "linear" in W.
        eps: step along a path.
        ends: whether steps are taken at the beginning of paths only.
        discard: share of the values left out at either end.

    """

    # differs from Karras et al. (2019): 100,000; the standard error of 10,000 is three times as large
    n: int = 10_000
    # differs from Karras et al. (2019): slerp in Z; geodesics suit every manifold
    kind: Literal["geodesic", "linear", "slerp"] = "geodesic"
    eps: float = 1e-4
    ends: bool = False
    discard: float = 0.01


@dataclass(frozen=True)
class Cloning:
    """Sizes of the cloning experiment.

    Attributes:
        pairs: trajectories, each of which is cloned.
        steps: of the sampler, evenly spaced in l.
        branches: noise levels at which clones part.

    """

    pairs: int = 256
    steps: int = 60
    branches: int = 12
