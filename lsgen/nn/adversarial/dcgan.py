"""The networks of DCGAN, for images whose side is 4 or 7 times a power of two.

    generator   z -> (4, 4) x 2^(n-1) width,  BN ReLU,  then  4x4/2 transposed convolutions  BN ReLU ...  tanh
    critic      4x4/2 convolutions, BN but for the first, LeakyReLU(0.2), ...  linear

Weights are N(0, 0.02), scales of normalisations N(1, 0.02). Batch normalisation in the critic couples its
observations: leave it out under a gradient penalty.

Reference: Radford, Metz & Chintala (2016), https://arxiv.org/abs/1511.06434.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lsgen.nn.adversarial.critics import MinibatchStd, spectrally_normalised

__all__ = ["DCGANCritic", "DCGANEncoder", "DCGANGenerator"]


class DCGANGenerator(nn.Module):
    """Codes (N, dim) -> images (N, C, S, S) in [-1, 1].

    Args:
        dim: latent dimension d.
        shape: shape of one image, (C, S, S), S = 4 * 2^n or 7 * 2^n.
        width: channels in front of the last layer.
        activation: constructor of the activation; a smooth one gives the generator curvature.
        hidden: units of a fully connected layer in front of all, as InfoGAN has one of 1,024; None has none.

    Raises:
        ValueError: S is no such number.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        width: int = 64,
        activation: Callable[[], nn.Module] = nn.ReLU,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, 1
        bottom, doublings = _bottom(shape)
        channels = [width * 2**i for i in reversed(range(doublings))]
        layers: list[nn.Module] = []
        if hidden is not None:
            layers += [nn.Linear(dim, hidden, bias=False), nn.BatchNorm1d(hidden), activation()]
        layers.append(nn.Linear(dim if hidden is None else hidden, channels[0] * bottom**2, bias=False))
        layers += [nn.Unflatten(1, (channels[0], bottom, bottom)), nn.BatchNorm2d(channels[0]), activation()]
        for inputs, outputs in pairwise(channels):
            up = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
            layers += [up, nn.BatchNorm2d(outputs), activation()]
        last = nn.ConvTranspose2d(channels[-1], int(shape[0]), 4, stride=2, padding=1)
        self.layers = nn.Sequential(*layers, last, nn.Tanh())
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Return images (N, C, S, S)."""
        out: Tensor = self.layers(z)
        return out


class DCGANCritic(nn.Module):
    """Images (N, C, S, S) -> scores (N,).

    Args:
        shape: shape of one image, (C, S, S), S = 4 * 2^n or 7 * 2^n.
        width: channels behind the first layer.
        batch_norm: whether all layers but the first and the last are followed by batch normalisation.
        spectral: whether every layer is spectrally normalised.
        minibatch_std: whether the last features see how diverse the images are, by a `MinibatchStd`.
        hidden: units of a fully connected layer in front of the score, as InfoGAN has one of 1,024; None has none.

    Raises:
        ValueError: S is no such number, or both normalisations are asked for.

    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 64,
        batch_norm: bool = True,
        spectral: bool = False,
        minibatch_std: bool = False,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        if batch_norm and spectral:
            raise ValueError("expected batch_norm or spectral, got both")
        self.features, size = _halvings(shape, width, batch_norm)
        if minibatch_std:
            self.features.insert(len(self.features) - 1, MinibatchStd())
            size += _bottom(shape)[0] ** 2
        if hidden is not None:
            self.features.append(nn.Linear(size, hidden, bias=not batch_norm))
            self.features.extend([nn.BatchNorm1d(hidden)] if batch_norm else [])
            self.features.append(nn.LeakyReLU(0.2))
            size = hidden
        self.score = nn.Linear(size, 1)
        _initialise(self)
        if spectral:
            spectrally_normalised(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N,)."""
        score: Tensor = self.score(self.features(x))
        return score.squeeze(1)


class DCGANEncoder(nn.Module):
    """Images (N, C, S, S) -> raw outputs (N, heads * dim), through the layers of the critic.

    Args:
        shape: shape of one image, (C, S, S), S = 4 * 2^n or 7 * 2^n.
        dim: latent dimension d.
        width: channels behind the first layer.
        heads: posterior parameters per latent dimension.
        batch_norm: whether all layers but the first and the last are followed by batch normalisation.

    Raises:
        ValueError: S is no such number.

    """

    def __init__(
        self, shape: Sequence[int], dim: int, width: int = 64, heads: int = 2, batch_norm: bool = True
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        features, size = _halvings(shape, width, batch_norm)
        self.layers = nn.Sequential(features, nn.Linear(size, heads * dim))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return raw outputs (N, heads * dim)."""
        out: Tensor = self.layers(x)
        return out


def _halvings(shape: Sequence[int], width: int, batch_norm: bool) -> tuple[nn.Sequential, int]:
    """Return 4x4/2 convolutions down to the smallest size, and how many features they give."""
    bottom, halvings = _bottom(shape)
    layers: list[nn.Module] = []
    inputs = int(shape[0])
    for i in range(halvings):
        outputs, normalised = width * 2**i, batch_norm and i > 0
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not normalised))
        layers += [nn.BatchNorm2d(outputs)] if normalised else []
        layers.append(nn.LeakyReLU(0.2))
        inputs = outputs
    return nn.Sequential(*layers, nn.Flatten()), inputs * bottom**2


def _bottom(shape: Sequence[int]) -> tuple[int, int]:
    """Return the smallest side, 4 or 7, and the number of times that it is doubled."""
    size = int(shape[-1])
    for bottom in (4, 7):
        quotient = size // bottom
        if len(shape) == 3 and shape[1] == size == bottom * quotient and quotient > 1 and quotient.bit_count() == 1:
            return bottom, quotient.bit_length() - 1
    raise ValueError(f"DCGAN expected images (C, S, S), S = 8, 16, 32, ... or 14, 28, 56, ..., got {tuple(shape)}")


def _initialise(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
