r"""The networks of BiGAN on permutation-invariant observations: perceptrons with batch normalisation, without biases.

    encoder     x -> W  LeakyReLU -> W  BN LeakyReLU = features -> W  tanh(./2) = z
    generator   z -> W  BN ReLU -> W + W z  BN ReLU -> W  sigmoid = x
    critic      x -> W  LeakyReLU -> W + W z  BN LeakyReLU -> W = score

Codes lie in [-1, 1]^d, observations in [0, 1]. Weights are N(0, 0.02); the normalisation has no scale and no shift.

Reference: Donahue, Krahenbuhl & Darrell (2017), https://arxiv.org/abs/1605.09782, appendix C; the layers are those of
the authors' code, https://github.com/jeffdonahue/bigan.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

__all__ = ["BiGANCritic", "BiGANEncoder", "BiGANGenerator"]


class BiGANEncoder(nn.Module):
    """Observations (N, *shape) -> codes (N, dim) in [-1, 1].

    Args:
        shape: shape of one observation.
        dim: latent dimension d.
        width: of both hidden layers.

    """

    def __init__(self, shape: Sequence[int], dim: int, width: int = 1024) -> None:
        super().__init__()
        self.dim, self.heads = dim, 1
        self.first, self.second = _linear(prod(shape), width), _linear(width, width)
        self.norm, self.last = nn.BatchNorm1d(width, affine=False), _linear(width, dim)

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer (N, width), whose distances tell classes apart better than those of codes."""
        h = _leaky(self.first(x.flatten(1)))
        return _leaky(self.norm(self.second(h)))

    def forward(self, x: Tensor) -> Tensor:
        """Return codes (N, dim)."""
        return torch.tanh(self.last(self.features(x)) / 2)


class BiGANGenerator(nn.Module):
    """Codes (N, dim) -> observations (N, *shape) in [0, 1].

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        width: of both hidden layers.

    """

    def __init__(self, dim: int, shape: Sequence[int], width: int = 1024) -> None:
        super().__init__()
        self.dim, self.heads, self.shape = dim, 1, tuple(shape)
        self.first, self.second, self.code = _linear(dim, width), _linear(width, width), _linear(dim, width)
        self.norms = nn.ModuleList([nn.BatchNorm1d(width, affine=False) for _ in range(2)])
        self.last = _linear(width, prod(shape))

    def forward(self, z: Tensor) -> Tensor:
        """Return observations (N, *shape)."""
        h = torch.relu(self.norms[0](self.first(z)))
        h = torch.relu(self.norms[1](self.second(h) + self.code(z)))
        return torch.sigmoid(self.last(h)).unflatten(1, self.shape)


class BiGANCritic(nn.Module):
    """Observations (N, *shape) and codes (N, d) -> scores (N,) of the pairs.

    Args:
        shape: shape of one observation.
        dim: latent dimension d.
        width: of both hidden layers.

    """

    def __init__(self, shape: Sequence[int], dim: int, width: int = 1024) -> None:
        super().__init__()
        self.first, self.second, self.code = _linear(prod(shape), width), _linear(width, width), _linear(dim, width)
        self.norm, self.last = nn.BatchNorm1d(width, affine=False), _linear(width, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return scores (N,)."""
        h = _leaky(self.first(x.flatten(1)))
        out: Tensor = self.last(_leaky(self.norm(self.second(h) + self.code(z))))
        return out.squeeze(1)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, 0.0, 0.02)
    return layer


def _leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, 0.2)
