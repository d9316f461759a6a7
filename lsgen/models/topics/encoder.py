"""The encoder of documents that neural topic models share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from lsgen.models.topics.decoders import batch_norm

__all__ = ["TopicEncoder"]


class TopicEncoder(nn.Module):
    """Counts of words (N, *shape) -> means and log variances of a logistic-normal mixture of topics, (N, 2 K).

    Args:
        shape: shape of one observation.
        dim: number K of topics.
        hidden: widths of the hidden layers.
        activation: constructor of the activation after each.
        dropout: share of the last hidden units that are left out in training.
        normalise: whether means and log variances are normalised over a batch, as in ProdLDA.
        proportions: whether counts are divided by their sum first, as in the embedded topic model.

    Raises:
        ValueError: dropout is not in [0, 1), or there is no hidden layer.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        hidden: Sequence[int] = (100, 100),
        activation: Callable[[], nn.Module] = nn.Softplus,
        dropout: float = 0.0,
        normalise: bool = True,
        proportions: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1 or not hidden:
            raise ValueError(f"expected hidden layers and dropout in [0, 1), got {list(hidden)} and {dropout}")
        self.dim, self.heads, self.proportions = int(dim), 2, bool(proportions)
        sizes = [prod(shape), *hidden]
        self.layers = nn.Sequential(
            *(part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), activation())), nn.Dropout(dropout)
        )
        self.mean, self.log_variance = (self._output(sizes[-1], normalise) for _ in range(2))

    def _output(self, size: int, normalise: bool) -> nn.Module:
        if not normalise:
            return nn.Linear(size, self.dim)
        return nn.Sequential(nn.Linear(size, self.dim, bias=False), batch_norm(self.dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return means and log variances, (N, 2 K); a document without words has those of zeros."""
        x = x.flatten(1)
        hidden = self.layers(x / x.sum(-1, keepdim=True).clamp(min=1) if self.proportions else x)
        return torch.cat([self.mean(hidden), self.log_variance(hidden)], -1)
