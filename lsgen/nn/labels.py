"""An encoder of class numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lsgen.nn.mlp import MLPEncoder

__all__ = ["LabelEncoder"]


class LabelEncoder(nn.Module):
    """Class numbers (N, *shape) -> (N, heads * dim), by a perceptron of their indicators; any other number has none.

    Args:
        shape: shape of one observation; (1,) for one class.
        classes: number of classes, which are 0, 1, ..., classes - 1.
        dim: latent dimension d.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        heads: posterior parameters per latent dimension.

    """

    classes: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        dim: int,
        hidden: Sequence[int] = (64,),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.register_buffer("classes", torch.arange(classes), persistent=False)
        self.of_indicators = MLPEncoder((*shape, classes), dim, hidden, activation, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        out: Tensor = self.of_indicators((x.unsqueeze(-1) == self.classes).to(x.dtype))
        return out
