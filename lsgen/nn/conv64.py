"""The convolutional networks of disentanglement_lib for 64 x 64 images, and their smooth siblings.

    encoder   32 4x4/2   32 4x4/2   64 2x2/2   64 2x2/2   256   heads * d
    decoder   256   1024 -> (64, 4, 4)   64 4x4/2   32 4x4/2   32 4x4/2   heads * C 4x4/2

with ReLU between layers and Glorot-uniform weights, TensorFlow's default there. A smooth activation such as
SiLU gives the decoder the second derivatives that curvature is made of.

Weights and activations are kept in channels_last memory format, several times faster on CPU.

Reference: Locatello et al., "Challenging common assumptions in the unsupervised learning of disentangled
representations" (2019), https://arxiv.org/abs/1811.12359; `conv_encoder`, `deconv_decoder` of their library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Conv64Decoder", "Conv64Encoder"]


class Conv64Encoder(nn.Module):
    """Images (N, C, 64, 64) -> posterior parameters (N, heads * dim).

    Args:
        shape: shape of one image, (C, 64, 64).
        dim: latent dimension d.
        activation: constructor of the activation between layers.
        heads: posterior parameters per latent dimension.

    Raises:
        ValueError: the images are not 64 x 64.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.layers = nn.Sequential(
            nn.Conv2d(_channels(shape), 32, 4, stride=2, padding=1),
            activation(),
            nn.Conv2d(32, 32, 4, stride=2, padding=1),
            activation(),
            nn.Conv2d(32, 64, 2, stride=2),
            activation(),
            nn.Conv2d(64, 64, 2, stride=2),
            activation(),
            nn.Flatten(),
            nn.Linear(1024, 256),
            activation(),
            nn.Linear(256, heads * dim),
        )
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return out


class Conv64Decoder(nn.Module):
    """Codes (N, dim) -> raw outputs (N, heads * C, 64, 64).

    Args:
        dim: latent dimension d.
        shape: shape of one image, (C, 64, 64).
        activation: constructor of the activation between layers.
        heads: raw outputs per data channel, as the likelihood asks.

    Raises:
        ValueError: the images are not 64 x 64.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.dense = nn.Sequential(nn.Linear(dim, 256), activation(), nn.Linear(256, 1024), activation())
        self.convolutions = nn.Sequential(
            nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
            activation(),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            activation(),
            nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
            activation(),
            nn.ConvTranspose2d(32, heads * _channels(shape), 4, stride=2, padding=1),
        )
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * C, 64, 64)."""
        hidden = self.dense(z).unflatten(1, (64, 4, 4))
        out: Tensor = self.convolutions(hidden.contiguous(memory_format=torch.channels_last))
        return out


def _channels(shape: Sequence[int]) -> int:
    if len(shape) != 3 or tuple(shape[1:]) != (64, 64):
        raise ValueError(f"conv64 expected images of shape (C, 64, 64), got {tuple(shape)}")
    return int(shape[0])


def _initialise(net: nn.Module) -> None:
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)
    net.to(memory_format=torch.channels_last)
