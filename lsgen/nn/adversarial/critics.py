"""Critics for observations of any shape: one score each, with or without spectral normalisation.

    W_sn = W / sigma(W),    sigma(W) the largest singular value, by one power iteration in every training step

A convolution's weight counts as the matrix (out channels, in channels x window).

Statistics of a minibatch tell a critic of single observations how diverse they are: for groups of observations,

    s = mean over features of the standard deviation within the group,  appended as one constant channel.

Reference: Miyato et al., "Spectral normalization for generative adversarial networks" (2018),
https://arxiv.org/abs/1802.05957; implemented by `torch.nn.utils.parametrizations.spectral_norm`. Karras et al.,
"Progressive growing of GANs" (2018), https://arxiv.org/abs/1710.10196, section 3, for the standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import gcd, prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["AuxiliaryCritic", "MLPCritic", "MLPPairCritic", "MinibatchStd", "spectrally_normalised"]


def spectrally_normalised(net: nn.Module, besides: type[nn.Module] | None = None) -> nn.Module:
    """Return the net itself, its linear, convolutional and embedding layers spectrally normalised.

    Args:
        net: a network.
        besides: kind of parts whose layers stay as they are.

    """
    parts = [] if besides is None else [part for part in net.modules() if isinstance(part, besides)]
    kept = {layer for part in parts for layer in part.modules()}
    for layer in list(net.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding) and layer not in kept:
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


class AuxiliaryCritic(nn.Module):
    """A critic with a second head, linear in its features, that recognises classes.

    Args:
        critic: with `features`: observations -> (N, width), and a linear layer `score`, such as `MLPCritic`,
            `DCGANCritic` or `ResNetCritic`.
        classes: number of classes K.
        spectral: whether the second head is spectrally normalised.

    Raises:
        ValueError: there are fewer than two classes.
        TypeError: the critic has no `features` and `score`.

    """

    def __init__(self, critic: nn.Module, classes: int, spectral: bool = False) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"expected at least 2 classes, got {classes}")
        score = getattr(critic, "score", None)
        if not isinstance(score, nn.Linear) or not callable(getattr(critic, "features", None)):
            raise TypeError(f"AuxiliaryCritic expected a critic with features and score, got {type(critic).__name__}")
        self.critic, self.classes = critic, int(classes)
        self.head = nn.Linear(score.in_features, classes)
        if spectral:
            spectrally_normalised(self.head)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N,) and logits (N, K), from features that are computed once."""
        features: Callable[[Tensor], Tensor] = self.critic.features  # type: ignore[assignment]
        score: nn.Module = self.critic.score  # type: ignore[assignment]
        h = features(x)
        return getattr(self.critic, "scale", 1.0) * score(h).squeeze(1), self.head(h)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N,)."""
        return self.judge(x)[0]


class MinibatchStd(nn.Module):
    """Images of features (N, C, H, W) -> (N, C + 1, H, W): the diversity of a group of images as a channel.

    Args:
        group: images in a group, 4 in the paper; in batches that it does not divide, the largest divisor of both.
        eps: added to variances.

    Raises:
        ValueError: the group is smaller than 2.

    """

    def __init__(self, group: int = 4, eps: float = 1e-8) -> None:
        super().__init__()
        if group < 2:
            raise ValueError(f"expected groups of at least 2 images, got {group}")
        self.group, self.eps = int(group), float(eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features with the standard deviation of each image's group as their last channel."""
        size = gcd(len(x), self.group)
        groups = x.unflatten(0, (size, -1))
        deviation = (groups.var(0, correction=0) + self.eps).sqrt().flatten(1).mean(1)
        channel = deviation.repeat(size).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, channel], 1)
