r"""Poisson: counts x in {0, 1, 2, ...} of rate lambda = exp(h).

F(h) = T(h) = lambda,    e(h) = 2 sqrt(lambda),    d(h, h') = 2 |sqrt(lambda) - sqrt(lambda')| .
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import Poisson as _Poisson

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood

__all__ = ["Poisson"]


class Poisson(ClosedFormLikelihood, CubicLikelihood):
    """Independent Poisson counts with log rates h."""

    support: str = "whole numbers of at least 0"
    discrete: ClassVar[bool] = True

    def forward(self, h: Tensor) -> Distribution:
        """Return Poisson(exp(h))."""
        return Independent(_LogPoisson(self.split(h).squeeze(-1)), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return lambda, of shape (B, *shape, 1, 1)."""
        return self.split(h).exp().unsqueeze(-1)

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T of lambda for each data dimension."""
        return self.contracted(self.fisher(h).unsqueeze(-1), v)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept 0, 1, 2, ..."""
        return is_count(x)

    def allows(self, x: Tensor) -> Tensor:
        """Return whether every value is a count, a 0-d boolean tensor."""
        return are_counts(x)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 sqrt(lambda), of shape (B, D)."""
        return 2 * torch.exp(self.split(h).flatten(-len(self.shape) - 1) / 2)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the norm of 2 (sqrt(lambda) - sqrt(lambda')) = -2 exp(a/2) expm1((b - a)/2), where a >= b."""
        first, second = (self.split(x).flatten(-len(self.shape) - 1) for x in (h, other))
        a, b = torch.maximum(first, second), torch.minimum(first, second)
        return torch.linalg.vector_norm(2 * torch.exp(a / 2) * torch.expm1((b - a) / 2), dim=-1)


def is_count(x: Tensor) -> Tensor:
    """Return which values are 0, 1, 2, ..."""
    return (x >= 0) & (x.frac() == 0)  # the fraction of an infinite number is NaN


def are_counts(x: Tensor) -> Tensor:
    """Return whether all values are 0, 1, 2, ..., a 0-d boolean tensor: the same, and several times faster."""
    return (x.amin() >= 0) & (x.frac().amax() == 0)


class _LogPoisson(_Poisson):
    """The Poisson distribution of a log rate, finite where the rate underflows."""

    def __init__(self, log_rate: Tensor) -> None:
        super().__init__(log_rate.exp(), validate_args=False)
        self.log_rate = log_rate

    def expand(self, batch_shape: Any, _instance: Any = None) -> _LogPoisson:
        """Return the distribution with a larger batch shape."""
        return _LogPoisson(self.log_rate.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return x log(lambda) - lambda - log x!."""
        return value * self.log_rate - self.rate - torch.lgamma(value + 1)
