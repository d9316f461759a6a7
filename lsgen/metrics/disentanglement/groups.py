"""Samplers of observations that share the value of a factor, from one pass over the data."""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.information import recode

__all__ = ["FixedFactor"]


class FixedFactor:
    """Sampler of observations, uniformly and with replacement, among those with a given value of one factor.

    Args:
        factors: ground-truth factors (N, k).
        seed: seed of the draws.

    """

    def __init__(self, factors: Tensor, seed: int) -> None:
        self.values, sizes = recode(factors)
        self.generator = torch.Generator().manual_seed(seed)
        self.order = self.values.argsort(dim=0, stable=True)
        counts = torch.zeros(factors.shape[1], max(sizes), dtype=torch.int64, device=factors.device)
        ones = torch.ones_like(self.values.T)
        self.count = counts.scatter_add_(1, self.values.T, ones)
        self.start = self.count.cumsum(1) - self.count

    def choose(self, draws: int, batch_size: int) -> tuple[Tensor, Tensor]:
        """Choose a factor for each draw at random, and observations whatever their factors.

        Returns:
            Factors (draws,) and observations (draws, batch_size).

        """
        n, k = self.values.shape
        factor = torch.randint(k, (draws,), generator=self.generator)
        observation = torch.randint(n, (draws, batch_size), generator=self.generator)
        return factor.to(self.values.device), observation.to(self.values.device)

    def partners(self, factor: Tensor, observation: Tensor) -> Tensor:
        """Return, for each observation (draws, B), a random one that agrees with it in the factor (draws,)."""
        value = self.values[observation, factor[:, None]]
        start, count = self.start[factor[:, None], value], self.count[factor[:, None], value]
        u = torch.rand(observation.shape, generator=self.generator, dtype=torch.float64).to(start.device)
        position = start + (u * count).to(torch.int64)
        return self.order[position, factor[:, None]]
