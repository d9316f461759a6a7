r"""A small U-Net with attention for noisy images.

    block     x + conv3 act((1 + s(e)) norm(conv3 act(norm x)) + t(e))     conv1 on the short cut if channels change
    down      conv3, then `blocks` blocks at every level; averages of 2 x 2 between levels
    middle    block, attention, block
    up        doubling (nearest neighbour) between levels; `blocks` blocks, each of which also sees what the block on
              its way down gave;  conv3 act(norm)

with scales s and shifts t that are linear in the embedding e of noise level and class. The last convolution of every
block, the last layer of attention and the last convolution of all start at zero. Group normalisation keeps images
apart and treats training and evaluation alike. The networks of DDPM add e instead of scaling, down-sample with strides
and have one more block at each level on the way up; scale and shift are those of Dhariwal & Nichol.

Reference: Ho, Jain & Abbeel, "Denoising diffusion probabilistic models" (2020), https://arxiv.org/abs/2006.11239;
Dhariwal & Nichol (2021), https://arxiv.org/abs/2105.05233. The bottleneck is the h-space of Kwon, Jeong & Uh (2023),
https://arxiv.org/abs/2210.10960.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from lsgen.nn.denoisers.attention import MultiHeadAttention
from lsgen.nn.denoisers.conditioning import Conditioning, Features, checked_denoiser_inputs

__all__ = ["UNet"]


class UNet(nn.Module):
    """Noisy images x (B, C, H, W), noise (B,) and labels (B,) -> (B, C, H, W).

    Args:
        shape: shape of one image, (C, H, W); sides halve len(channels) - 1 times.
        classes: number of classes, 0 for none.
        channels: channels at each level, from the image down.
        blocks: residual blocks at each level, on either way.
        attention: at how many levels, from the bottom, places attend to each other; 0 for none.
        heads: heads of attention, which divide the channels.
        embedding: size of the embedding of noise level and class, even.
        features: how the noise level is encoded, "sinusoidal" or "fourier".
        dropout: rate at which features within blocks are dropped in training.

    Raises:
        ValueError: observations are no images, sides do not halve so often, or a number does not fit the others.

    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 0,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        attention: int = 1,
        heads: int = 4,
        embedding: int = 128,
        features: Features = "sinusoidal",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(shape, channels, blocks, attention)
        self.shape, self.classes = tuple(shape), classes
        self.condition = Conditioning(embedding, classes, features)
        levels = range(len(channels))
        attends = [heads if level >= len(channels) - attention else 0 for level in levels]

        def chain(level: int, *inputs: int) -> nn.ModuleList:
            return nn.ModuleList(_Block(n, channels[level], embedding, dropout, attends[level]) for n in inputs)

        self.first = nn.Conv2d(shape[0], channels[0], 3, padding=1)
        above, below = [channels[0], *channels], [*channels, channels[-1]]
        self.down = nn.ModuleList(chain(i, above[i], *[channels[i]] * (blocks - 1)) for i in levels)
        self.middle = chain(levels[-1], channels[-1], channels[-1])
        self.up = nn.ModuleList(
            chain(i, below[i + 1] + channels[i], *[2 * channels[i]] * (blocks - 1)) for i in reversed(levels)
        )
        self.norm, self.last = _norm(channels[0]), _silent(nn.Conv2d(channels[0], shape[0], 3, padding=1))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return one image for each of x; 0 before training.

        Raises:
            ValueError: shapes do not fit, or there are labels without classes.

        """
        condition, h, skips = self._descend(x, noise, label)
        level: Any
        for i, level in enumerate(self.up):
            h = interpolate(h, scale_factor=2.0) if i else h
            for block in level:
                h = block(torch.cat([h, skips.pop()], 1), condition)
        out: Tensor = self.last(silu(self.norm(h)))
        return out

    def bottleneck(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the features in the middle, the h-space, (B, channels[-1] times places of the lowest level).

        Raises:
            ValueError: shapes do not fit, or there are labels without classes.

        """
        return self._descend(x, noise, label)[1].flatten(1)

    def _descend(self, x: Tensor, noise: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
        checked_denoiser_inputs(self.shape, x, noise, label)
        condition, h = self.condition(noise, label), self.first(x)
        skips: list[Tensor] = []
        level: Any
        for i, level in enumerate(self.down):
            h = avg_pool2d(h, 2) if i else h
            for block in level:
                h = block(h, condition)
                skips.append(h)
        for block in self.middle:
            h = block(h, condition)
        return condition, h, skips


class _Block(nn.Module):
    """A residual block, followed by attention if it has heads."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float, heads: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), _silent(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.modulation, self.dropout = nn.Linear(embedding, 2 * outputs), nn.Dropout(dropout)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.attention = _Attention(outputs, heads) if heads else None

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, 1)
        h = torch.addcmul(shift, self.norm2(self.conv1(silu(self.norm1(x)))), 1 + scale)
        out: Tensor = self.shortcut(x) + self.conv2(self.dropout(silu(h)))
        return out if self.attention is None else self.attention(out)


class _Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = _norm(channels), MultiHeadAttention(channels, heads)
        nn.init.zeros_(self.attention.out.weight)
        nn.init.zeros_(self.attention.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.attention(self.norm(x).flatten(2).mT)
        return x + seen.mT.unflatten(2, x.shape[2:])


def _check(shape: Sequence[int], channels: Sequence[int], blocks: int, attention: int) -> None:
    doubled = 2 ** (len(channels) - 1)
    if len(shape) != 3 or any(side % doubled for side in shape[1:]):
        raise ValueError(
            f"a U-Net of {len(channels)} levels expected images (C, H, W) with sides that are multiples of {doubled}, "
            f"got {tuple(shape)}"
        )
    if blocks < 1 or not 0 <= attention <= len(channels):
        raise ValueError(
            f"expected 1 or more blocks and attention at 0 to {len(channels)} levels, got {blocks} and {attention}"
        )


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(32, max(channels // 4, 1)), channels)


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
