r"""The score of attribute vectors in Latent Space Cartography, as a baseline: it finds large effects in noise.

The differences b_j - a_i of all pairs of two groups are compared with each other by their cosines, and these with the
cosines between 2,000 differences of random pairs of codes, by Cohen's d. Differences that share a code have a cosine of
about 1/2 whatever the groups are, so that d is far from 0 for random groups, and the more the smaller these are and
the greater d is: 0.96 for groups of 10 and 11 of independent Gaussian codes in 128 dimensions, 0.48 in 32.

Reference: Liu, Jun, Li & Heer, "Latent space cartography" (2019), https://doi.org/10.1111/cgf.13672, and its code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes

__all__ = ["pair_alignment"]

RANDOM_PAIRS, LARGEST, CHANCES = 2000, 400, 20


def pair_alignment(codes: Codes, first: Any, second: Any, seed: int = 0) -> Statistic:
    """Return Cohen's d of the cosines between differences of all pairs of two groups and of random pairs.

    Its baseline is the average of 20 draws of random groups of the same sizes. `Direction.reliability` says what this
    score is meant to say.

    Args:
        codes: the codes (N, d), in flat space.
        first: rows of the first group; of more than 400 a random choice of these is taken.
        second: rows of the second group.
        seed: seed of the random pairs, and of random groups.

    Raises:
        ValueError: a group is empty, both have one code, or there are fewer than four codes.

    """
    groups = [np.asarray(group) for group in (first, second)]
    groups = [np.flatnonzero(group) if group.dtype == bool else group for group in groups]
    sizes = [len(group) for group in groups]
    if min(sizes) < 1 or sum(sizes) < 3 or len(codes) < 4:
        raise ValueError(f"expected two groups out of 4 codes or more, got {sizes[0]} and {sizes[1]} of {len(codes)}")
    random, z = np.random.default_rng(seed), np.asarray(codes.z, dtype=np.float64)
    groups = [random.choice(group, min(len(group), LARGEST), replace=False) for group in groups]
    n = min(RANDOM_PAIRS, len(z) // 2)
    pairs = random.choice(len(z), (2, n), replace=False)
    chance = _moments(z[pairs[1]] - z[pairs[0]])
    drawn = []
    for _ in range(CHANCES):
        rows = random.choice(len(z), min(sum(map(len, groups)), len(z)), replace=False)
        drawn.append(_effect(z[rows[: len(groups[0])]], z[rows[len(groups[0]) :]], chance))
    value = _effect(z[groups[0]], z[groups[1]], chance)
    return Statistic(value, sum(sizes), None, float(np.mean(drawn)), seed)


def _effect(a: NDArray[Any], b: NDArray[Any], chance: tuple[float, float, int]) -> float:
    """Return Cohen's d of two sets of cosines."""
    mean, variance, n = _moments((b[:, None] - a).reshape(-1, a.shape[1]))
    other, other_variance, m = chance
    pooled = ((n - 1) * variance + (m - 1) * other_variance) / max(n + m - 2, 1)
    return (mean - other) / pooled**0.5 if pooled > 0 else float("nan")


def _moments(differences: NDArray[Any]) -> tuple[float, float, int]:
    """Return mean and variance of the cosines of all pairs of differences, and the number of pairs, from sums."""
    length = np.linalg.norm(differences, axis=1, keepdims=True)
    unit = (differences / np.where(length > 0, length, 1))[length[:, 0] > 0]
    n = len(unit)
    pairs = n * (n - 1) // 2
    if pairs == 0:
        return float("nan"), float("nan"), 0
    mean = float((np.square(unit.sum(0)).sum() - n) / 2 / pairs)
    square = float((np.square(unit.T @ unit).sum() - n) / 2 / pairs)
    return mean, max(square - mean**2, 0.0) * pairs / max(pairs - 1, 1), pairs
