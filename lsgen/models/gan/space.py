"""The latent space of a generator, whose geometry comes from a fixed Gaussian around its outputs.

A generator defines samples, not densities. With the likelihood N(G(z), sigma^2 I) its pulled-back Fisher metric
is J^T J / sigma^2; no noise of that Gaussian is ever added to a sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsgen.latent import EncodableLatentSpace, LatentSpace
from lsgen.models.parts import from_unit_range, to_unit_range

__all__ = ["EncodableGeneratorSpace", "GeneratorSpace", "RescaledGenerator", "with_class"]


class RescaledGenerator(nn.Module):
    """A generator whose outputs in [-1, 1] are put into the value range of the data.

    Args:
        generator: codes (N, d) -> observations (N, *shape).
        value_range: data values that -1 and 1 stand for; None leaves the outputs as they are.

    """

    def __init__(self, generator: nn.Module, value_range: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.generator = generator
        self.value_range = value_range
        if isinstance(dim := getattr(generator, "dim", None), int):
            self.dim = dim

    def forward(self, z: Tensor) -> Tensor:
        """Return observations (N, *shape) in data units."""
        return from_unit_range(self.generator(z), self.value_range)

    def inverse(self, x: Tensor) -> Tensor:
        """Return observations in data units as the critic sees them, in [-1, 1]."""
        return to_unit_range(x, self.value_range)


class GeneratorSpace(LatentSpace):
    """A latent space whose samples are the generator's outputs, without noise."""

    def observe(self, z: Tensor) -> Tensor:
        """Return G(z), (B, *shape), for codes (B, d)."""
        return self.raw(z)


class EncodableGeneratorSpace(EncodableLatentSpace):
    """A generator with an encoder; its samples, too, are without noise."""

    def observe(self, z: Tensor) -> Tensor:
        """Return G(z), (B, *shape), for codes (B, d)."""
        return self.raw(z)


def with_class(z: Tensor, label: Tensor, classes: int) -> Tensor:
    """Return codes (N, d), their last coordinates replaced by the one-hot labels (N,) of so many classes."""
    return torch.cat([z[:, :-classes], nn.functional.one_hot(label, classes).to(z.dtype)], 1)
