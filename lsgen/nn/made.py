r"""Masked autoregressive networks: each output sees only the inputs before it, and a context.

    out_i = f_i(z_1 ... z_{i-1}, h)

Every hidden unit has a degree k between 0 and d - 1 and sees the inputs up to the k-th; a connection is kept where the
degree does not fall. Units of degree 0 see the context h alone, so that the first output depends on it as well.

Reference: Germain, Gregor, Murray & Larochelle, "MADE: masked autoencoder for distribution estimation" (2015),
equations 12 to 15, https://arxiv.org/abs/1502.03509.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["MADE"]


class _MaskedLinear(nn.Linear):
    """A linear layer of which some weights are held at zero.

    Args:
        mask: the weights that are kept, (outputs, inputs).

    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return outputs (*, outputs) of inputs (*, inputs)."""
        return nn.functional.linear(input, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """A masked perceptron: codes (*, d) and contexts (*, context) -> `heads` outputs for every dimension.

    Args:
        dim: dimension d of codes.
        context: numbers in a context.
        hidden: widths of the hidden layers, at least one.
        heads: outputs per dimension.
        backwards: whether the order is d ... 1 instead of 1 ... d.
        activation: constructor of the activation between layers.

    Attributes:
        order: the dimensions in the order in which they depend on one another.

    Raises:
        ValueError: a number is not positive, or there is no hidden layer.

    """

    def __init__(
        self,
        dim: int,
        context: int,
        hidden: Sequence[int] = (64, 64),
        heads: int = 1,
        backwards: bool = False,
        activation: Callable[[], nn.Module] = nn.ELU,
    ) -> None:
        super().__init__()
        if min(dim, context, heads, *hidden, len(hidden)) < 1:
            raise ValueError(
                "expected dim, context, heads and at least one hidden width to be positive, "
                f"got {dim}, {context}, {heads} and {list(hidden)}"
            )
        self.dim, self.heads = dim, heads
        self.order = list(reversed(range(dim))) if backwards else list(range(dim))
        inputs = 1 + torch.argsort(torch.tensor(self.order))
        degrees = [inputs, *(torch.arange(width) * dim // width for width in hidden)]
        layers: list[nn.Module] = []
        for below, above in pairwise(degrees):
            layers += [_MaskedLinear(above[:, None] >= below), activation()]
        self.first, self.layers = layers[0], nn.Sequential(*layers[1:])
        self.context = nn.Linear(context, hidden[0], bias=False)
        self.last = _MaskedLinear(inputs.repeat(heads)[:, None] > degrees[-1])

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """Return the heads, (*, d) each, at codes (*, d) given contexts that broadcast against them."""
        out: Tensor = self.last(self.layers(self.first(z) + self.context(h)))
        return out.chunk(self.heads, dim=-1)
