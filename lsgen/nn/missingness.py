r"""Models p(s|x) of which values of an observation are observed, s_j = 1, or missing, s_j = 0, independent given x.

    self-masking           logit p(s_j = 1|x) = c_j - w_j x_j             on the value itself
    with a known sign      w_j = +-softplus(v_j)                          high, or low, values are missing
    general                logit p(s = 1|x) = network(x)                  on all values

Reference: Ipsen, Mattei & Frellsen, "not-MIWAE: deep generative modelling with missing not at random data" (2021),
section 3 and appendix C, https://arxiv.org/abs/2006.12871, which writes c_j = w_j b_j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lsgen.nn.mlp import MLPDecoder

__all__ = ["MissingnessNetwork", "SelfMasking"]

Hidden = Literal["any", "high", "low"]


class SelfMasking(nn.Module):
    """Observations (N, *shape) -> the logit that each value is observed, which depends on the value itself.

    Args:
        shape: shape of one observation.
        hidden: "high" where greater values are missing more often, "low" where smaller ones are, "any" where that is
            to be learned for every value.

    Raises:
        ValueError: hidden is none of these.

    """

    def __init__(self, shape: Sequence[int], hidden: Hidden = "any") -> None:
        super().__init__()
        if hidden not in ("any", "high", "low"):
            raise ValueError(f'expected hidden values that are "any", "high" or "low", got {hidden!r}')
        self.sign = {"any": 0, "high": 1, "low": -1}[hidden]
        # softplus(log(e - 1)) = 1
        self.slope = nn.Parameter(torch.full(tuple(shape), log(torch.e - 1) if self.sign else 0.0))
        self.offset = nn.Parameter(torch.zeros(tuple(shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, *shape).

        Raises:
            ValueError: x has another shape.

        """
        _check("SelfMasking", self.offset.shape, x)
        return self.offset - (self.sign * softplus(self.slope) if self.sign else self.slope) * x


class MissingnessNetwork(nn.Module):
    """Observations (N, *shape) -> the logit that each value is observed, which depends on all values.

    Args:
        shape: shape of one observation.
        hidden: widths of the hidden layers; none gives a linear map.
        activation: constructor of the activation between layers.

    """

    def __init__(
        self, shape: Sequence[int], hidden: Sequence[int] = (128,), activation: Callable[[], nn.Module] = nn.Tanh
    ) -> None:
        super().__init__()
        self.layers = MLPDecoder(prod(shape), shape, hidden, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, *shape).

        Raises:
            ValueError: x has another shape.

        """
        _check("MissingnessNetwork", self.layers.shape, x)
        logits: Tensor = self.layers(x.flatten(1))
        return logits


def _check(name: str, shape: Sequence[int], x: Tensor) -> None:
    """Refuse observations of another shape."""
    if tuple(x.shape[1:]) != tuple(shape):
        raise ValueError(
            f"{name} expected observations of shape (B, {', '.join(map(str, shape))}), got {tuple(x.shape)}"
        )
