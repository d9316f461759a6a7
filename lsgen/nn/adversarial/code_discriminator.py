"""A discriminator of codes, as FactorVAE and WAE-GAN use it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["CodeDiscriminator"]


class CodeDiscriminator(nn.Module):
    """Codes (N, dim) -> logits (N,), through leaky ReLUs.

    The default is FactorVAE's: six layers of 1000 units; disentanglement_lib's slope is 0.2. WAE-GAN has four of 512.

    Args:
        dim: latent dimension d.
        hidden: widths of the hidden layers.
        slope: of the leaky ReLU below zero.

    Reference: Kim & Mnih (2018), appendix A, https://arxiv.org/abs/1802.05983.

    """

    def __init__(self, dim: int, hidden: Sequence[int] = (1000,) * 6, slope: float = 0.2) -> None:
        super().__init__()
        self.dim = dim
        layers: list[nn.Module] = []
        for width, following in pairwise([dim, *hidden]):
            layers += [nn.Linear(width, following), nn.LeakyReLU(slope)]
        self.layers = nn.Sequential(*layers, nn.Linear([dim, *hidden][-1], 1))

    def forward(self, z: Tensor) -> Tensor:
        """Return logits (N,)."""
        out: Tensor = self.layers(z)
        return out.squeeze(-1)
