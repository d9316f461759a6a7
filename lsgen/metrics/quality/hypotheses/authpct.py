r"""Authenticity: the share of generated observations that are no copies of training observations.

A generated observation y with nearest training observation x is authentic where it lies farther from x than any other
training observation does,

    authentic(y):  |y - x| > min_(x' != x) |x' - x| ,         AuthPct = 100 mean_y authentic(y) .

Copies are never authentic. Neither is AuthPct 100 for new draws from the distribution of the data: y is not authentic
where y and x are the nearest neighbours of each other, and of n + 1 independent draws in m dimensions a share of
V / U >= 1/2 is in such a pair as n grows, V the volume of the unit ball and U that of the union of two at distance 1:

    AuthPct = 100 (1 - V/U) = 33.3, 37.8, 40.7, ...  for m = 1, 2, 3, ...,  below 50 for any m .

It is more where points are few for their dimension and some of them are the nearest of many. So the value to compare
with is that of held-out data, which has the same expectation.

Reference: Alaa et al., "How faithful is your synthetic data?" (ICML 2022), https://arxiv.org/abs/2102.08921; in
percent, on features: Stein et al., "Exposing flaws of generative model evaluation metrics" (NeurIPS 2023),
https://arxiv.org/abs/2306.04675.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["Authenticity", "authenticity"]


@dataclass(frozen=True)
class Authenticity:
    """The share of authentic observations, in percent, with its exact (Clopper-Pearson) 95 % confidence interval.

    Attributes:
        percent: AuthPct.
        low: lower end of the interval, given the training data.
        high: its upper end.
        authentic: which observations are authentic, boolean (M,).

    """

    percent: float
    low: float
    high: float
    authentic: Tensor


@torch.no_grad()
def authenticity(train: Tensor, fake: Tensor) -> Authenticity:
    """Return AuthPct of generated features (M, m) for the training features (N, m).

    Raises:
        ValueError: there are fewer than 2 training features or no generated ones, they do not fit, or are not finite.

    """
    if len(train) < 2 or not len(fake):
        raise ValueError(f"expected at least 2 training and 1 generated features, got {len(train)} and {len(fake)}")
    train, fake = (x if x.dtype == torch.float64 else x.float() for x in (train, fake))
    distances, nearest = (part[:, 0] for part in nearest_neighbours(fake, train))
    centres, place = torch.unique(nearest, return_inverse=True)
    # Of a training feature the second neighbour among all is the nearest of the others, or a duplicate at distance 0.
    radii = nearest_neighbours(train[centres], train, 2).distances[:, 1]
    authentic = distances > radii[place]
    count = int(authentic.sum())
    interval = binomtest(count, len(fake)).proportion_ci(0.95, method="exact")
    return Authenticity(100 * count / len(fake), 100 * float(interval.low), 100 * float(interval.high), authentic)
