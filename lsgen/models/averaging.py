"""Models whose latent space can decode with a moving average of the weights that are trained."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import nn

from lsgen.latent import LatentSpace
from lsgen.models.base import LatentModel

__all__ = ["WeightAveraged"]


class WeightAveraged(LatentModel):
    """Abstract model with a network that is trained, which the decoder of its latent space has too.

    Both are one module until `separate` gives the decoder a copy, which callbacks average.

    Attributes:
        generative: the name that the network has in the model, and in the decoder of its latent space.

    """

    generative: ClassVar[str]
    latent_space: LatentSpace

    @property
    def trained(self) -> nn.Module:
        """The network that is trained."""
        return self.get_submodule(self.generative)

    @property
    def used(self) -> nn.Module:
        """The network that the latent space decodes with."""
        return self.get_submodule(f"latent_space.decoder.{self.generative}")

    @property
    def averaged(self) -> bool:
        """Whether the latent space decodes with another network than the one that is trained."""
        return self.used is not self.trained

    def separate(self) -> None:
        """Give the latent space a copy of the network that training does not touch."""
        if not self.averaged:
            decoder = self.get_submodule("latent_space.decoder")
            setattr(decoder, self.generative, deepcopy(self.trained).requires_grad_(False))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights, and separate the averaged network from the trained one if both are there."""
        own, prefix = f"{self.generative}.", f"latent_space.decoder.{self.generative}."
        pairs = [(value, name.removeprefix(prefix)) for name, value in state_dict.items() if name.startswith(prefix)]
        if any(not torch.equal(value, state_dict.get(own + name, value)) for value, name in pairs):
            self.separate()
        return super().load_state_dict(state_dict, strict, assign)
