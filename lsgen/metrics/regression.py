r"""Linear regression of ground-truth factors on codes.

With centred codes z (N, d) and a centred factor y (N,), of covariances C = Cov(z), c = Cov(z, y),

    R^2 = c^T C^+ c / Var(y)          least squares on all latents,
    R^2_i = c_i^2 / (C_ii Var(y))     on latent i alone, the squared correlation.

Both are exact functions of the mean and of the products about it, which are all that is kept: sums of squares about
zero would lose the variance of a factor far from zero to rounding.
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

    moments: Tensor

    def __init__(self, dim: int, factors: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        size = dim + factors
        self.add_state("moments", torch.zeros(size + 1, size + 1, dtype=torch.float64), dist_reduce_fx=_pooled)

    def update(self, codes: Tensor, factors: Tensor) -> None:
        """Add the codes (N, d) and factors (N, k) of one batch.

        Raises:
            ValueError: the shapes are not (N, d) and (N, k).

        """
        expected = (len(codes), self.dim), (len(codes), len(self.moments) - 1 - self.dim)
        if (tuple(codes.shape), tuple(factors.shape)) != expected:
            raise ValueError(
                f"expected codes {expected[0]} and factors {expected[1]}, "
                f"got {tuple(codes.shape)} and {tuple(factors.shape)}"
            )
        both = torch.cat([codes.double(), factors.double()], 1)
        if len(both):
            self.moments = _pooled(torch.stack([self.moments, _moments(both)]))

    def compute(self) -> dict[str, Tensor]:
        """Return R^2 from all latents, from the best single latent, and which one that is."""
        covariance = self.moments[1:, 1:] / self.moments[0, 0]
        C, c = covariance[: self.dim, : self.dim], covariance[: self.dim, self.dim :]
        variance = covariance.diagonal()[self.dim :]
        variance = variance.where(variance > 0, torch.nan)
        spread = C.diagonal()[:, None]
        single = (c.square() / spread / variance).where(spread > 0, 0.0)
        r2_single, latent = single.max(0)
        r2 = (c * (torch.linalg.pinv(C, hermitian=True) @ c)).sum(0) / variance
        return {"r2": r2, "r2_single": r2_single.where(variance > 0, torch.nan), "latent": latent}


def _moments(x: Tensor) -> Tensor:
    """Return the number N of observations (N, s), their mean m and sum of products S about it, as [[N, m], [m, S]]."""
    origin = x[0]
    shift = (x - origin).mean(0)
    centred = x - origin - shift
    mean = origin + shift
    top = torch.cat([mean.new_full((1,), len(x)), mean])
    return torch.cat([top[None], torch.cat([mean[:, None], centred.T @ centred], 1)])


def _pooled(parts: Tensor) -> Tensor:
    """Return the moments of all observations from those of W parts, (W, s + 1, s + 1).

    Reference: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
    (1979).
    """
    counts, means = parts[:, 0, 0], parts[:, 0, 1:]
    origin = means.index_select(0, counts.argmax(0, keepdim=True))[0]
    shift = (counts[:, None] * (means - origin)).sum(0) / counts.sum().clamp(min=1)
    apart = (means - origin - shift) * counts.sqrt()[:, None]
    pooled = parts.sum(0)
    pooled[0, 1:] = pooled[1:, 0] = origin + shift
    pooled[1:, 1:] += apart.T @ apart
    return pooled
