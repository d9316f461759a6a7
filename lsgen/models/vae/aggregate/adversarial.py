"""Objectives with an adversary: a discriminator of codes, with an optimiser of its own.

Both sides learn from the same codes in one backward pass: the discriminator is frozen where the model's loss goes
through it, and its own loss sees the codes without their graph, so that neither gradient reaches the other's weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import Objective

__all__ = ["AdversarialObjective"]


class AdversarialObjective(Objective):
    """Abstract objective with a discriminator.

    Args:
        discriminator: codes (N, d) -> logits (N,).
        optimizer: parameters of the discriminator -> its optimiser; Adam with learning rate 1e-4 and betas
            (0.5, 0.9) unless another is given.

    """

    def __init__(
        self, discriminator: nn.Module, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.optimizer = partial(torch.optim.Adam, lr=1e-4, betas=(0.5, 0.9)) if optimizer is None else optimizer

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the losses of the model; the discriminator's weights get no gradient from them."""
        return self.losses_and_codes(space, batch, step)[0]

    @abstractmethod
    def losses_and_codes(
        self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int
    ) -> tuple[Losses, Tensor]:
        """Return the losses of the model and the codes (B, d) that the discriminator is to learn from."""

    @abstractmethod
    def adversary_loss(self, space: EncodableLatentSpace, codes: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar, at detached codes (B, d)."""
