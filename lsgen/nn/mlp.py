"""Multilayer perceptrons for observations of any shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

__all__ = ["MLPDecoder", "MLPEncoder"]


def _layers(sizes: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [nn.Linear(width, following), activation()]
    return nn.Sequential(*layers[:-1])


class MLPEncoder(nn.Module):
    """Observations (N, *shape) -> (N, heads * dim).

    Args:
        shape: shape of one observation.
        dim: latent dimension d.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        heads: posterior parameters per latent dimension.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        hidden: Sequence[int] = (400, 400),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.layers = _layers([prod(shape), *hidden, heads * dim], activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        out: Tensor = self.layers(x.flatten(1))
        return out


class MLPDecoder(nn.Module):
    """Codes (N, dim) -> raw outputs (N, heads * shape[0], *shape[1:]).

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        heads: raw outputs per data channel, as the likelihood asks.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (400, 400),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.shape = (heads * shape[0], *shape[1:])
        self.layers = _layers([dim, *hidden, prod(self.shape)], activation)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * shape[0], *shape[1:])."""
        out: Tensor = self.layers(z)
        return out.unflatten(1, self.shape)
