"""Residual networks with group normalisation, for VAEs of natural images.

    block     x + conv3(act(norm(conv3(act(norm(x))))))          conv1 on the short cut where channels change
    encoder   conv3, then blocks and a halving (average pooling) for every entry of `channels`; act(norm), dense
    decoder   dense, then a doubling (nearest neighbour) and blocks for every entry; act(norm), conv3

Group normalisation is the same in training and evaluation, so that no statistics of a batch enter a decoder whose
geometry is studied. The last convolution of each block starts at zero: blocks begin as the identity.

Reference: He et al., "Identity mappings in deep residual networks" (2016), https://arxiv.org/abs/1603.05027; Wu & He,
"Group normalization" (2018), https://arxiv.org/abs/1803.08494.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import gcd

import torch
from torch import Tensor, nn

from lsgen.nn.conv import bottom_size

__all__ = ["ResNetDecoder", "ResNetEncoder"]

Activation = Callable[[], nn.Module]


class ResNetEncoder(nn.Module):
    """Images (N, C, S, S) -> posterior parameters (N, heads * dim).

    Args:
        shape: shape of one image, (C, S, S).
        dim: latent dimension d.
        channels: channels at each level; the side halves after each.
        blocks: residual blocks at each level.
        activation: constructor of the activation.
        heads: posterior parameters per latent dimension.

    Raises:
        ValueError: the images are not square or do not halve so often.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        channels: Sequence[int] = (64, 128, 256),
        blocks: int = 1,
        activation: Activation = nn.SiLU,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        bottom = bottom_size(shape, len(channels))
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1)]
        for inputs, outputs in pairwise([channels[0], *channels]):
            layers += [*_level(inputs, outputs, blocks, activation), nn.AvgPool2d(2)]
        layers += [_norm(channels[-1]), activation(), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(channels[-1] * bottom**2, heads * dim))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return out


class ResNetDecoder(nn.Module):
    """Codes (N, dim) -> raw outputs (N, heads * C, S, S).

    Args:
        dim: latent dimension d.
        shape: shape of one image, (C, S, S).
        channels: channels at each level from the image up, those of the encoder.
        blocks: residual blocks at each level.
        activation: constructor of the activation.
        heads: raw outputs per data channel, as the likelihood asks.

    Raises:
        ValueError: the images are not square or do not halve so often.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        channels: Sequence[int] = (64, 128, 256),
        blocks: int = 1,
        activation: Activation = nn.SiLU,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        bottom = bottom_size(shape, len(channels))
        self.bottom = (channels[-1], bottom, bottom)
        self.dense = nn.Linear(dim, channels[-1] * bottom**2)
        down = list(reversed(channels))
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([down[0], *down]):
            layers += [nn.Upsample(scale_factor=2), *_level(inputs, outputs, blocks, activation)]
        layers += [_norm(down[-1]), activation(), nn.Conv2d(down[-1], heads * shape[0], 3, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * C, S, S)."""
        hidden = self.dense(z).unflatten(1, self.bottom)
        out: Tensor = self.layers(hidden.contiguous(memory_format=torch.channels_last))
        return out


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.init.zeros_(last.weight)
        first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.residual = nn.Sequential(_norm(inputs), activation(), first, _norm(outputs), activation(), last)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.residual(x)
        return out


def _level(inputs: int, outputs: int, blocks: int, activation: Activation) -> list[nn.Module]:
    return [_Block(inputs if i == 0 else outputs, outputs, activation) for i in range(blocks)]


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(32, channels), channels)
