"""Private parts of Lightning and TensorBoard that callbacks rely on; nothing else in this room touches any.

A trainer counts the batches after which an optimiser stepped, and decides when gradients accumulate, when validation is
due and what a checkpoint holds. Lightning has no public names for these, so a new version of it is adapted to here.
"""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import StochasticWeightAveraging
from pytorch_lightning.loops.fit_loop import _FitLoop as FitLoop
from torch.optim import SGD
from torch.optim.swa_utils import SWALR

__all__ = [
    "FitLoop",
    "accumulates",
    "add_batches_that_stepped",
    "averaged_model",
    "averaging_is_under_way",
    "batches_that_stepped",
    "can_stop_early",
    "check_annealing",
    "counts_steps",
    "dump_checkpoint",
    "file_writer",
    "has_averaged",
    "validates_this_epoch",
]


def batches_that_stepped(trainer: Trainer) -> int:
    """Return after how many batches an optimiser has stepped."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def add_batches_that_stepped(trainer: Trainer, count: int) -> None:
    """Add to the number of batches after which an optimiser has stepped."""
    trainer.fit_loop.epoch_loop._batches_that_stepped += count


def accumulates(trainer: Trainer) -> bool:
    """Return whether gradients of the current batch are accumulated with those of the next, before any step."""
    return trainer.fit_loop.epoch_loop._should_accumulate()


def counts_steps(trainer: Trainer) -> bool:
    """Return whether a number of steps, rather than of epochs, ends training."""
    return trainer.fit_loop._iteration_based_training()


def can_stop_early(trainer: Trainer) -> bool:
    """Return whether training may stop now: the least number of epochs and of steps is reached."""
    return trainer.fit_loop._can_stop_early


def validates_this_epoch(trainer: Trainer) -> bool:
    """Return whether the current epoch is one of those after which, or within which, validation is due."""
    return trainer.fit_loop.epoch_loop._should_check_val_epoch()


def dump_checkpoint(trainer: Trainer) -> dict[str, Any]:
    """Return the content of a checkpoint of the trainer's current state."""
    return trainer._checkpoint_connector.dump_checkpoint(weights_only=False)


def averaged_model(averaging: StochasticWeightAveraging) -> LightningModule:
    """Return the model that holds the averaged weights; before the first average, a copy of the model at the start."""
    average = averaging._average_model
    assert average is not None
    return average


def has_averaged(averaging: StochasticWeightAveraging) -> bool:
    """Return whether weights have been averaged, in this attempt or in one that it goes on from."""
    return averaging._initialized or averaging._init_n_averaged > 0


def check_annealing(averaging: StochasticWeightAveraging) -> None:
    """Refuse an annealing of learning rates that PyTorch would refuse when averaging begins.

    Raises:
        ValueError: with PyTorch's own words.

    """
    optimizer = SGD([torch.zeros(1)], lr=1.0)
    SWALR(optimizer, 1.0, averaging._annealing_epochs, averaging._annealing_strategy)


def averaging_is_under_way(averaging: StochasticWeightAveraging, epoch: int) -> bool:
    """Return whether a resumed run goes on within an epoch whose start was averaged in the former attempt."""
    return not averaging._initialized and averaging._init_n_averaged > 0 and averaging._latest_update_epoch == epoch


def file_writer(experiment: Any) -> Any:
    """Return the writer of event files behind TensorBoard's `SummaryWriter`."""
    return experiment._get_file_writer()
