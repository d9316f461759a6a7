r"""The Frechet distance between Gaussians fitted to two sets of features.

    FD = |m_1 - m_2|^2 + tr( C_1 + C_2 - 2 (C_1^{1/2} C_2 C_1^{1/2})^{1/2} )

Moments are float64 sums over everything seen, so they stream, add up over processes and do not depend on batches;
covariances divide by n - 1. Only on the features of the Inception network that FID was defined with is this
distance the FID; on others it is `fd_NAME`.

Reference: Heusel et al., "GANs trained by a two time-scale update rule" (2017), https://arxiv.org/abs/1706.08500;
Dowson & Landau (1982) for the formula.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = [
    "FrechetDistance",
    "Moments",
    "add_gram",
    "features_moments",
    "frechet_distance",
    "moments_of",
    "symmetric",
]

_COLUMNS = 512


class Moments(NamedTuple):
    """Mean and covariance of features.

    Attributes:
        n: number of observations.
        mean: float64 (m,).
        covariance: float64 (m, m), divided by n - 1.

    """

    n: int
    mean: Tensor
    covariance: Tensor


def add_gram(total: Tensor, x: Tensor) -> None:
    """Add x^T x, for x (N, m), to the upper triangle of `total` (m, m), at a little over half the cost of all of it."""
    for i in range(0, x.shape[1], _COLUMNS):
        total[i : i + _COLUMNS, i:].addmm_(x[:, i : i + _COLUMNS].T, x[:, i:])


def symmetric(total: Tensor) -> Tensor:
    """Return the symmetric matrix that has the upper triangle of `total`."""
    upper = total.triu(1)
    return upper + upper.T + total.diagonal().diag()


def moments_of(n: Tensor, total: Tensor, gram: Tensor) -> Moments:
    """Return the moments of n observations from their sum (m,) and the upper triangle of sum x x^T (m, m)."""
    mean = total / n
    return Moments(int(n), mean, (symmetric(gram) - n * torch.outer(mean, mean)) / (n - 1))


def features_moments(features: Tensor) -> Moments:
    """Return the moments of features (N, m).

    Raises:
        ValueError: there are fewer than two observations.

    """
    metric = FrechetDistance(features.shape[1], sync_on_compute=False).to(features.device)
    metric.update(features, real=True)
    return metric.moments(real=True)


def frechet_distance(a: Moments, b: Moments) -> Tensor:
    """Return the Frechet distance of two Gaussians, a float64 scalar; it is symmetric, and 0 for equal moments.

    The trace of the root is the sum of the roots of the eigenvalues of R^T C_2 R, for any C_1 = R R^T; that matrix is
    symmetric and positive semi-definite also where there are fewer observations than features.
    """
    root = _root(a.covariance)
    overlap = torch.linalg.eigvalsh(root.T @ b.covariance @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * overlap
    return distance.clamp(min=0)


def _root(covariance: Tensor) -> Tensor:
    """Return R with R R^T the covariance: the Cholesky factor, or a factor by eigenvectors if there is none."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not int(failed):
        return factor
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()


class FrechetDistance(Metric):
    """The Frechet distance between features of real and of generated observations.

    Args:
        dim: number of features m.

    Raises:
        ValueError: dim is not positive; on `compute`, there are fewer than two observations of a kind.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    real_n: Tensor
    real_sum: Tensor
    real_gram: Tensor
    fake_n: Tensor
    fake_sum: Tensor
    fake_gram: Tensor

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"expected at least 1 feature, got {dim}")
        for kind in ("real", "fake"):
            self.add_state(f"{kind}_n", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
            self.add_state(f"{kind}_sum", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"{kind}_gram", torch.zeros(dim, dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features (N, m) of real or of generated observations."""
        x = features.double()
        kind = "real" if real else "fake"
        n, total, squares = (getattr(self, f"{kind}_{state}") for state in ("n", "sum", "gram"))
        n += len(x)
        total += x.sum(0)
        add_gram(squares, x)

    def moments(self, real: bool) -> Moments:
        """Return the moments of one kind.

        Raises:
            ValueError: there are fewer than two observations of it.

        """
        kind = "real" if real else "fake"
        n, total, squares = (getattr(self, f"{kind}_{state}") for state in ("n", "sum", "gram"))
        if int(n) < 2:
            raise ValueError(f"expected at least 2 {'real' if real else 'generated'} observations, got {int(n)}")
        return moments_of(n, total, squares)

    def compute(self) -> Tensor:
        """Return the distance, a float64 scalar."""
        return frechet_distance(self.moments(real=True), self.moments(real=False))
