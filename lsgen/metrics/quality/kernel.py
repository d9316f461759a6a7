r"""The kernel distance (KID): an unbiased squared maximum mean discrepancy with a cubic kernel.

    k(x, y) = (<x, y>/m + 1)^3
    MMD^2   = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

It has no bias from the number of samples, so small sets may be compared; it may be negative.

Reference: Binkowski et al., "Demystifying MMD GANs" (2018), https://arxiv.org/abs/1801.01401.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["KernelDistance", "kernel_distance"]


def kernel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return MMD^2 between features (N, m) and (M, m), a float64 scalar.

    Raises:
        ValueError: there are fewer than two observations of a kind.

    """
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"expected at least 2 observations of either kind, got {len(x)} and {len(y)}")
    x, y = x.double(), y.double()
    within = (_off_diagonal_mean(a) for a in (x, y))
    return sum(within, torch.zeros((), dtype=torch.float64, device=x.device)) - 2 * _kernel(x, y).mean()


class KernelDistance(Metric):
    """KID: the mean and the standard deviation of MMD^2 over random subsets.

    Args:
        subsets: number of subsets.
        subset_size: observations of either kind in a subset, at most all there are.
        seed: seed of the subsets.

    Raises:
        ValueError: subsets is not positive or subset_size is below 2.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, subsets: int = 100, subset_size: int = 1000, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if subsets < 1 or subset_size < 2:
            raise ValueError(f"expected subsets >= 1 and subset_size >= 2, got {subsets} and {subset_size}")
        self.subsets, self.subset_size, self.seed = subsets, subset_size, seed
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features (N, m) of real or of generated observations."""
        (self.real if real else self.fake).append(features)

    def compute(self) -> dict[str, Tensor]:
        """Return `mean` and `std` over the subsets, float64 scalars; std is that of the population of subsets."""
        real, fake = dim_zero_cat(self.real), dim_zero_cat(self.fake)
        generator = torch.Generator().manual_seed(self.seed)
        values = []
        for _ in range(self.subsets):
            x, y = (
                a[torch.randperm(len(a), generator=generator)[: self.subset_size].to(a.device)] for a in (real, fake)
            )
            values.append(kernel_distance(x, y))
        stacked = torch.stack(values)
        return {"mean": stacked.mean(), "std": stacked.std(correction=0)}


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _off_diagonal_mean(x: Tensor) -> Tensor:
    n = len(x)
    diagonal = (x.square().sum(1) / x.shape[1] + 1) ** 3
    return (_kernel(x, x).sum() - diagonal.sum()) / (n * (n - 1))
