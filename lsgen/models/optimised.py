"""Models that learn by one optimiser, which Lightning steps, from the losses of a batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import Space
from lsgen.models.base import Batch, LatentModel, OptimizerFactory
from lsgen.models.losses import Losses, ScalarLoss

__all__ = ["OptimisedModel"]

AnyLoss = TypeVar("AnyLoss", Losses, ScalarLoss)


class OptimisedModel(LatentModel):
    """Abstract model whose `loss` is minimised by one optimiser.

    Args:
        latent_space: what the model learns.
        optimizer: parameters -> optimiser; fused Adam with learning rate 1e-3 unless another is given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    """

    def __init__(
        self,
        latent_space: Space,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        super().__init__(latent_space, max_steps)
        self._pending = 0
        self._latest: dict[str, Tensor] = {}
        self.optimizer = partial(torch.optim.Adam, lr=1e-3, fused=True) if optimizer is None else optimizer
        self.scheduler = scheduler

    @abstractmethod
    def loss(self, batch: Batch) -> Losses | ScalarLoss:
        """Return the losses of a batch at the current generator step, those of the metric included."""

    def learned(self) -> Iterable[nn.Parameter]:
        """Return the parameters that the optimiser updates; all of them by default."""
        return self.parameters()

    def regularised(self, losses: AnyLoss, batch: Batch) -> AnyLoss:
        """Return losses with the penalties on the metric; a penalty that is left out keeps its latest value in logs."""
        found = self.penalties(batch)
        if not self.regularised_by:
            return losses
        if self.training:
            self._latest.update({name: one.value.detach() for name, one in found.items()})
        values = self._latest if self.training else {name: one.value.detach() for name, one in found.items()}
        scalars = {f"regulariser/{name}": value for name, value in values.items()}
        weights = {f"regulariser/{name}_weight": one.factor for name, one in found.items()}
        loss = losses.loss + sum(one.term for one in found.values())
        return replace(losses, loss=loss, weights={**losses.weights, **weights}, scalars={**losses.scalars, **scalars})

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return what the optimiser minimises, and the detached terms of the loss."""
        self._pending += len(batch["x"])
        losses = self.loss(batch)
        self.last_losses = losses.detach()
        return {"loss": losses.loss * self.summands(batch), "losses": self.last_losses}

    def summands(self, batch: Batch) -> int:
        """Return by what the loss of a batch is multiplied for the optimiser: 1, or their number for a sum of terms."""
        return 1

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the parameters and advance the clocks together, so that every callback sees them agree."""
        super().optimizer_step(*args, **kwargs)
        self.tick_pending()

    def tick_pending(self) -> None:
        """Advance the clocks by a generator step and the observations since the one before."""
        self.tick(self._pending)
        self._pending = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> Losses | ScalarLoss:  # type: ignore[override]
        """Return the losses of a validation batch."""
        return self._evaluation_step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> Losses | ScalarLoss:  # type: ignore[override]
        """Return the losses of a test batch."""
        return self._evaluation_step(batch, "test")

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and the scheduler stepped every generator step."""
        optimizer = self.optimizer(self.learned())
        config: dict[str, Any] = {"optimizer": optimizer}
        if self.scheduler is not None:
            config["lr_scheduler"] = {"scheduler": self.scheduler(optimizer), "interval": "step"}
        return config

    def _evaluation_step(self, batch: Batch, stage: str) -> Losses | ScalarLoss:
        losses = self.loss(batch)
        values = {"loss": losses.loss, **losses.scalars}
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self.log_dict(named, batch_size=len(batch["x"]), on_epoch=True, sync_dist=True)
        return losses
