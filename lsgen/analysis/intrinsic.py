r"""How many dimensions codes fill, from the distances to their nearest neighbours.

In a space of dimension m in which codes are evenly spread at the scale of their neighbours,

    TwoNN   mu = r_2 / r_1 has P(mu > x) = x^-m; m is the slope of -log(1 - F(mu)) against log mu, without the tenth
            of the greatest ratios
    MLE     1/m = average over codes of (1 / (k - 1)) sum_{j < k} log(r_k / r_j)

with the distances r_j of the codes' own manifold (extra `maps`, by scikit-dimension). Copies of codes are left out.
Intervals are by leaving out groups of codes; they do not cover the bias that edges and curvature bring, which grows
with m: estimates above 10 are too low unless there are very many codes.

Reference: Facco, d'Errico, Rodriguez & Laio, "Estimating the intrinsic dimension of datasets by a minimal neighborhood
information" (2017), https://doi.org/10.1038/s41598-017-11873-y; Levina & Bickel, "Maximum likelihood estimation of
intrinsic dimension" (2004); Bac et al., "Scikit-dimension" (2021), https://doi.org/10.3390/e23101368.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.analysis.intervals import group_jackknife
from lsgen.analysis.statistic import Statistic
from lsgen.extras import from_extra
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["IntrinsicDimension", "intrinsic_dimension"]

LEAST = 30


@dataclass(frozen=True)
class IntrinsicDimension:
    """How many dimensions codes fill; the baseline of each is the number of their coordinates.

    Attributes:
        two_nn: from the ratio of the distances to two neighbours.
        mle: by maximum likelihood from k neighbours.
        k: number of these.
        copies: number of codes that were left out because they are equal to others.

    """

    two_nn: Statistic
    mle: Statistic
    k: int
    copies: int


def intrinsic_dimension(codes: Codes, k: int = 20, points: int = 5000, seed: int = 0) -> IntrinsicDimension:
    """Return how many dimensions codes fill.

    Args:
        codes: the codes (N, d).
        k: number of neighbours of the maximum likelihood; fewer where there are fewer codes.
        points: number of codes whose neighbours are looked for, drawn at random where there are more.
        seed: seed of that draw, and of the groups of codes that are left out for the intervals.

    Raises:
        ImportError: the extra `maps` is not installed.
        ValueError: there are fewer than 30 different codes, or k is less than 3.

    """
    with from_extra("maps", "the intrinsic dimension needs scikit-dimension"):
        import skdim
    distinct = np.unique(codes.z, axis=0)
    n = len(distinct)
    if n < LEAST or k < 3 or points < LEAST:
        raise ValueError(
            f"expected at least {LEAST} different codes and points and 3 neighbours, got {n}, {points} and {k}"
        )
    k, z = min(k, n - 1), torch.from_numpy(distinct)
    chosen = z[np.sort(np.random.default_rng(seed).choice(n, min(n, points), replace=False))]
    found = nearest_neighbours(chosen, z, k + 1, distance_on(codes.manifold))  # the first is the code itself
    distances, indices = found.distances.numpy()[:, 1:], found.indices.numpy()[:, 1:]

    def two_nn(rows: NDArray[np.int64]) -> float:
        return float(skdim.id.TwoNN(dist=True).fit(distances[rows, :2]).dimension_)

    def mle(rows: NDArray[np.int64]) -> float:
        known = distances[rows], indices[rows]
        return float(skdim.id.MLE().fit(distances[rows], precomputed_knn_arrays=known).dimension_)

    return IntrinsicDimension(
        _estimated(two_nn, len(chosen), codes.dim, seed),
        _estimated(mle, len(chosen), codes.dim, seed),
        k,
        len(codes) - n,
    )


def _estimated(estimate: Callable[[NDArray[Any]], float], n: int, dim: int, seed: int) -> Statistic:
    interval = group_jackknife(estimate, n, np.random.default_rng(seed))
    return Statistic(estimate(np.arange(n)), n, interval, float(dim), seed)
