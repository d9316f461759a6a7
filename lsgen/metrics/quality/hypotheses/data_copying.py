r"""The three-sample test of data-copying: are generated observations nearer to the training data than others are?

With d(x) the distance of x to the nearest training observation of its own cell, n_c held-out and m_c generated
observations in the cell c of a partition of the instance space,

    U_c = #{ (q, p): d(q) > d(p) } + 1/2 #{ (q, p): d(q) = d(p) }
    Z_c = ( U_c - n_c m_c / 2 ) / s_c ,      s_c^2 = n_c m_c / 12 ( N_c + 1 - sum_t (t^3 - t) / (N_c (N_c - 1)) ) ,

for N_c = n_c + m_c distances with ties of t, and C_T is the average of Z_c weighted with the held-out shares w_c of
the cells. C_T << 0 says that data are copied, C_T >> 0 that the training data are underfitted. If generated and
held-out observations are drawn from one distribution, every Z_c has mean 0 and variance 1 exactly, given the cells;
independent cells make

    C_T ~ N( 0, sum_c w_c^2 ) ,      z = C_T / sqrt( sum_c w_c^2 ) ~ N(0, 1) ,

so that C_T itself is a standard normal with one cell only; the p-value is that of z. The paper has neither the ties nor
this z.

Reference: Meehan, Chaudhuri & Dasgupta, "A non-parametric test to detect data-copying in generative models" (AISTATS
2020), https://arxiv.org/abs/2004.05675, sections 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from torch import Tensor

from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.quality.hypotheses.cells import cells_of

__all__ = ["DataCopying", "copying_statistic", "rank_sum_z"]


@dataclass(frozen=True)
class DataCopying:
    """The outcome of the three-sample test of data-copying.

    Attributes:
        statistic: C_T, NaN where no cell could be judged.
        z: C_T in standard deviations that it has under the null.
        p_value: probability of a z as low as this under the null: small where data are copied.
        cells: the Z of every cell, NaN where it could not be judged, (K,).

    """

    statistic: float
    z: float
    p_value: float
    cells: NDArray[np.float64]


def copying_statistic(
    train: Tensor, held_out: Tensor, fake: Tensor, cells: int = 10, least: int = 20, seed: int = 0
) -> DataCopying:
    """Return the statistic C_T with the z of every cell.

    Args:
        train: features (N, m) of the observations that the generator is trained on.
        held_out: features (n, m) of others, from the same distribution.
        fake: features (M, m) of generated ones.
        cells: cells that k-means makes of the training features; 1 is the global test.
        least: a cell with fewer generated observations is left out (tau = least / M), as is one in which nothing is
            held out or all distances are equal.
        seed: seed of k-means.

    Raises:
        ValueError: least is not positive, or there are fewer different training features than cells.

    """
    if least < 1:
        raise ValueError(f"expected at least 1 generated observation in a cell, got {least}")
    parts = [x.detach() if x.dtype == torch.float64 else x.detach().float() for x in (train, held_out, fake)]
    labels = cells_of(*parts, cells=cells, seed=seed)
    found, weights = np.full(cells, np.nan), np.zeros(cells)
    for c in range(cells):
        own, other, made = (x[torch.from_numpy(of == c).to(x.device)] for x, of in zip(parts, labels, strict=True))
        if len(made) >= least and len(other):
            d = [nearest_neighbours(x, own).distances[:, 0].cpu().numpy() for x in (made, other)]
            found[c], weights[c] = rank_sum_z(*d), len(other)
    judged = np.isfinite(found)
    if not judged.any():
        return DataCopying(np.nan, np.nan, np.nan, found)
    w = weights[judged] / weights[judged].sum()
    statistic = float(w @ found[judged])
    z = statistic / sqrt(float(w @ w))
    return DataCopying(statistic, z, float(norm.cdf(z)), found)


def rank_sum_z(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the Mann-Whitney statistic of a against b in its standard deviations, negative where a is smaller.

    It is NaN where all numbers are equal.
    """
    m, n = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]))
    u = ranks[:m].sum() - m * (m + 1) / 2
    t = np.unique(ranks, return_counts=True)[1].astype(float)
    variance = n * m / 12 * (m + n + 1 - (t**3 - t).sum() / ((m + n) * (m + n - 1)))
    return float((u - n * m / 2) / sqrt(variance)) if len(t) > 1 else float("nan")
