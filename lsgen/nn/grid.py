"""Encoder and decoder whose code is a grid of vectors, for vector quantisation.

    encoder   4x4/2 convolutions, residual blocks, conv1 to D channels; the code lists the vectors row by row; where it
              is normalised, batch normalisation follows each of the first
    decoder   conv3, residual blocks, 4x4/2 transposed convolutions

The vector of one place is contiguous in the code: (N, h * w * D), D last.

Reference: van den Oord, Vinyals & Kavukcuoglu (2017), section 4.1, https://arxiv.org/abs/1711.00937.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lsgen.nn.conv import bottom_size

__all__ = ["GridDecoder", "GridEncoder"]


class GridEncoder(nn.Module):
    """Images (N, C, S, S) -> codes (N, h * w * D).

    Args:
        shape: shape of one image, (C, S, S).
        dim: latent dimension h * w * D.
        width: channels of the hidden layers.
        halvings: how often the side is halved; h = w = S / 2^halvings.
        blocks: residual blocks.
        activation: constructor of the activation.
        heads: posterior parameters per latent dimension.
        normalised: whether batches are normalised after each halving.

    Raises:
        ValueError: the sizes do not fit together.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        width: int = 128,
        halvings: int = 2,
        blocks: int = 2,
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        vector = heads * _vector(dim, bottom_size(shape, halvings))
        layers: list[nn.Module] = []
        for level in range(halvings):
            layers += [nn.Conv2d(width if level else shape[0], width, 4, stride=2, padding=1)]
            layers += [nn.BatchNorm2d(width), activation()] if normalised else [activation()]
        layers += [_Residual(width, activation) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, activation(), nn.Conv2d(width, vector, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Return codes (N, h * w * D)."""
        grid: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return grid.movedim(1, -1).flatten(1)


class GridDecoder(nn.Module):
    """Codes (N, h * w * D) -> raw outputs (N, heads * C, S, S).

    Args:
        dim: latent dimension h * w * D.
        shape: shape of one image, (C, S, S).
        width: channels of the hidden layers.
        halvings: how often the side was halved.
        blocks: residual blocks.
        activation: constructor of the activation.
        heads: raw outputs per data channel, as the likelihood asks.
        stages: the vector of a place is the sum of so many, whose grids follow one another in the code.

    Raises:
        ValueError: the sizes do not fit together.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        width: int = 128,
        halvings: int = 2,
        blocks: int = 2,
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
        stages: int = 1,
    ) -> None:
        super().__init__()
        if stages < 1 or dim % stages:
            raise ValueError(f"expected a number of stages that divides the latent dimension {dim}, got {stages}")
        self.dim, self.heads, self.stages = dim, heads, stages
        side = bottom_size(shape, halvings)
        self.grid = (side, side, _vector(dim // stages, side))
        layers: list[nn.Module] = [nn.Conv2d(self.grid[2], width, 3, padding=1)]
        layers += [_Residual(width, activation) for _ in range(blocks)]
        for level in reversed(range(halvings)):
            outputs = width if level else heads * shape[0]
            layers += [activation(), nn.ConvTranspose2d(width, outputs, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * C, S, S)."""
        z = z if self.stages == 1 else z.unflatten(1, (self.stages, -1)).sum(1)
        grid = z.unflatten(1, self.grid).movedim(-1, 1)
        out: Tensor = self.layers(grid.contiguous(memory_format=torch.channels_last))
        return out


class _Residual(nn.Module):
    def __init__(self, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        first = nn.Conv2d(width, width, 3, padding=1)
        self.layers = nn.Sequential(activation(), first, activation(), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


def _vector(dim: int, side: int) -> int:
    if dim % side**2:
        raise ValueError(f"expected a latent dimension that is a multiple of {side} x {side} = {side**2}, got {dim}")
    return dim // side**2
