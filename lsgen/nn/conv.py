"""Convolutional networks for square images of any size that halves a few times, such as 28 x 28 and 32 x 32.

    encoder   one 4x4/2 convolution for every entry of `channels`, a dense layer, heads * d
    decoder   the mirror image, with transposed convolutions

The defaults fit 28 x 28 (down to 7 x 7) and 32 x 32 (to 8 x 8). Weights and activations are kept in channels_last
memory format, several times faster on CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["ConvDecoder", "ConvEncoder", "bottom_size"]


class ConvEncoder(nn.Module):
    """Images (N, C, S, S) -> posterior parameters (N, heads * dim).

    Args:
        shape: shape of one image, (C, S, S).
        dim: latent dimension d.
        channels: channels after each halving.
        hidden: width of the dense layer.
        activation: constructor of the activation between layers.
        heads: posterior parameters per latent dimension.

    Raises:
        ValueError: the images are not square or do not halve so often.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        channels: Sequence[int] = (32, 64),
        hidden: int = 256,
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        bottom = bottom_size(shape, len(channels))
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([shape[0], *channels]):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), activation()]
        dense = [nn.Linear(channels[-1] * bottom**2, hidden), activation(), nn.Linear(hidden, heads * dim)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), *dense)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return out


class ConvDecoder(nn.Module):
    """Codes (N, dim) -> raw outputs (N, heads * C, S, S).

    Args:
        dim: latent dimension d.
        shape: shape of one image, (C, S, S).
        channels: channels before each doubling, from the image up; those of the encoder.
        hidden: width of the dense layer.
        activation: constructor of the activation between layers.
        heads: raw outputs per data channel, as the likelihood asks.

    Raises:
        ValueError: the images are not square or do not halve so often.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        channels: Sequence[int] = (32, 64),
        hidden: int = 256,
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        bottom = bottom_size(shape, len(channels))
        self.bottom = (channels[-1], bottom, bottom)
        first = nn.Linear(hidden, channels[-1] * bottom**2)
        self.dense = nn.Sequential(nn.Linear(dim, hidden), activation(), first, activation())
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([*reversed(channels), heads * shape[0]]):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), activation()]
        self.convolutions = nn.Sequential(*layers[:-1])
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * C, S, S)."""
        hidden = self.dense(z).unflatten(1, self.bottom)
        out: Tensor = self.convolutions(hidden.contiguous(memory_format=torch.channels_last))
        return out


def bottom_size(shape: Sequence[int], halvings: int) -> int:
    """Return the side of a square image after some halvings.

    Raises:
        ValueError: the image is not square or its side is no multiple of 2 to the number of halvings.

    """
    factor = 2**halvings
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % factor or not halvings:
        raise ValueError(f"expected square images (C, S, S) with S a multiple of {factor}, got {tuple(shape)}")
    return int(shape[1]) // factor
