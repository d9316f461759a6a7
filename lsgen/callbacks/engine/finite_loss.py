"""Stop where the loss is no number, before it reaches the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.engine.clock import generator_steps
from lsgen.models import LatentModel, Losses

__all__ = ["FiniteLoss", "NonFiniteError"]


class NonFiniteError(RuntimeError):
    """A loss or a weight is NaN or infinite; the message is one sentence that says where."""


class FiniteLoss(Callback):
    """Stops training with `NonFiniteError` before the backward pass of a loss that is NaN or infinite.

    The weights stay those of the last good step, and so does the checkpoint. The message names the generator
    step and the term.

    Args:
        every_n_steps: batches between two checks. A check reads one number from the device: free on a CPU,
            a synchronisation elsewhere. Whatever is set here, `Checkpoint` never saves weights that are not finite.

    Raises:
        ValueError: every_n_steps is not positive; while training, the loss is no number because of the data.

    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise ValueError(f"expected a check every n >= 1 steps, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self._batch_idx = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the place."""
        self._batch_idx = batch_idx

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Check the loss."""
        if self._batch_idx % self.every_n_steps or bool(torch.isfinite(loss).all()):
            return
        if isinstance(pl_module, LatentModel):
            pl_module.read_verdicts()  # where the data are to blame, that is what there is to say
        step = generator_steps(trainer, pl_module)
        value = loss.detach().flatten()[~torch.isfinite(loss.detach().flatten())][0].item()
        raise NonFiniteError(
            f"training stopped after {step} generator steps (epoch {trainer.current_epoch}, batch {self._batch_idx}): "
            f"the loss is {value}, from {_culprits(pl_module)}; the update was not applied{_remedy(trainer)}"
        )


def _culprits(pl_module: LightningModule) -> str:
    losses = getattr(pl_module, "last_losses", None)
    if not isinstance(getattr(losses, "scalars", None), Mapping):
        return "the loss that training_step returned"
    return ", ".join(_bad_terms(losses)) or "the loss itself, as each of its terms is finite"


def _bad_terms(losses: Any) -> Iterator[str]:
    """Name every term with values that are not finite, and in how many observations."""
    if isinstance(losses, Losses):
        yield from _bad_bounds(losses)
    for name, value in losses.scalars.items():
        if not torch.isfinite(value).all():
            yield f"the term {name}"


def _bad_bounds(losses: Losses) -> Iterator[str]:
    bad = ~torch.isfinite(losses.reconstruction)
    if bad.any():
        yield f"the reconstruction of {int(bad.sum())} of {bad.numel()} observations"
    bad = ~torch.isfinite(losses.kl)
    if bad.any():
        dimensions = bad.any(0).nonzero().flatten().tolist()
        named = ", ".join(map(str, dimensions[:8])) + (", ..." if len(dimensions) > 8 else "")
        yield f"the KL of latent dimension {named} in {int(bad.any(-1).sum())} of {len(bad)} observations"
    for name, weight in losses.weights.items():
        if not torch.isfinite(torch.as_tensor(weight)).all():
            yield f"the weight {name} = {float(weight)}"


def _remedy(trainer: Trainer) -> str:
    kept = getattr(trainer.checkpoint_callback, "last_saved", None)
    return "" if kept is None else f"; {kept} is kept"
