"""Priors p(z): modules that return a distribution over codes when called."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

__all__ = ["Prior", "StandardNormal"]


class Prior(nn.Module, ABC):
    """Abstract prior over codes of dimension `dim`.

    Args:
        dim: latent dimension d.

    Raises:
        ValueError: dim is not positive.

    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"expected a latent dimension of at least 1, got {dim}")
        self.dim = int(dim)

    @abstractmethod
    def forward(self) -> Distribution:
        """Return p(z), of batch shape () and event shape (d,)."""


class StandardNormal(Prior):
    """The standard normal N(0, I)."""

    origin: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("origin", torch.zeros(dim), persistent=False)

    def forward(self) -> Distribution:
        """Return N(0, I)."""
        normal = Normal(self.origin, torch.ones_like(self.origin), validate_args=False)
        return Independent(normal, 1, validate_args=False)
