"""The variational autoencoder, assembled from parts: variants are objects passed in, not subclasses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import EncodableLatentSpace, Posterior, Prior
from lsgen.likelihoods import Likelihood
from lsgen.models.base import Batch, LatentModel, OptimizerFactory
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import Objective

__all__ = ["VAE"]


class VAE(LatentModel):
    """A variational autoencoder.

    Args:
        encoder: observations (N, C, ...) -> posterior parameters (N, posterior.heads * d).
        decoder: codes (N, d) -> raw outputs (N, heads * C, ...).
        likelihood: raw outputs -> p(x|z).
        prior: p(z).
        objective: what is minimised.
        posterior: family of q(z|x); a diagonal normal unless another is given.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-3 unless another is given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: the parts disagree on the latent dimension or on the number of heads.

    """

    latent_space: EncodableLatentSpace

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        objective: Objective,
        posterior: Posterior | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        super().__init__(EncodableLatentSpace(encoder, decoder, likelihood, prior, posterior), max_steps)
        self.objective = objective
        self._pending = 0
        self.optimizer = partial(torch.optim.Adam, lr=1e-3) if optimizer is None else optimizer
        self.scheduler = scheduler

    def loss(self, batch: Batch) -> Losses:
        """Return the losses of a batch at the current generator step."""
        return cast(Losses, self.objective(self.latent_space, batch, self.generator_steps))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean reconstruction of observations (N, *shape), through the posterior mean."""
        return self.latent_space.decode(self.latent_space.encode(x).mean).mean

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the loss and its detached terms."""
        losses = self.loss(batch)
        self.last_losses = losses.detach()
        self._pending += len(batch["x"])
        return {"loss": losses.loss, "losses": self.last_losses}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the parameters, and advance the clocks with them, so that every callback sees both in step."""
        super().optimizer_step(*args, **kwargs)
        self.tick(self._pending)
        self._pending = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> Losses:  # type: ignore[override]
        """Return the losses of a validation batch."""
        return self._evaluation_step(batch, "val/loss")

    def test_step(self, batch: Batch, batch_idx: int) -> Losses:  # type: ignore[override]
        """Return the losses of a test batch."""
        return self._evaluation_step(batch, "test/loss")

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and the scheduler stepped every generator step."""
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.scheduler(optimizer), "interval": "step"},
        }

    def _evaluation_step(self, batch: Batch, key: str) -> Losses:
        losses = self.loss(batch)
        self.log(key, losses.loss, batch_size=len(batch["x"]), on_epoch=True, sync_dist=True)
        return losses
