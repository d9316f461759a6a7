"""A small convolutional encoder of images of any size.

Each block is a 3x3 convolution, batch normalisation, ReLU and a 2x2 maximum; the side is halved and rounded down. A
linear layer gives the features.

Reference: Vinyals et al., "Matching networks for one shot learning" (2016), https://arxiv.org/abs/1606.04080, section
4.1, with four blocks of 64 channels and no linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["BlockEncoder"]


class BlockEncoder(nn.Module):
    """Images (N, C, H, W) -> features (N, dim).

    Args:
        shape: shape of one image, (C, H, W).
        dim: number of features d.
        channels: channels after each block.

    Raises:
        ValueError: the image is too small to be halved so often.

    """

    def __init__(self, shape: Sequence[int], dim: int, channels: Sequence[int] = (64, 64, 64, 64)) -> None:
        super().__init__()
        self.dim, self.heads = dim, 1
        factor = 2 ** len(channels)
        if len(shape) != 3 or not channels or min(shape[1:]) < factor:
            raise ValueError(f"expected images (C, H, W) with sides of at least {factor}, got {tuple(shape)}")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([shape[0], *channels]):
            block = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            layers += [block, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        places = (shape[1] // factor) * (shape[2] // factor)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * places, dim))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, dim)."""
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return out
