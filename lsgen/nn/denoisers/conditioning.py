r"""What a denoising network is told beside the noisy observation: how noisy it is, and its class.

    e = act(W_2 act(W_1 phi(c) + b_1) + b_2 + E[label])
    phi(c) = (cos(w_k c + p_k), sin(w_k c + p_k))_k

with the conditioning number c of a noise level, about -3 to 3 as preconditioning gives it (log sigma / 4 or a multiple
of the log signal-to-noise ratio). Sinusoidal features have frequencies w_k in geometric progression from 1/2 to 128
radians and no phases, so that the lowest one is monotone over all noise levels. Fourier features draw w_k from
N(0, (2 pi 16)^2), as the networks of score_sde do. The row E[classes], one past the last class, is the null class of
classifier-free guidance, which also stands for labels that are left out.

Reference: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762; Tancik et al., "Fourier features let networks learn
high frequency functions" (2020), https://arxiv.org/abs/2006.10739; Ho & Salimans, "Classifier-free diffusion guidance"
(2022), https://arxiv.org/abs/2207.12598.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Conditioning", "NoiseFeatures", "checked_denoiser_inputs"]

Features = Literal["sinusoidal", "fourier"]


class NoiseFeatures(nn.Module):
    """Conditioning numbers (B,) -> features (B, width): cosines and sines.

    Args:
        width: number of features, even.
        kind: "sinusoidal", fixed frequencies, or "fourier", frequencies drawn at random, kept as a buffer.

    Raises:
        ValueError: the width is odd or the kind is unknown.

    """

    frequencies: Tensor

    def __init__(self, width: int, kind: Features = "sinusoidal") -> None:
        super().__init__()
        if width < 4 or width % 2:
            raise ValueError(f"expected an even number of noise features, 4 or more, got {width}")
        if kind not in ("sinusoidal", "fourier"):
            raise ValueError(f"expected noise features of kind 'sinusoidal' or 'fourier', got {kind!r}")
        geometric = torch.exp(torch.linspace(log(0.5), log(128.0), width // 2))
        frequencies = geometric if kind == "sinusoidal" else 2 * pi * 16 * torch.randn(width // 2)
        self.register_buffer("frequencies", frequencies, persistent=kind == "fourier")

    def forward(self, noise: Tensor) -> Tensor:
        """Return the features (B, width)."""
        angles = noise[:, None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], 1)


class Conditioning(nn.Module):
    """Conditioning numbers (B,) and labels (B,) -> embeddings (B, width), shared by all layers of a network.

    Args:
        width: size of the embedding, even.
        classes: number of classes, 0 for a network that takes no labels; the null class has this index.
        features: "sinusoidal" or "fourier", see `NoiseFeatures`.

    Raises:
        ValueError: the width is odd, the number of classes is negative, or the features are unknown.

    """

    def __init__(self, width: int, classes: int = 0, features: Features = "sinusoidal") -> None:
        super().__init__()
        if classes < 0:
            raise ValueError(f"expected a number of classes of 0 or more, got {classes}")
        self.classes = classes
        self.features = NoiseFeatures(width, features)
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.embedding = nn.Embedding(classes + 1, width) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return embeddings (B, width); labels that are left out are those of the null class.

        Raises:
            ValueError: there are labels, but no classes.

        """
        out: Tensor = self.layers(self.features(noise))
        if self.embedding is None:
            if label is not None:
                raise ValueError("expected no labels, as the network has no classes, got some")
            return nn.functional.silu(out)
        if label is None:
            label = torch.full(noise.shape, self.classes, device=noise.device)
        return nn.functional.silu(out + self.embedding(label))


def checked_denoiser_inputs(shape: Sequence[int], x: Tensor, noise: Tensor, label: Tensor | None) -> None:
    """Check the shapes of what a denoising network is given, without reading a number.

    Raises:
        ValueError: x is not (B, *shape), or noise or labels are not (B,), or labels are no whole numbers.

    """
    if tuple(x.shape[1:]) != tuple(shape) or noise.shape != x.shape[:1]:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"expected x (B, {wanted}) and noise (B,), got {tuple(x.shape)} and {tuple(noise.shape)}")
    if label is not None and (label.shape != x.shape[:1] or label.dtype not in (torch.int64, torch.int32)):
        raise ValueError(f"expected labels ({len(x)},) of int64, got {tuple(label.shape)} of {label.dtype}")
