r"""The conformal metric that makes ways through regions of low density long.

    g(x) = (p(x) / r)^(-2 k) I

so that geodesics prefer where data are; Fermat distances of samples converge to its distances. In the plane it has the
Gaussian curvature k (laplacian of log p) (p / r)^(2 k).

Reference: Groisman, Jonckheere & Sapienza, "Nonhomogeneous Euclidean first-passage percolation and distance learning"
(2022), https://arxiv.org/abs/1810.09398; Sorrenson et al. (2024), https://arxiv.org/abs/2407.09297.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.metric_field import MetricField
from lsgen.geometry.riemannian import Map

__all__ = ["inverse_density_metric"]


def inverse_density_metric(
    log_density: Map, dim: int, power: float | None = None, reference: float = 0.0
) -> MetricField:
    """Return the metric (p(x) / r)^(-2 k) I of points x (B, d).

    Args:
        log_density: log p of points (N, d) -> (N,), such as that of noisy observations of one level.
        dim: d.
        power: k > 0; 1/d where it is not given, so that densities of many dimensions have moderate exponents.
        reference: log r, the log density at which the metric is Euclidean.

    Raises:
        TypeError: the density cannot be called.
        ValueError: the power is not positive.

    """
    k = 1 / dim if power is None else power
    if not callable(log_density):
        raise TypeError(f"expected a log density x -> log p(x), got {type(log_density).__name__}")
    if not k > 0:
        raise ValueError(f"expected a power above 0, got {k}")

    def conformal(x: Tensor) -> Tensor:
        factor = (-2 * k * (log_density(x).reshape(-1) - reference)).exp()
        return factor[:, None, None] * torch.eye(dim, dtype=x.dtype, device=x.device)

    return MetricField(conformal, dim, definite=True)
