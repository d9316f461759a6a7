r"""The generator of BigGAN; its critic is a `ResNetCritic` with wide blocks, orthogonal weights and attention.

    z = (z_0, z_1, ..., z_L, one-hot c),    e = E c the embedding that all layers share
    dense z_0 -> channels[0] x bottom x bottom;   block l:  BN_l ReLU up x2 conv3  BN_l ReLU conv3  + up x2 conv1
    BN_l h = (1 + A (z_l, e)) (h - mean)/deviation + B (z_l, e)

so every block sees a part of the code of its own (skip-z), of equal size. Up-sampling repeats pixels. Weights are
orthogonal at the start. Every layer but E is spectrally normalised.

Reference: Brock, Donahue & Simonyan, "Large scale GAN training for high fidelity natural image synthesis" (2019),
https://arxiv.org/abs/1809.11096, appendix B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lsgen.nn.adversarial.critics import spectrally_normalised
from lsgen.nn.adversarial.resnet_gan import attention_behind, orthogonally_initialised

__all__ = ["BigGANGenerator"]


class _Modulated(nn.Module):
    """Batch normalisation whose scale and shift are linear in a condition (N, width)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=False)
        self.gain, self.shift = (nn.Linear(width, features, bias=False) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, shift = (layer(condition)[:, :, None, None] for layer in (self.gain, self.shift))
        out: Tensor = (1 + gain) * self.normalise(x) + shift
        return out


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Modulated(inputs, width), _Modulated(outputs, width)
        self.conv1, self.conv2 = (nn.Conv2d(size, outputs, 3, padding=1) for size in (inputs, outputs))
        self.shortcut, self.activation = nn.Conv2d(inputs, outputs, 1), activation()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(interpolate(self.activation(self.norm1(x, condition)), scale_factor=2))
        out: Tensor = self.conv2(self.activation(self.norm2(h, condition)))
        return out + interpolate(self.shortcut(x), scale_factor=2)


class _Embedding(nn.Module):
    """Weights of classes (N, classes) -> (N, width), linear; a module of its own, since it is no layer of filters."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(classes, width)))

    def forward(self, label: Tensor) -> Tensor:
        return label @ self.weight


class BigGANGenerator(nn.Module):
    """Codes (N, dim) -> images (N, C, S, S) in [-1, 1].

    Args:
        dim: latent dimension d, the classes among it; what is no class is divided among the dense layer and the blocks.
        shape: shape of one image, (C, S, S) with S = bottom * 2^(len(channels) - 1).
        channels: channels from the bottom up.
        classes: number of classes; the last `classes` coordinates of a code are its one-hot label, 0 for none.
        embedding: dimension of the shared embedding of classes.
        attention: side of the features that attend to each other; None for no attention.
        spectral: whether layers are spectrally normalised.
        activation: constructor of the activation; a smooth one gives the generator curvature.

    Raises:
        ValueError: the image cannot be reached by doublings, the code cannot be divided, or no block's features have
            the side of attention.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        channels: Sequence[int] = (256, 256, 256, 256),
        classes: int = 0,
        embedding: int = 128,
        attention: int | None = None,
        spectral: bool = True,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.classes = dim, 1, classes
        size, doubled, parts = int(shape[-1]), 2 ** (len(channels) - 1), len(channels)
        if len(shape) != 3 or shape[1] != size or size % doubled:
            raise ValueError(f"expected images (C, S, S) with S a multiple of {doubled}, got {tuple(shape)}")
        if dim <= classes or (dim - classes) % parts:
            raise ValueError(
                f"BigGANGenerator expected a multiple of {parts} coordinates besides the classes, one part for the "
                f"bottom and for each block, got {dim - classes}"
            )
        self.bottom, part = (channels[0], size // doubled, size // doubled), (dim - classes) // parts
        self.embed = _Embedding(classes, embedding) if classes else None
        self.dense = nn.Linear(part, channels[0] * self.bottom[1] ** 2)
        width = part + (embedding if classes else 0)
        self.blocks = nn.ModuleList(_Block(a, b, width, activation) for a, b in pairwise(channels))
        sides = [self.bottom[1] * 2 ** (i + 1) for i in range(len(self.blocks))]
        self.attend = attention_behind(sides, channels[1:], attention)
        self.norm, self.activation = nn.BatchNorm2d(channels[-1]), activation()
        self.conv = nn.Conv2d(channels[-1], int(shape[0]), 3, padding=1)
        orthogonally_initialised(self)
        if spectral:
            spectrally_normalised(self)

    def forward(self, z: Tensor) -> Tensor:
        """Return images (N, C, S, S)."""
        noise, label = z.split([self.dim - self.classes, self.classes], 1)
        first, *others = noise.chunk(len(self.blocks) + 1, 1)
        shared = [] if self.embed is None else [self.embed(label)]
        h = self.dense(first).unflatten(1, self.bottom)
        for i, (block, part) in enumerate(zip(self.blocks, others, strict=True)):
            h = block(h, torch.cat([part, *shared], 1))
            h = self.attend[str(i)](h) if str(i) in self.attend else h
        return torch.tanh(self.conv(self.activation(self.norm(h))))
