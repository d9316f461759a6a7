"""An encoder q(y|x) q(z|x, y) of a class and, for every class, a continuous code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lsgen.nn.mlp import MLPEncoder

__all__ = ["ClassEncoder"]


class ClassEncoder(nn.Module):
    """Observations (N, *shape) -> K logits, and mean and log variance of d numbers for each of K classes.

    Args:
        shape: shape of one observation.
        dim: dimension d of the code beside the class.
        classes: number K of classes.
        hidden: widths of the hidden layers.
        activation: constructor of the activation between layers.

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
        self.layers = MLPEncoder(shape, classes * (1 + 2 * dim), hidden, activation, heads=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return raw outputs (N, K (1 + 2 d))."""
        out: Tensor = self.layers(x)
        return out
