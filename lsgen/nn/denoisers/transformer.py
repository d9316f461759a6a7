r"""The diffusion transformer for noisy images, with adaptive layer normalisation that starts at zero (adaLN-zero).

    tokens    one for every patch x patch pixels, linear in them, plus fixed sines and cosines of its row and column
    block     h + a_1 attention((1 + s_1) norm h + t_1);   h + a_2 mlp((1 + s_2) norm h + t_2)
    last      W ((1 + s) norm h + t), patch x patch pixels again

The norms have no weights of their own; s, t and a are linear in the embedding e of noise level and class, and start at
zero, as W does: blocks begin as the identity and the network as 0.

Reference: Peebles & Xie, "Scalable diffusion models with transformers" (2023), https://arxiv.org/abs/2212.09748.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, unfold

from lsgen.nn.denoisers.attention import MultiHeadAttention
from lsgen.nn.denoisers.conditioning import Conditioning, Features, checked_denoiser_inputs

__all__ = ["DiffusionTransformer"]


class DiffusionTransformer(nn.Module):
    """Noisy images x (B, C, H, W), noise (B,) and labels (B,) -> (B, C, H, W).

    Args:
        shape: shape of one image, (C, H, W).
        classes: number of classes, 0 for none.
        patch: side of the pixels that make a token.
        width: size of a token and of the embedding of noise level and class, a multiple of 4.
        depth: number of blocks.
        heads: heads of attention, which divide the width.
        ratio: width of the hidden layer of a block over that of a token.
        features: how the noise level is encoded, "sinusoidal" or "fourier".

    Raises:
        ValueError: observations are no images, patches do not tile them, or a number does not fit the others.

    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 0,
        patch: int = 2,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        ratio: int = 4,
        features: Features = "sinusoidal",
    ) -> None:
        super().__init__()
        if patch < 1:
            raise ValueError(f"a diffusion transformer expected patches of 1 or more pixels, got {patch}")
        if len(shape) != 3 or any(side % patch for side in shape[1:]):
            raise ValueError(
                f"a diffusion transformer expected images (C, H, W) with sides that are multiples of {patch}, "
                f"got {tuple(shape)}"
            )
        if depth < 1 or width % 4:
            raise ValueError(f"expected 1 or more blocks and a width of a multiple of 4, got {depth} and {width}")
        self.shape, self.classes, self.patch = tuple(shape), classes, patch
        self.condition = Conditioning(width, classes, features)
        pixels = shape[0] * patch**2
        self.first = nn.Linear(pixels, width)
        self.register_buffer("places", _places(shape[1] // patch, shape[2] // patch, width), persistent=False)
        self.blocks = nn.ModuleList(_Block(width, heads, ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.modulation, self.last = _silent(nn.Linear(width, 2 * width)), _silent(nn.Linear(width, pixels))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return one image for each of x; 0 before training.

        Raises:
            ValueError: shapes do not fit, or there are labels without classes.

        """
        checked_denoiser_inputs(self.shape, x, noise, label)
        condition = self.condition(noise, label)[:, None]
        h = self.first(unfold(x, self.patch, stride=self.patch).mT) + self.places
        for block in self.blocks:
            h = block(h, condition)
        scale, shift = self.modulation(condition).chunk(2, 2)
        out = self.last(torch.addcmul(shift, self.norm(h), 1 + scale))
        return fold(out.mT, self.shape[1:], self.patch, stride=self.patch)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention = MultiHeadAttention(width, heads)
        activation = nn.GELU(approximate="tanh")
        self.mlp = nn.Sequential(nn.Linear(width, ratio * width), activation, nn.Linear(ratio * width, width))
        self.modulation = _silent(nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        s1, t1, a1, s2, t2, a2 = self.modulation(condition).chunk(6, 2)
        h = torch.addcmul(x, a1, self.attention(torch.addcmul(t1, self.norm(x), 1 + s1)))
        return torch.addcmul(h, a2, self.mlp(torch.addcmul(t2, self.norm(h), 1 + s2)))


def _places(rows: int, columns: int, width: int) -> Tensor:
    """Return sines and cosines of rows and columns (rows * columns, width), a half for each."""
    frequencies = torch.exp(-log(10_000.0) * torch.arange(width // 4) / (width // 4))
    waves = [torch.arange(n)[:, None] * frequencies for n in (rows, columns)]
    row, column = (torch.cat([wave.sin(), wave.cos()], 1) for wave in waves)
    return torch.cat([row[:, None].expand(-1, columns, -1), column[None].expand(rows, -1, -1)], 2).flatten(0, 1)


def _silent(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
