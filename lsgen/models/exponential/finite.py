"""Exponential families of finitely many states, exactly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lsgen.models.exponential.family import ConvexFamily

__all__ = ["finite_family"]


class _LogSum:
    """t -> log sum_s w_s exp(<f_s, t>), (N, d) -> (N,)."""

    def __init__(self, statistics: Tensor, log_weights: Tensor) -> None:
        self.statistics, self.log_weights = statistics, log_weights

    def __call__(self, t: Tensor) -> Tensor:
        """Return log Z."""
        return torch.logsumexp(t @ self.statistics.to(t).T + self.log_weights.to(t), -1)


def finite_family(statistics: Tensor, low: Any, high: Any, log_weights: Tensor | None = None) -> ConvexFamily:
    r"""Return a family of finitely many states, with the exact log Z(t) = log sum_s w_s exp(<f_s, t>).

    States of equal statistics are taken together. Its Hessian is the exact Fisher metric, the covariance of f.

    Args:
        statistics: f of all states, (S, d).
        low: least parameters of the box, (d,).
        high: greatest parameters of the box, (d,).
        log_weights: log w of all states, (S,); 0 where it is None.

    Raises:
        ValueError: the box is empty or not finite; statistics or weights have another shape, or are not finite.

    """
    lower, upper = (torch.as_tensor(end, dtype=torch.float64) for end in (low, high))
    if lower.ndim != 1 or lower.shape != upper.shape or statistics.shape != (len(statistics), len(lower)):
        raise ValueError(
            f"expected statistics (S, d) with a box of low (d,) and high (d,), got {tuple(statistics.shape)}, "
            f"{tuple(lower.shape)} and {tuple(upper.shape)}"
        )
    if not bool((upper > lower).all() and (upper - lower).isfinite().all()):
        raise ValueError(f"expected a finite box with low below high, got {lower.tolist()} to {upper.tolist()}")
    if log_weights is not None and log_weights.shape != statistics.shape[:1]:
        raise ValueError(f"expected {len(statistics)} log weights, got {tuple(log_weights.shape)}")
    if not len(statistics) or not bool(statistics.isfinite().all()):
        raise ValueError("expected at least one state and finite statistics, got none, infinite ones or NaN")
    distinct, state = statistics.double().unique(dim=0, return_inverse=True)
    weights = torch.zeros(len(statistics), dtype=torch.float64) if log_weights is None else log_weights.double()
    top = weights.max()
    if not bool(top.isfinite()):
        raise ValueError(f"expected log weights below infinity, not all of them minus infinity, got {weights.tolist()}")
    total = torch.zeros(len(distinct), dtype=torch.float64).index_add_(0, state, (weights - top).exp())
    return ConvexFamily(lower, upper, _LogSum(distinct, total.log() + top))
