r"""The Frechet distance at infinitely many generated observations, FID-infinity for the features of the FID.

The distance of N observations exceeds that of their distribution by about c/N, where c depends on the generator: two
generators cannot be ranked by it. A line through distances of subsets of N_1 < ... < N_s observations,

    FD_N ≈ FD_∞ + c/N,    N_i from N_s/10 to N_s,

gives FD_∞ by least squares in 1/N. The moments of the real observations are taken as they are. Where N_1 is not well
above the number of features, the distance is not yet linear in 1/N, and FD_∞ is too high.

Reference: Chong & Forsyth, "Effectively unbiased FID and inception score and where to find them" (2020),
https://arxiv.org/abs/1911.07023, section 4: 15 subsets from 5,000 to 50,000.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.metrics.quality.frechet import Moments, features_moments, frechet_distance

__all__ = ["frechet_infinity"]


def frechet_infinity(real: Moments, fake: Tensor, sizes: int = 15, least: float = 0.1, seed: int = 0) -> Tensor:
    """Return the Frechet distance extrapolated to infinitely many generated observations, a float64 scalar.

    It may be negative, as an estimate without bias of a distance near 0 is.

    Args:
        real: moments of the real features.
        fake: features of generated observations, (N, m).
        sizes: number of subsets s, with evenly spaced numbers of observations; 15 in the paper.
        least: share of the observations in the smallest subset; a tenth in the paper.
        seed: seed of the subsets.

    Raises:
        ValueError: there are fewer than two sizes, least is not in (0, 1), or the smallest subset has fewer than two.

    """
    if sizes < 2 or not 0 < least < 1 or least * len(fake) < 2:
        raise ValueError(
            "expected at least 2 sizes and a smallest subset of at least 2 observations, "
            f"got {sizes}, {least} and {len(fake)} observations"
        )
    generator = torch.Generator().manual_seed(seed)
    counts = torch.linspace(least * len(fake), len(fake), sizes, dtype=torch.float64).long()
    distances = []
    for n in counts.tolist():
        rows = torch.randperm(len(fake), generator=generator)[:n].to(fake.device)
        distances.append(frechet_distance(real, features_moments(fake[rows])))
    values = torch.stack(distances)
    inverse = 1 / counts.to(values)
    inverse = inverse - (middle := inverse.mean())
    slope = (inverse * values).sum() / inverse.square().sum()
    return values.mean() - slope * middle
