"""Properties of a trainer's loaders: the number and sizes of batches, and after which of them rows are logged."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from pytorch_lightning import Trainer
from torch.utils.data import BatchSampler

__all__ = ["check_batch_sizes", "is_read_after", "require_validation_batches", "training_observations"]

_READ_EVERY = 50  # batches between two readings where the trainer logs nothing


def is_read_after(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether values are read from the device after a training batch, because a row is logged then.

    Whatever else waits on the device is read at the same batches, so that the steps between them wait for nothing.
    """
    every: int = trainer.log_every_n_steps or _READ_EVERY  # type: ignore[attr-defined]
    return (batch_idx + 1) % every == 0


def training_observations(trainer: Trainer) -> int | None:
    """Return the number of training observations, over all processes; None where the data do not know it."""
    trainer.fit_loop.setup_data()
    data = getattr(trainer.train_dataloader, "dataset", None)
    return len(data) if isinstance(data, Sized) else None


def require_validation_batches(trainer: Trainer) -> None:
    """Refuse validation data without a batch when training starts, however far ahead the first validation is.

    Raises:
        ValueError: a loader has no batch.

    """
    if not trainer.enable_validation:
        return
    if trainer.val_dataloaders is None:
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.setup_data()
        trainer.training = True
    if 0 in trainer.num_val_batches:
        counts = ", ".join(map(str, trainer.num_val_batches))
        raise ValueError(
            f"expected at least one batch in every validation loader, got {counts}: hold out more observations, or set "
            "trainer.limit_val_batches=0 to train without validation"
        )


def check_batch_sizes(loaders: Any, least: int, split: str, owner: str) -> None:
    """Refuse loaders that are bound to make a smaller batch; those that do not know their batches are let through.

    Args:
        loaders: one, several or None, as a trainer has them.
        least: observations in the smallest batch that can be worked on.
        split: whose loaders they are.
        owner: who needs so many.

    Raises:
        ValueError: a batch of a loader is smaller.

    """
    for loader in loaders if isinstance(loaders, list | tuple) else [loaders]:
        batches = getattr(loader, "batch_sampler", None)
        if not isinstance(batches, BatchSampler) or not isinstance(batches.sampler, Sized):
            continue
        number, size = len(batches.sampler), int(batches.batch_size)
        smallest = size if batches.drop_last else number % size or min(number, size)
        if 0 < smallest < least:
            raise ValueError(
                f"{owner} expected batches of at least {least} observations, and {number} {split} observations in "
                f"batches of {size} leave one of {smallest}: choose another batch size"
                + (", or drop_last=True" if size >= least and number > size and split == "training" else "")
            )
