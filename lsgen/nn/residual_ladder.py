r"""Residual networks for ladders of latent variables: bottleneck blocks, and the way up from observations.

    block   x + conv1(g(conv3(g(conv3(g(conv1(g(x))))))),    g = GELU;  conv1 alone where a side has 1 or 2 pixels

There is no normalisation; the last convolution of every block begins scaled by 1/sqrt(number of blocks), so that the
variance of a path does not grow with its depth.

Reference: Child, "Very deep VAEs generalize autoregressive models and can outperform them on images" (2021), figure 3
and section 3.2, https://arxiv.org/abs/2011.10650.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["BottleneckBlock", "ResidualLadderEncoder", "bottleneck_width", "ladder_sides", "side_of"]


class BottleneckBlock(nn.Module):
    """A residual block of four convolutions, feature maps (N, inputs, S, S) -> (N, outputs, S, S).

    Args:
        inputs: channels that come in.
        outputs: channels that go out; where they are as many, the input is added.
        width: channels between the convolutions.
        side: S, in pixels.
        gain: factor of the last convolution's first weights.
        residual: whether the input is added.

    """

    def __init__(self, inputs: int, outputs: int, width: int, side: int, gain: float, residual: bool = True) -> None:
        super().__init__()
        kernel = 3 if side > 2 else 1
        sizes = [(inputs, width, 1), (width, width, kernel), (width, width, kernel), (width, outputs, 1)]
        layers: list[nn.Module] = []
        for before, after, size in sizes:
            layers += [nn.GELU(), nn.Conv2d(before, after, size, padding=size // 2)]
        last = layers[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.data *= gain
        self.layers, self.residual = nn.Sequential(*layers), residual

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps (N, outputs, S, S)."""
        out: Tensor = self.layers(x)
        return x + out if self.residual else out


class ResidualLadderEncoder(nn.Module):
    """The way up: observations (N, *shape) -> feature maps at every side that has levels, flattened and joined.

    Sides shrink by average pooling; the maps of the top level come first.

    Args:
        shape: shape of one image, (C, S, S), or of a vector, (C,), an image of one pixel.
        levels: side and channels of every level of codes, the top one first.
        width: channels of all feature maps.
        blocks: residual blocks at the image's own side and at every side that has levels.
        bottleneck: channels between the convolutions of a block, as a part of the width.

    Raises:
        ValueError: see `ladder_sides` and `bottleneck_width`; there is no block.

    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: Sequence[Sequence[int]] = ((1, 4), (4, 2)),
        width: int = 64,
        blocks: int = 1,
        bottleneck: float = 0.25,
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"expected at least 1 block, got {blocks}")
        side, self.sides = side_of(shape), ladder_sides(shape, levels)
        self.dim, self.heads = width * sum(one**2 for one in self.sides), 1
        way = [side, *(one for one in reversed(self.sides) if one < side)]
        gain, middle = 1 / sqrt(blocks * len(way)), bottleneck_width(width, bottleneck)
        self.first = nn.Conv2d(shape[0], width, 3 if side > 2 else 1, padding=1 if side > 2 else 0)
        self.stages = nn.ModuleDict(
            {
                str(one): nn.Sequential(*(BottleneckBlock(width, width, middle, one, gain) for _ in range(blocks)))
                for one in way
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps (N, width * sum of squared sides)."""
        maps = self.first(x if x.ndim == 4 else x[..., None, None])
        found: dict[int, Tensor] = {}
        for name, stage in self.stages.items():
            side = int(name)
            maps = stage(maps if maps.shape[-1] == side else adaptive_avg_pool2d(maps, side))
            found[side] = maps
        return torch.cat([found[side].flatten(1) for side in self.sides], -1)


def bottleneck_width(width: int, bottleneck: float) -> int:
    """Return the channels between the convolutions of a block, a part of the width of the state, at least 1.

    Raises:
        ValueError: the width is not positive, or the part not in (0, 1].

    """
    if width < 1 or not 0 < bottleneck <= 1:
        raise ValueError(f"expected a width of at least 1 and a bottleneck in (0, 1], got {width} and {bottleneck}")
    return max(1, round(bottleneck * width))


def side_of(shape: Sequence[int]) -> int:
    """Return the side of a square image (C, S, S); that of a vector (C,) is 1.

    Raises:
        ValueError: it is neither.

    """
    if len(shape) == 1:
        return 1
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(f"expected a vector (C,) or a square image (C, S, S), got shape {tuple(shape)}")
    return int(shape[1])


def ladder_sides(shape: Sequence[int], levels: Sequence[Sequence[int]]) -> list[int]:
    """Return the sides that levels have, each once, from the top down.

    Raises:
        ValueError: there is no level, a level is no pair of positive numbers, or sides shrink on the way down or exceed
            that of the image.

    """
    side, pairs = side_of(shape), [tuple(level) for level in levels]
    if not pairs or any(len(pair) != 2 or min(pair) < 1 for pair in pairs):
        raise ValueError(f"expected at least one level, each a side and channels of at least 1, got {pairs}")
    sides = [int(pair[0]) for pair in pairs]
    if sides != sorted(sides) or sides[-1] > side:
        raise ValueError(f"expected sides that grow from the top down to at most {side}, got {sides}")
    return sorted(set(sides))
