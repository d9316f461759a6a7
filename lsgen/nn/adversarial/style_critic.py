r"""The residual critic of StyleGAN2, with equalised learning rates and statistics of the minibatch.

    1x1 from the image;  blocks  y = ( conv3 conv3/2 x + conv1/2 x ) / sqrt(2);  minibatch deviation;  conv3;  dense

Every convolution but that of the shortcut is followed by sqrt(2) lrelu; halvings take averages. Weights are N(0, 1),
scaled at run time by 1/sqrt(fan in).

Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN" (2020),
https://arxiv.org/abs/1912.04958, figure 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from lsgen.nn.adversarial.critics import MinibatchStd
from lsgen.nn.adversarial.stylegan import EqualLinear, activate

__all__ = ["StyleCritic"]


class _EqualConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain = 1 / sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.gain * self.weight, self.bias, padding=self.weight.shape[-1] // 2)


class _Halving(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _EqualConv(inputs, inputs, 3), _EqualConv(inputs, outputs, 3)
        self.shortcut = _EqualConv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = avg_pool2d(activate(self.conv2(activate(self.conv1(x)))), 2)
        out: Tensor = (h + self.shortcut(avg_pool2d(x, 2))) / sqrt(2)
        return out


class StyleCritic(nn.Module):
    """Images (N, C, S, S) -> scores (N,), S = 4 * 2^(len(channels) - 1).

    Args:
        shape: shape of one image.
        channels: channels from the image's size down to 4 x 4.
        group: images over which the deviation is taken; 0 for none, so that every score depends on one image alone.

    Raises:
        ValueError: the image does not come to 4 x 4.

    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int] = (32, 64, 128, 128), group: int = 4) -> None:
        super().__init__()
        size = 4 * 2 ** (len(channels) - 1)
        if tuple(shape[1:]) != (size, size):
            raise ValueError(f"expected images (C, {size}, {size}) of {len(channels)} resolutions, got {tuple(shape)}")
        last = channels[-1]
        self.image = _EqualConv(int(shape[0]), channels[0], 1)
        self.blocks = nn.Sequential(*(_Halving(a, b) for a, b in pairwise(channels)))
        self.deviation = MinibatchStd(group) if group else nn.Identity()
        self.conv = _EqualConv(last + bool(group), last, 3)
        self.dense, self.score = EqualLinear(16 * last, last), EqualLinear(last, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return features (N, channels[-1])."""
        h = activate(self.conv(self.deviation(self.blocks(activate(self.image(x))))))
        return activate(self.dense(h.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N,)."""
        out: Tensor = self.score(self.features(x))
        return out.squeeze(1)
