r"""The gated PixelCNN: logits of every cell of a grid, given the cells before it in reading order.

    p(k) = prod_l p(k_l | k_1 ... k_{l-1})

Two stacks of convolutions see the past without a blind spot: the vertical one all rows above, the horizontal one the
cells to the left in the same row, and what the vertical one knows of the row above. Each layer is gated,
tanh(a) sigmoid(b).

Reference: van den Oord et al., "Conditional image generation with PixelCNN decoders" (2016), section 2,
https://arxiv.org/abs/1606.05328.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

__all__ = ["PixelCNN"]


class PixelCNN(nn.Module):
    """Indices (N, h, w) out of 0 .. entries - 1 -> logits (N, entries, h, w); those of a cell depend on earlier ones.

    Args:
        entries: number K of values of a cell.
        width: channels of both stacks.
        layers: gated layers.
        kernel: odd side of the vertical kernels; one layer sees kernel // 2 rows up and cells to the left.

    Raises:
        ValueError: kernel is even or below 3, or another number is not positive.

    """

    def __init__(self, entries: int, width: int = 64, layers: int = 8, kernel: int = 3) -> None:
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"expected an odd kernel of at least 3, got {kernel}")
        if min(entries, width, layers) < 1:
            raise ValueError(f"expected entries, width and layers of at least 1, got {entries}, {width} and {layers}")
        self.entries = entries
        self.embed = nn.Embedding(entries, width)
        self.layers = nn.ModuleList(_Gated(width, kernel, index) for index in range(layers))
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, entries, 1))

    def forward(self, indices: Tensor) -> Tensor:
        """Return the logits."""
        horizontal: Tensor = self.embed(indices).movedim(-1, 1)
        # The vertical stack feeds the horizontal one only, so that it has nothing left to do after the last layer.
        vertical = horizontal
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal)
        out: Tensor = self.out(horizontal)
        return out

    @torch.no_grad()
    def sample(self, n: int, height: int, width: int) -> Tensor:
        """Return n grids of indices, (n, height, width), drawn cell by cell."""
        indices = torch.zeros(n, height, width, dtype=torch.int64, device=self.embed.weight.device)
        for row in range(height):
            for column in range(width):
                logits = self(indices[:, : row + 1])[:, :, row, column]
                indices[:, row, column] = torch.multinomial(logits.softmax(1), 1).squeeze(1)
        return indices


class _Gated(nn.Module):
    def __init__(self, width: int, kernel: int, index: int) -> None:
        super().__init__()
        self.reach, self.first = kernel // 2, index == 0
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel))
        self.down = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach if self.first else self.reach + 1))
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, vertical: Tensor, horizontal: Tensor) -> tuple[Tensor, Tensor]:
        up = self.vertical(pad(vertical, (self.reach, self.reach, self.reach, 0)))
        above = self.down(pad(up, (0, 0, 1, 0))[:, :, :-1])
        left = pad(horizontal, (self.reach, 0))
        # The first layer must not see the cell itself; later ones see what is known of it.
        across = self.horizontal(left[..., :-1] if self.first else left) + above
        mixed = self.mix(_gate(across))
        return _gate(up), mixed if self.first else horizontal + mixed


def _gate(x: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)
