"""The losses of both players of a GAN, term by term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["AdversarialLosses"]


@dataclass(frozen=True)
class AdversarialLosses:
    """The losses of a critic and a generator, in the units of the scores, averaged over observations.

    Attributes:
        scalars: weighted terms, 0-d tensors without a graph: "critic/adversarial", "critic/gradient_penalty",
            "generator/adversarial", ... ; the terms of one player add up to its loss.

    """

    scalars: Mapping[str, Tensor]

    @property
    def loss(self) -> Tensor:
        """The sum of all terms, a scalar that is finite only if every term is; it is not minimised."""
        return torch.stack(list(self.scalars.values())).sum()

    def player(self, name: str) -> Tensor:
        """Return the loss of "critic" or "generator", a scalar.

        Raises:
            KeyError: there is no term of that player.

        """
        terms = [term for key, term in self.scalars.items() if key.startswith(f"{name}/")]
        if not terms:
            raise KeyError(f"expected terms of {name}, got {', '.join(self.scalars) or 'none'}")
        return torch.stack(terms).sum()

    def detach(self) -> AdversarialLosses:
        """Return the same numbers without their graph."""
        return AdversarialLosses({name: term.detach() for name, term in self.scalars.items()})
