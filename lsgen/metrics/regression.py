r"""How much of each ground-truth factor is linear in the codes.

With centred codes z (N, d) and a centred factor y (N,), of covariances C = Cov(z), c = Cov(z, y),

    R^2 = c^T C^+ c / Var(y)          least squares on all latents,
    R^2_i = c_i^2 / (C_ii Var(y))     on latent i alone, the squared correlation.

Both are exact functions of first and second moments, which are all that is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["FactorRegression"]


class FactorRegression(Metric):
    """The coefficient of determination of every factor: from all latents, and from the best single one.

    `update(codes, factors)` takes codes (N, d) and factors (N, k); `compute()` returns `r2`, `r2_single`, both
    (k,), and `latent`, (k,), the index of the best single latent. Moments are kept in float64 and add up over
    processes; collapsed latents contribute nothing. A factor that does not vary gives NaN.

    Args:
        dim: latent dimension d.
        factors: number of factors k.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    observations: Tensor
    total: Tensor
    products: Tensor

    def __init__(self, dim: int, factors: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        size = dim + factors
        self.add_state("observations", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("products", torch.zeros(size, size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, codes: Tensor, factors: Tensor) -> None:
        """Add the codes (N, d) and factors (N, k) of one batch.

        Raises:
            ValueError: the shapes are not (N, d) and (N, k).

        """
        expected = (len(codes), self.dim), (len(codes), len(self.total) - self.dim)
        if (tuple(codes.shape), tuple(factors.shape)) != expected:
            raise ValueError(
                f"expected codes {expected[0]} and factors {expected[1]}, "
                f"got {tuple(codes.shape)} and {tuple(factors.shape)}"
            )
        both = torch.cat([codes.double(), factors.double()], 1)
        self.observations += len(both)
        self.total += both.sum(0)
        self.products += both.T @ both

    def compute(self) -> dict[str, Tensor]:
        """Return R^2 from all latents, from the best single latent, and which one that is."""
        mean = self.total / self.observations
        covariance = self.products / self.observations - mean[:, None] * mean
        C, c = covariance[: self.dim, : self.dim], covariance[: self.dim, self.dim :]
        variance = covariance.diagonal()[self.dim :]
        variance = variance.where(variance > 0, torch.nan)
        spread = C.diagonal()[:, None]
        single = (c.square() / spread / variance).where(spread > 0, 0.0)
        r2_single, latent = single.max(0)
        r2 = (c * (torch.linalg.pinv(C, hermitian=True) @ c)).sum(0) / variance
        return {"r2": r2, "r2_single": r2_single.where(variance > 0, torch.nan), "latent": latent}
