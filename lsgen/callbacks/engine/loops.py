"""Corrections of Lightning's counters of epochs and batches, so that a run resumes exactly.

A trainer restores whatever its counters say, and reads from them what it was doing. Most states make it repeat or
skip something: a validation, the end of an epoch, a count. Two do not, and checkpoints are written in these only:

    inside an epoch     epoch e started and not processed; k batches completed, the next one ready and not started
    between two epochs  e epochs completed; no batch of the next

No validation is under way in either, so its counters are at 0.

On resuming, Lightning counts the ready batch twice in its totals; `uncount_repeated_batch` takes that back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning import Trainer

from lsgen.callbacks import compat
from lsgen.callbacks.compat import FitLoop

__all__ = [
    "EndingLoop",
    "close_counters",
    "resumable_counters",
    "training_is_over",
    "uncount_repeated_batch",
    "validation_follows",
]


class EndingLoop(FitLoop):
    """Lightning's fit loop, which calls the closing hooks once more if a run was interrupted within them.

    Resumed at the end of training, Lightning's own loop calls no hook at all.

    Attributes:
        closes: whether a run that has nothing left to train is closed.

    """

    closes: bool = False

    @classmethod
    def take_over(cls, loop: FitLoop) -> None:
        """Replace a trainer's fit loop by one of this class and keep its counters."""
        if type(loop) is FitLoop:
            loop.__class__ = cls

    @property
    def skip(self) -> bool:
        """Whether there is nothing left to train or to close."""
        return super().skip and not (self.closes and self.max_batches > 0)


@contextmanager
def resumable_counters(trainer: Trainer, ended: bool) -> Iterator[None]:
    """Set the trainer's counters to a form from which it resumes exactly, and restore them on leaving.

    Args:
        trainer: the trainer, at the start of a training batch or at the end of training.
        ended: whether training has ended.

    """
    fit = trainer.fit_loop
    epochs, batches, validation = fit.epoch_progress, fit.epoch_loop.batch_progress, fit.epoch_loop.val_loop
    counters = epochs, batches, validation.batch_progress
    before = [counter.state_dict() for counter in counters], compat.batches_that_stepped(trainer)
    validation.batch_progress.reset()
    between_epochs = ended and _epoch_is_whole(trainer)
    if between_epochs:
        batches.current.reset()
    elif ended:
        _add(epochs, -1, "processed", "completed")
    if ended:
        _add(batches, 1, "ready")
    batches.is_last_batch = False
    if not compat.accumulates(trainer) and (not between_epochs or compat.counts_steps(trainer)):
        compat.add_batches_that_stepped(trainer, -1)  # the trainer adds it when it resumes here
    try:
        yield
    finally:
        for counter, state in zip(counters, before[0], strict=True):
            counter.load_state_dict(state)
        compat.add_batches_that_stepped(trainer, before[1] - compat.batches_that_stepped(trainer))


def training_is_over(trainer: Trainer) -> bool:
    """Return whether the last step of training is done."""
    fit = trainer.fit_loop
    batches: Any = fit.epoch_loop.batch_progress.current
    epochs: Any = fit.epoch_progress.current
    most = fit.max_epochs
    if batches.processed < batches.ready:
        return False
    if (trainer.should_stop and compat.can_stop_early(trainer)) or -1 < fit.max_steps <= fit.epoch_loop.global_step:
        return True
    return most is not None and -1 < most <= epochs.started and (epochs.processed >= most or _epoch_is_whole(trainer))


@contextmanager
def close_counters(trainer: Trainer) -> Iterator[None]:
    """Set the counters as at the end of training, and restore them on leaving."""
    fit = trainer.fit_loop
    epochs, batches = fit.epoch_progress, fit.epoch_loop.batch_progress
    before = [counter.state_dict() for counter in (epochs, batches)], compat.batches_that_stepped(trainer)
    current: Any = batches.current
    within_batch = trainer.validating or current.completed < current.processed
    step_is_pending = within_batch and not compat.accumulates(trainer)
    stages: tuple[str, ...]
    counter: Any
    for counter, stages in ((epochs, ("processed", "completed")), (batches, ("completed",))):
        for tracker in (counter.total, counter.current):
            for stage in stages:
                setattr(tracker, stage, tracker.started)
    if step_is_pending:
        compat.add_batches_that_stepped(trainer, 1)
    try:
        yield
    finally:
        for counter, state in zip((epochs, batches), before[0], strict=True):
            counter.load_state_dict(state)
        compat.add_batches_that_stepped(trainer, before[1] - compat.batches_that_stepped(trainer))


def uncount_repeated_batch(trainer: Trainer) -> None:
    """Correct the counters that, when training resumes, count the batch in progress twice."""
    total = trainer.fit_loop.epoch_loop.batch_progress.total
    total.ready = total.completed


def validation_follows(trainer: Trainer) -> bool:
    """Return whether a validation comes before the next accumulation window.

    A window is as many batches as gradients are accumulated over. A validation that the clock on the wall decides on,
    that the end of a data set of unknown length brings, or that ends training early, is not foreseen.
    """
    loop, every = trainer.fit_loop.epoch_loop, trainer.val_check_batch
    if every is None or every == float("inf") or not compat.validates_this_epoch(trainer):
        return False
    first = loop.total_batch_idx if trainer.check_val_every_n_epoch is None else loop.batch_idx
    return any((first + k + 1) % every == 0 for k in range(trainer.accumulate_grad_batches))


def _epoch_is_whole(trainer: Trainer) -> bool:
    batches = trainer.fit_loop.epoch_loop.batch_progress
    return batches.is_last_batch or batches.current.completed >= trainer.num_training_batches


def _add(progress: Any, n: int, *counts: str) -> None:
    for tracker in (progress.total, progress.current):
        for count in counts:
            setattr(tracker, count, getattr(tracker, count) + n)
