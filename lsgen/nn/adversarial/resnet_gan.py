"""The residual networks of SNGAN, WGAN-GP and the projection critic, as the library mimicry trains them.

    generator   z -> (4, 4) x channels[0], blocks  BN ReLU up x2 conv3 BN ReLU conv3 + up x2 conv1,  BN ReLU conv3 tanh
    critic      blocks  ReLU conv3 ReLU conv3 pool + conv1 pool,  ReLU, sum over the image, linear

up-sampling is bilinear, pooling takes averages; the first block of the critic has no ReLU in front and pools before
its shortcut. Weights are Glorot-uniform, with gain sqrt(2) in front of the residual convolutions. A critic carries
no batch normalisation: it is spectrally normalised, or not normalised at all, as a gradient penalty asks.

`attention` puts a layer of self-attention behind the first block whose features have that side, and `spectral` of a
generator normalises its layers too, but for the scales of classes: together they make SAGAN. `wide` blocks widen in
their first convolution, and `orthogonal` weights at the start take the place of Glorot's: so does BigGAN's critic.

In mimicry an in-place ReLU at the head of a critic's block reaches the shortcut too: it sees relu(x), not x as in
the paper. Its published scores were obtained so; `shortcut_relu` chooses.

Reference: Miyato et al. (2018), https://arxiv.org/abs/1802.05957; Miyato & Koyama (2018),
https://arxiv.org/abs/1802.05637; Zhang et al. (2019), https://arxiv.org/abs/1805.08318; Brock et al. (2019),
https://arxiv.org/abs/1809.11096; Lee & Town, "Mimicry" (2020), https://arxiv.org/abs/2005.02494.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from lsgen.nn.adversarial.attention import SelfAttention
from lsgen.nn.adversarial.critics import spectrally_normalised

__all__ = ["ConditionalBatchNorm", "ResNetCritic", "ResNetGenerator"]


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in a one-hot label; without classes the ordinary one.

    Args:
        features: channels C.
        classes: number of classes; 0 for none.

    """

    def __init__(self, features: int, classes: int = 0) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(features, affine=not classes)
        self.affine = nn.Linear(classes, 2 * features, bias=False) if classes else None
        if self.affine is not None:
            nn.init.normal_(self.affine.weight[:features], 1.0, 0.02)
            nn.init.zeros_(self.affine.weight[features:])

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Return normalised features (N, C, H, W) for labels (N, classes)."""
        out: Tensor = self.normalise(x)
        if self.affine is None:
            return out
        scale, shift = self.affine(label).unsqueeze(-1).unsqueeze(-1).chunk(2, 1)
        return scale * out + shift


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, classes: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.norm1, self.norm2 = ConditionalBatchNorm(inputs, classes), ConditionalBatchNorm(outputs, classes)
        self.conv1, self.conv2 = _conv3(inputs, outputs, sqrt(2)), _conv3(outputs, outputs, sqrt(2))
        self.shortcut = _conv1(inputs, outputs)
        self.activation = activation()

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        h = self.conv1(_double(self.activation(self.norm1(x, label))))
        out: Tensor = self.conv2(self.activation(self.norm2(h, label))) + self.shortcut(_double(x))
        return out


class ResNetGenerator(nn.Module):
    """Codes (N, dim) -> images (N, C, S, S) in [-1, 1].

    Args:
        dim: latent dimension d, the classes among it.
        shape: shape of one image, (C, S, S) with S = bottom * 2^(len(channels) - 1).
        channels: channels from the bottom up.
        classes: number of classes; the last `classes` coordinates of a code are its one-hot label, 0 for none.
        activation: constructor of the activation; a smooth one gives the generator curvature.
        attention: side of the features that attend to each other; None for no attention.
        spectral: whether layers are spectrally normalised.

    Raises:
        ValueError: the image cannot be reached by doublings, or no block's features have the side of attention.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        channels: Sequence[int] = (256, 256, 256, 256),
        classes: int = 0,
        activation: Callable[[], nn.Module] = nn.ReLU,
        attention: int | None = None,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.classes = dim, 1, classes
        size, doubled = int(shape[-1]), 2 ** (len(channels) - 1)
        if len(shape) != 3 or shape[1] != size or size % doubled:
            raise ValueError(f"expected images (C, S, S) with S a multiple of {doubled}, got {tuple(shape)}")
        self.bottom = (channels[0], size // doubled, size // doubled)
        self.dense = nn.Linear(dim - classes, channels[0] * (size // doubled) ** 2)
        nn.init.xavier_uniform_(self.dense.weight)
        self.blocks = nn.ModuleList(_Up(a, b, classes, activation) for a, b in pairwise(channels))
        self.norm, self.activation = nn.BatchNorm2d(channels[-1]), activation()
        self.conv = _conv3(channels[-1], int(shape[0]), 1.0)
        sides = [self.bottom[1] * 2 ** (i + 1) for i in range(len(self.blocks))]
        self.attend = attention_behind(sides, channels[1:], attention)
        if spectral:
            spectrally_normalised(self, besides=ConditionalBatchNorm)

    def forward(self, z: Tensor) -> Tensor:
        """Return images (N, C, S, S)."""
        noise = z[:, : self.dim - self.classes]
        label = z[:, self.dim - self.classes :] if self.classes else None
        h = self.dense(noise).unflatten(1, self.bottom)
        for i, block in enumerate(self.blocks):
            h = block(h, label)
            h = self.attend[str(i)](h) if str(i) in self.attend else h
        return torch.tanh(self.conv(self.activation(self.norm(h))))


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int, halve: bool, first: bool, shortcut_relu: bool, wide: bool) -> None:
        super().__init__()
        self.halve, self.first, self.shortcut_relu = halve, first, shortcut_relu
        hidden = outputs if first or wide else inputs
        self.conv1, self.conv2 = _conv3(inputs, hidden, sqrt(2)), _conv3(hidden, outputs, sqrt(2))
        self.shortcut = _conv1(inputs, outputs) if halve or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            return avg_pool2d(self.conv2(torch.relu(self.conv1(x))), 2) + self.shortcut(avg_pool2d(x, 2))
        active = torch.relu(x)
        out: Tensor = self.conv2(torch.relu(self.conv1(active))) + self.shortcut(active if self.shortcut_relu else x)
        return avg_pool2d(out, 2) if self.halve else out


class ResNetCritic(nn.Module):
    """Images (N, C, S, S) -> scores (N,); with classes, of images and their one-hot labels (N, classes), by projection.

        C(x, y) = <w, h(x)> + b + <V y, h(x)>

    Args:
        shape: shape of one image.
        channels: channels of the blocks.
        halvings: how many blocks, from the first on, halve the image.
        spectral: whether every layer is spectrally normalised.
        classes: number of classes; 0 for an unconditional critic.
        shortcut_relu: whether shortcuts see relu(x), as in mimicry, instead of x, as in the paper.
        attention: side of the features that attend to each other; None for no attention.
        wide: whether a block widens in its first convolution, as in BigGAN, instead of the second.
        orthogonal: whether weights are orthogonal at the start, instead of Glorot-uniform.

    Attributes:
        local_channels: channels of the local features; None where there is one block only.

    Raises:
        ValueError: the blocks cannot halve as often, or no block's features have the side of attention.

    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (128, 128, 128, 128),
        halvings: int = 2,
        spectral: bool = True,
        classes: int = 0,
        shortcut_relu: bool = True,
        attention: int | None = None,
        wide: bool = False,
        orthogonal: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= halvings <= len(channels):
            raise ValueError(f"expected between 1 and {len(channels)} halvings, got {halvings}")
        self.classes = classes
        self.local_channels = channels[-2] if len(channels) > 1 else None
        sides = [int(shape[-1]) // 2 ** min(i + 1, halvings) for i in range(len(channels))]
        attend = attention_behind(sides, channels, attention)
        blocks: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise([int(shape[0]), *channels])):
            down = _Down(a, b, i < halvings, i == 0, shortcut_relu, wide)
            blocks.append(nn.Sequential(down, attend[str(i)]) if str(i) in attend else down)
        self.blocks = nn.Sequential(*blocks)
        self.score = nn.Linear(channels[-1], 1)
        nn.init.xavier_uniform_(self.score.weight)
        self.project = nn.Linear(classes, channels[-1], bias=False) if classes else None
        if self.project is not None:
            nn.init.xavier_uniform_(self.project.weight)
        if orthogonal:
            orthogonally_initialised(self)
        if spectral:
            spectrally_normalised(self)

    def features(self, x: Tensor) -> Tensor:
        """Return features (N, channels[-1]), summed over the image."""
        return self.local_features(x)[1]

    def local_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features behind the last block but one, (N, local_channels, H, W), and those of `features`."""
        local = self.blocks[:-1](x)
        return local, torch.relu(self.blocks[-1](local)).sum((2, 3))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Return scores (N,)."""
        h = self.features(x)
        score: Tensor = self.score(h).squeeze(1)
        return score if self.project is None else score + (self.project(label) * h).sum(1)


def attention_behind(sides: Sequence[int], channels: Sequence[int], side: int | None) -> nn.ModuleDict:
    """Return a layer of self-attention by the number of the first block whose features have a side; none if it is None.

    Raises:
        ValueError: there is no such block.

    """
    if side is None:
        return nn.ModuleDict()
    if side not in sides:
        raise ValueError(f"expected attention at a side of {', '.join(map(str, sides))}, got {side}")
    return nn.ModuleDict({str(sides.index(side)): SelfAttention(channels[sides.index(side)])})


def orthogonally_initialised(net: nn.Module) -> None:
    """Make the weights of every linear and convolutional layer orthogonal, in place."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight)


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _conv3(inputs: int, outputs: int, gain: float) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.xavier_uniform_(conv.weight, gain)
    return conv


def _conv1(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 1)
    nn.init.xavier_uniform_(conv.weight)
    return conv
