"""The convolutional networks of Wasserstein autoencoders, for square images whose side halves a few times.

    encoder   5x5/2 convolutions  BN ReLU ...  width channels  ->  heads * d
    decoder   dense -> width channels  ReLU,  5x5/2 transposed convolutions  BN ReLU ...  5x5/1  sigmoid

Layers have width, width / 2, width / 4, ... channels, counted from the codes; the decoder doubles the side once less
than the encoder halves it. Weights are N(0, 0.01), cut off at two standard deviations.

Reference: Tolstikhin et al. (2018), https://arxiv.org/abs/1711.01558, appendix C; the layers are those of the authors'
code for CelebA, https://github.com/tolstikhin/wae. Their images lie in [-1, 1] and end in tanh, which is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lsgen.nn.conv import bottom_size

__all__ = ["WAEDecoder", "WAEEncoder"]


class WAEEncoder(nn.Module):
    """Images (N, C, S, S) -> raw outputs (N, heads * dim).

    Args:
        shape: shape of one image, (C, S, S).
        dim: latent dimension d.
        width: channels of the last convolution.
        layers: convolutions, each of which halves S.
        heads: posterior parameters per latent dimension.

    Raises:
        ValueError: the images are not square or do not halve so often.

    """

    def __init__(self, shape: Sequence[int], dim: int, width: int = 1024, layers: int = 4, heads: int = 2) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        bottom, parts = bottom_size(shape, layers), list[nn.Module]()
        for inputs, outputs in pairwise([int(shape[0]), *reversed(_channels(width, layers))]):
            parts += [nn.Conv2d(inputs, outputs, 5, stride=2, padding=2, bias=False)]
            parts += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*parts, nn.Flatten(), nn.Linear(width * bottom**2, heads * dim))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return raw outputs (N, heads * dim)."""
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return out


class WAEDecoder(nn.Module):
    """Codes (N, dim) -> raw outputs (N, heads * C, S, S), in [0, 1] unless stated.

    Args:
        dim: latent dimension d.
        shape: shape of one image, (C, S, S).
        width: channels in front of the first transposed convolution.
        layers: convolutions; all but the last double S.
        heads: outputs per data channel, as the likelihood asks.
        bounded: whether outputs end in a sigmoid, as means of images in [0, 1] do; false for a likelihood of logits.

    Raises:
        ValueError: the images are not square or do not halve so often.

    """

    def __init__(
        self, dim: int, shape: Sequence[int], width: int = 1024, layers: int = 4, heads: int = 1, bounded: bool = True
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        bottom, channels = 2 * bottom_size(shape, layers), _channels(width, layers)
        parts: list[nn.Module] = [
            nn.Linear(dim, width * bottom**2),
            nn.Unflatten(1, (width, bottom, bottom)),
            nn.ReLU(),
        ]
        for inputs, outputs in pairwise(channels):
            parts += [nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1, bias=False)]
            parts += [nn.BatchNorm2d(outputs), nn.ReLU()]
        last = nn.Conv2d(channels[-1], heads * int(shape[0]), 5, padding=2)
        self.layers = nn.Sequential(*parts, last, nn.Sigmoid() if bounded else nn.Identity())
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * C, S, S)."""
        out: Tensor = self.layers(z)
        return out


def _channels(width: int, layers: int) -> list[int]:
    """Return width, width / 2, ... of that many layers."""
    return [max(1, width // 2**i) for i in range(layers)]


def _initialise(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.trunc_normal_(layer.weight, 0.0, 0.01, -0.02, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    net.to(memory_format=torch.channels_last)
