r"""Self-attention over the places of an image, as SAGAN and BigGAN have it in both networks.

    y_i = x_i + gamma W_o sum_j b_ij W_v x_j,    b_ij = exp(<W_q x_i, W_k x_j>) / sum_j' exp(<W_q x_i, W_k x_j'>)

i runs over all places, j over those of the keys and values, halved by maximum pooling. Queries and keys have C/8
channels, values C/2, as in the authors' code; the paper has C/8 for all and no pooling. The scalar gamma is learned
and starts at 0, so that a network begins without attention.

Reference: Zhang et al., "Self-attention generative adversarial networks" (2019), https://arxiv.org/abs/1805.08318,
equations 1-3; Brock, Donahue & Simonyan (2019), https://arxiv.org/abs/1809.11096.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

__all__ = ["SelfAttention"]


class SelfAttention(nn.Module):
    """Images of features (N, C, H, W) -> (N, C, H, W); every place sees all others.

    Args:
        channels: C.

    Attributes:
        gamma: factor of what attention adds, a scalar that is learned; 0 at the start.

    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query, self.key, self.value = (_linear(channels, width) for width in (narrow, narrow, half))
        self.out = _linear(half, channels)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return x with what each place attends to."""
        query = self.query(x).flatten(2)
        key, value = (_halved(layer(x)).flatten(2) for layer in (self.key, self.value))
        weights = torch.softmax(query.mT @ key, -1)
        seen = (value @ weights.mT).view(len(x), -1, *x.shape[2:])
        out: Tensor = x + self.gamma * self.out(seen)
        return out


def _halved(x: Tensor) -> Tensor:
    return max_pool2d(x, 2) if min(x.shape[2:]) > 1 else x


def _linear(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.xavier_uniform_(conv.weight)
    return conv
