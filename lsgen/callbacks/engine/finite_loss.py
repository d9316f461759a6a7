"""Stop training when its loss is NaN or infinite, before weights that learned from it are saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lsgen.callbacks.engine.clock import generator_steps
from lsgen.models import LatentModel, Losses
from lsgen.models.loaders import is_read_after
from lsgen.models.verdicts import on_host

__all__ = ["FiniteLoss", "NonFiniteError"]


class NonFiniteError(RuntimeError):
    """A loss or a weight is NaN or infinite; the message is one sentence that names it."""


class _Check(NamedTuple):
    """A loss on an accelerator, and whether it is finite, until both are read."""

    finite: Tensor
    loss: Tensor
    losses: Any
    place: str


class FiniteLoss(Callback):
    """Stops training with `NonFiniteError` when a loss is NaN or infinite.

    On the host that happens before the backward pass, so that the weights stay those of the last good step. On an
    accelerator no step waits for its loss: what tells whether it is finite stays there, and is read after the batches
    at which a row is logged, before a validation, at the end of an epoch and before a checkpoint is written. Weights
    that learned from a bad loss are never saved, so the last checkpoint holds good ones. The message names the
    generator step and the term of the first bad loss.

    Args:
        every_n_steps: batches between two checks. Whatever is set here, `Checkpoint` never saves weights that are not
            finite.

    Raises:
        ValueError: every_n_steps is not positive; while training, the loss is not finite because of the data.

    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise ValueError(f"expected a check every n >= 1 steps, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self._batch_idx = 0
        self._unread: list[_Check] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the checks of earlier training."""
        self._unread = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the number of the batch."""
        self._batch_idx = batch_idx

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Check the loss at once on the CPU; on an accelerator, keep a flag there that is read later."""
        if self._batch_idx % self.every_n_steps:
            return
        finite = torch.isfinite(loss.detach()).all()
        if on_host(finite) and bool(finite):
            return
        step = generator_steps(trainer, pl_module)
        place = f"after {step} generator steps (epoch {trainer.current_epoch}, batch {self._batch_idx})"
        check = _Check(finite, loss.detach(), getattr(pl_module, "last_losses", None), place)
        if on_host(finite):
            self._refuse(trainer, pl_module, check, "the update was not applied")
        self._unread.append(check)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Read the checks where a row is logged."""
        if is_read_after(trainer, batch_idx):
            self.read(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the checks, before time is spent on a validation."""
        self.read(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the checks."""
        self.read(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read the checks, so that weights which learned from a bad loss are not saved."""
        self.read(trainer, pl_module)

    def read(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the checks since the last call, and wait for them; after a bad loss, refuse every time.

        Raises:
            NonFiniteError: a loss was NaN or infinite.

        """
        if not self._unread:
            return
        finite = torch.stack([check.finite for check in self._unread]).tolist()
        if not all(finite):
            bad = self._unread[finite.index(False)]
            self._refuse(trainer, pl_module, bad, "weights that learned from it are not saved")
        self._unread = []

    def _refuse(self, trainer: Trainer, pl_module: LightningModule, check: _Check, weights: str) -> NoReturn:
        if isinstance(pl_module, LatentModel):
            pl_module.read_verdicts()  # where the data are to blame, that is what there is to say
        values = check.loss.flatten()
        raise NonFiniteError(
            f"training stopped {check.place}: the loss is {values[~torch.isfinite(values)][0].item()}, "
            f"from {_culprits(check.losses)}; {weights}{_remedy(trainer)}"
        )


def _culprits(losses: Any) -> str:
    if not isinstance(getattr(losses, "scalars", None), Mapping):
        return "the loss that training_step returned"
    return ", ".join(_bad_terms(losses)) or "the loss itself, as each of its terms is finite"


def _bad_terms(losses: Any) -> Iterator[str]:
    """Yield a description of every term with values that are not finite, and their number."""
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
