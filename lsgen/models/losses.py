"""The loss that a training objective returns, with its terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Losses", "ScalarLoss"]


@dataclass(frozen=True)
class Losses:
    """The loss of one batch of B observations, in nats, summed over data dimensions.

    Attributes:
        loss: scalar to minimise; the average over the batch of the weighted terms.
        reconstruction: -log p(x|z) per observation, (B,).
        kl: KL(q(z|x) || p(z)) per observation and latent dimension, (B, d). It has one column where posterior and
            prior do not factorise over latent dimensions, and none where the posterior is a point (infinite KL).
        weights: scalars worth logging beside the terms, such as the current beta.
        scalars: what else the objective knows of the batch, such as a total correlation: 0-d tensors without a graph.

    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    weights: Mapping[str, float] = field(default_factory=dict)
    scalars: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound per observation, (B,), whatever weights the loss puts on its terms.

        NaN where the posterior is a point: there is no bound then.
        """
        if not self.kl.shape[-1]:
            return torch.full_like(self.reconstruction, torch.nan)
        return -(self.reconstruction + self.kl.sum(-1))

    def detach(self) -> Losses:
        """Return the same numbers without their graph."""
        scalars = {name: value.detach() for name, value in self.scalars.items()}
        return Losses(self.loss.detach(), self.reconstruction.detach(), self.kl.detach(), self.weights, scalars)


@dataclass(frozen=True)
class ScalarLoss:
    """The loss of one batch of a model that bounds no evidence, such as one of metric learning or of word vectors.

    Attributes:
        loss: scalar to minimise.
        weights: scalars worth logging beside it, such as the current margin.
        scalars: what else is known of the batch: 0-d tensors without a graph.

    """

    loss: Tensor
    weights: Mapping[str, float] = field(default_factory=dict)
    scalars: Mapping[str, Tensor] = field(default_factory=dict)

    def detach(self) -> ScalarLoss:
        """Return the same numbers without their graph."""
        return ScalarLoss(
            self.loss.detach(), self.weights, {name: value.detach() for name, value in self.scalars.items()}
        )
