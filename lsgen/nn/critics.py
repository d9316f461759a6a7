"""Critics for observations of any shape: one score each, with or without spectral normalisation.

    W_sn = W / sigma(W),    sigma(W) the largest singular value, by one power iteration in every training step

A convolution's weight counts as the matrix (out channels, in channels x window).

Reference: Miyato et al., "Spectral normalization for generative adversarial networks" (2018),
https://arxiv.org/abs/1802.05957; implemented by `torch.nn.utils.parametrizations.spectral_norm`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["MLPCritic", "MLPPairCritic", "spectrally_normalised"]


def spectrally_normalised(net: nn.Module) -> nn.Module:
    """Return the net itself, every linear, convolutional and embedding layer of it spectrally normalised."""
    for layer in list(net.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            spectral_norm(layer)
    return net


class MLPCritic(nn.Module):
    """Observations (N, *shape) -> scores (N,), through a multilayer perceptron without normalisation of activations.

    Args:
        shape: shape of one observation.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        spectral: whether every layer is spectrally normalised.
        scale: factor of the scores; with activations of slope at most one it bounds the Lipschitz constant of a
            spectrally normalised critic.

    Raises:
        ValueError: the scale is not positive.

    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int] = (256, 256, 256),
        activation: Callable[[], nn.Module] = nn.ReLU,
        spectral: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"expected a scale above 0, got {scale}")
        self.scale = float(scale)
        layers: list[nn.Module] = []
        for width, following in pairwise([prod(shape), *hidden]):
            layers += [nn.Linear(width, following), activation()]
        self.features = nn.Sequential(nn.Flatten(), *layers)
        self.score = nn.Linear([prod(shape), *hidden][-1], 1)
        if spectral:
            spectrally_normalised(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N,)."""
        out: Tensor = self.score(self.features(x))
        return self.scale * out.squeeze(1)


class MLPPairCritic(nn.Module):
    """Observations (N, *shape) and codes (N, d) -> scores (N,) of the pairs.

    Args:
        shape: shape of one observation.
        dim: latent dimension d.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        spectral: whether every layer is spectrally normalised.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        hidden: Sequence[int] = (1024, 1024),
        activation: Callable[[], nn.Module] = nn.ReLU,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.pair = MLPCritic((prod(shape) + dim,), hidden, activation, spectral)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return scores (N,)."""
        out: Tensor = self.pair(torch.cat([x.flatten(1), z], 1))
        return out
