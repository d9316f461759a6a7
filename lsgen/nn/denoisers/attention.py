r"""Self-attention of several heads over a set of places.

    y_i = W_o concat_h sum_j softmax_j(<q_hi, k_hj> / sqrt(width / heads)) v_hj

It is written out as a softmax between two products, so that forward-mode, second-order and Taylor-mode derivatives
pass through it; fused kernels have first-order reverse mode only.

Reference: Vaswani et al., "Attention is all you need" (2017), https://arxiv.org/abs/1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(nn.Module):
    """Places (B, N, width) -> (B, N, width), each having seen all others.

    Args:
        width: size of a place.
        heads: number of heads, which divide the width.

    Raises:
        ValueError: the heads do not divide the width.

    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"expected a number of heads that divides the width {width}, got {heads}")
        self.heads = heads
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the places attend to, (B, N, width)."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.project(x).chunk(3, 2))
        weights = torch.softmax(q * q.shape[-1] ** -0.5 @ k.mT, -1)
        out: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return out
