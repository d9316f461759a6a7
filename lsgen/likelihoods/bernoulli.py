r"""Bernoulli: x in {0, 1}, p(x = 1) = sigmoid(h).

    F(h) = p (1 - p) = 1/4 sech^2(h/2),    e(h) = 2 arcsin sqrt(p) = 2 atan exp(h/2),    e'(h) = 1/2 sech(h/2),
    T(h) = p (1 - p) (1 - 2p) = -p (1 - p) tanh(h/2)    the third moment of the score.

The embedding is evaluated on exp(-|h|/2) with one branch for either sign, so that automatic differentiation
returns e' to full relative precision however saturated p is (`clamp` would not do: its derivative at 0 is 0).

Grey values in [0, 1] are accepted: the negative log-likelihood is then the cross-entropy, which is customary
but no normalised density.
"""

from __future__ import annotations

from math import log, pi
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Bernoulli as _Bernoulli
from torch.distributions import Distribution, Independent

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood

__all__ = ["Bernoulli"]


class Bernoulli(ClosedFormLikelihood, CubicLikelihood):
    """Independent Bernoulli pixels with logits h."""

    support: str = "between 0 and 1"
    convex: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    def forward(self, h: Tensor) -> Distribution:
        """Return Bernoulli(logits=h)."""
        logits = self.split(h).squeeze(-1)
        return Independent(_Bernoulli(logits=logits, validate_args=False), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return p(1-p), of shape (B, *shape, 1, 1)."""
        logits = self.split(h)
        return (logits.sigmoid() * (-logits).sigmoid()).unsqueeze(-1)

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T of p(1-p)(1-2p) for each data dimension."""
        skewness = -torch.tanh(self.split(h) / 2)  # 1 - 2p without cancellation
        return self.contracted((self.fisher(h)[..., 0] * skewness)[..., None, None], v)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept [0, 1]."""
        return (x >= 0) & (x <= 1)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 arcsin sqrt(p), of shape (B, D)."""
        logits = self.split(h).flatten(-len(self.shape) - 1)
        positive = logits > 0
        zero = torch.zeros_like(logits)
        below = 2 * torch.atan(torch.exp(torch.where(positive, zero, logits) / 2))
        above = pi - 2 * torch.atan(torch.exp(-torch.where(positive, logits, zero) / 2))
        return torch.where(positive, above, below)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        r"""Return the norm of 2 arcsin sqrt(p) - 2 arcsin sqrt(p').

        For a >= b, 2 atan exp(a/2) - 2 atan exp(b/2) = 2 atan((1 - exp((b-a)/2)) / (exp(-a/2) + exp(b/2))), which keeps
        small distances, and those between saturated p.
        """
        first, second = (self.split(x).flatten(-len(self.shape) - 1) for x in (h, other))
        a, b = torch.maximum(first, second), torch.minimum(first, second)
        info = torch.finfo(a.dtype)
        inverse = torch.exp((-a / 2).clamp(max=log(info.max))) + torch.exp((b / 2).clamp(max=log(info.max)))
        ratio = -torch.expm1((b - a) / 2) / inverse.clamp(min=info.tiny)
        return torch.linalg.vector_norm(2 * torch.atan(ratio), dim=-1)
