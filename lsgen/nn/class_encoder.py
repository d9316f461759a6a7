"""Encoders with classes: q(y|x) q(z|x, y) of a class and, for every class, a code; and q(z|y) of a class alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from lsgen.nn.mlp import MLPEncoder

__all__ = ["ClassEncoder", "LabelEncoder"]


class ClassEncoder(nn.Module):
    """Observations (N, *shape) -> K logits, and mean and log variance of d numbers for each of K classes.

    The logits and the codes come from perceptrons of their own. That of the codes takes the class beside the
    observation. At first all classes have the same logits and the same codes.

    Args:
        shape: shape of one observation.
        dim: dimension d of the code beside the class.
        classes: number K of classes.
        hidden: widths of the hidden layers of either perceptron.
        activation: constructor of the activation between layers.

    Reference: Kingma, Rezende, Mohamed & Welling (2014), https://arxiv.org/abs/1406.5298; the authors' code starts from
    weights near 0.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dim: int,
        classes: int,
        hidden: Sequence[int] = (500, 500),
        activation: Callable[[], nn.Module] = nn.Softplus,
    ) -> None:
        super().__init__()
        self.logits = MLPEncoder(shape, classes, hidden, activation, heads=1)
        last: nn.Linear = self.logits.layers[-1]  # type: ignore[assignment]
        sizes = [prod(shape), *hidden, 2 * dim]
        self.of_observation = nn.Linear(sizes[0], sizes[1])
        self.of_class = nn.Parameter(torch.zeros(classes, sizes[1]))
        following = (layer for pair in pairwise(sizes[1:]) for layer in (activation(), nn.Linear(*pair)))
        self.following = nn.Sequential(*following)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return raw outputs (N, K (1 + 2 d))."""
        every = self.of_observation(x.flatten(1)).unsqueeze(1) + self.of_class
        mean, log_variance = self.following(every).chunk(2, -1)
        return torch.cat([self.logits(x), mean.flatten(1), log_variance.flatten(1)], -1)


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
