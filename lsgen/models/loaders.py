"""What is known of the batches of a trainer before the first of them comes."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from pytorch_lightning import Trainer
from torch.utils.data import BatchSampler

__all__ = ["check_batch_sizes", "training_observations"]


def training_observations(trainer: Trainer) -> int | None:
    """Return the number of training observations, over all processes; None where the data do not know it."""
    trainer.fit_loop.setup_data()
    data = getattr(trainer.train_dataloader, "dataset", None)
    return len(data) if isinstance(data, Sized) else None


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
                + (", or drop_last=True" if size >= least and number > size and split == "train" else "")
            )
