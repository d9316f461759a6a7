"""Multilayer perceptrons for observations of any shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

__all__ = ["GatedLinear", "MLPDecoder", "MLPEncoder", "perceptron"]


class GatedLinear(nn.Module):
    """A linear layer whose activated outputs are scaled by gates between 0 and 1: activation(W x + b) sigmoid(V x + c).

    Args:
        inputs: size of the input.
        outputs: size of the output.
        activation: constructor of the activation.

    Reference: Tomczak & Welling (2018), section 5, https://arxiv.org/abs/1705.07120.
    """

    def __init__(self, inputs: int, outputs: int, activation: Callable[[], nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.layers, self.activation = nn.Linear(inputs, 2 * outputs), activation()

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (N, outputs) of x (N, inputs)."""
        value, gate = self.layers(x).chunk(2, -1)
        out: Tensor = self.activation(value) * torch.sigmoid(gate)
        return out


def perceptron(
    sizes: Sequence[int], activation: Callable[[], nn.Module], gated: bool = False, silent: int = 0
) -> nn.Sequential:
    """Return linear layers with activations between them; for gated and silent see `MLPEncoder`."""
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes[:-1]):
        layers += [GatedLinear(width, following, activation)] if gated else [nn.Linear(width, following), activation()]
    net = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
    if silent:
        first = net[0].layers if isinstance(net[0], GatedLinear) else net[0]
        with torch.no_grad():
            first.weight[:, -silent:] = 0  # type: ignore[operator]
    return net


class MLPEncoder(nn.Module):
    """Observations (N, *shape) -> (N, heads * dim).

    Args:
        shape: shape of one observation.
        dim: latent dimension d.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        heads: posterior parameters per latent dimension.
        gated: whether the outputs of a hidden layer are scaled by gates; see `GatedLinear`.
        silent: how many of the last inputs have weights of 0 at first, so that the net has to learn from them.

    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        hidden: Sequence[int] = (400, 400),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 2,
        gated: bool = False,
        silent: int = 0,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.layers = perceptron([prod(shape), *hidden, heads * dim], activation, gated, silent)

    def forward(self, x: Tensor) -> Tensor:
        """Return posterior parameters (N, heads * dim)."""
        out: Tensor = self.layers(x.flatten(1))
        return out


class MLPDecoder(nn.Module):
    """Codes (N, dim) -> raw outputs (N, heads * shape[0], *shape[1:]).

    Args:
        dim: latent dimension d.
        shape: shape of one observation.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.
        heads: raw outputs per data channel, as the likelihood asks.
        gated: whether the outputs of a hidden layer are scaled by gates; see `GatedLinear`.
        silent: how many of the last inputs have weights of 0 at first, so that the net has to learn from them.

    """

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (400, 400),
        activation: Callable[[], nn.Module] = nn.ReLU,
        heads: int = 1,
        gated: bool = False,
        silent: int = 0,
    ) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.shape = (heads * shape[0], *shape[1:])
        self.layers = perceptron([dim, *hidden, prod(self.shape)], activation, gated, silent)

    def forward(self, z: Tensor) -> Tensor:
        """Return raw outputs (N, heads * shape[0], *shape[1:])."""
        out: Tensor = self.layers(z)
        return out.unflatten(1, self.shape)
