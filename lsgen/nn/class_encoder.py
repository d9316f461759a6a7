"""An encoder q(y|x) q(z|x, y) of a class and, for every class, a continuous code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from lsgen.nn.mlp import MLPEncoder

__all__ = ["ClassEncoder"]


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
