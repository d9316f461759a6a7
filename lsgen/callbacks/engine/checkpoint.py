"""Checkpoints that are saved at the places of a run from which it resumes exactly.

Every checkpoint is taken between two batches: everything that belongs to the batches before has happened
(validation, logs, schedules, the end of the epoch), and nothing of the next has. The one other place is the end of
training. Whatever asks for a checkpoint, such as the end of a validation or a signal, is served at the next of these.

At the end of training the weights are saved before anything else happens, whatever the order of the callbacks, and
once more when every callback has closed. What draws and measures in between can fail, or be interrupted at any moment,
and costs no weights; a run that was interrupted there, and is resumed, closes again. Where an exception ends the run
between its last step and this place, the weights are saved all the same, and what it cut off is left out.

A validation may be long, and what asks by a signal may have little patience. So a checkpoint is taken before the batch
that a validation follows, where saving takes less than 2 % of the time; a signal then ends training between two batches
of the validation, and the resumed run repeats that one batch and the validation, which come out the same.
"""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint as LightningCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from lsgen.callbacks.compat import dump_checkpoint
from lsgen.callbacks.engine.averaging import accompany_averaging
from lsgen.callbacks.engine.checkpoint_io import LAST, AtomicCheckpointIO, plain, read_checkpoint, require_place
from lsgen.callbacks.engine.clock import bind_clock, continue_loggers, generator_steps
from lsgen.callbacks.engine.finite_loss import NonFiniteError
from lsgen.callbacks.engine.interrupt import Interrupted, SignalWatch, signal_name
from lsgen.callbacks.engine.loops import (
    EndingLoop,
    close_counters,
    resumable_counters,
    training_is_over,
    uncount_repeated_batch,
    validation_follows,
)
from lsgen.callbacks.engine.problems import problems_of, protect_loggers
from lsgen.data import DataModule
from lsgen.models import LatentModel
from lsgen.models.loaders import require_validation_batches
from lsgen.version import __version__

__all__ = ["BEST", "Checkpoint"]

BEST = "best.ckpt"
_NOTHING, _SAVE, _STOP = range(3)
_LEAST_RATIO = 50  # seconds since the last save over the seconds it took
_BRIEF = 1.0  # seconds of a validation whose end can be waited for


class Checkpoint(LightningCheckpoint):
    """Saves checkpoints/last.ckpt, keeps the one before as previous.ckpt, and the best one as best.ckpt.

    It counts as Lightning's checkpoint callback: leave the trainer's `enable_checkpointing` on and it adds none of its
    own. Files hold tensors and plain containers only. Ctrl-C and SIGTERM save, then raise `Interrupted`; during a
    validation they end it between two batches, and what was saved before the last training batch is resumed from.

    Args:
        every_n_steps: generator steps between two saves; None saves by the other rules only.
        every_n_minutes: minutes between two saves; None saves by the other rules only.
        every_n_epochs: save at the end of every so many epochs, unless the last save was so short ago that saving
            took more than 2 % of the time since; None saves by the other rules only. The end of training, and a
            value that is the best so far, are always saved.
        monitor: logged validation value that decides on best.ckpt, such as "val/elbo"; None keeps no best.ckpt, "auto"
            takes the `criterion` of the model, if it has one and the data have a validation loader. A value that is NaN
            or infinite is never the best, and is told.
        mode: "max" or "min": what is best; "max" unless given. The criterion of a model brings its own.
        dirpath: where to save; the folder `checkpoints` in the trainer's `default_root_dir` unless given.
        config: plain containers to store under "config", such as the resolved config of the run.

    Raises:
        ValueError: a cadence is not positive, the mode is neither "max" nor "min" or given beside "auto"; while
            training, the monitored value was not logged by the end of a validation; when training starts, a validation
            has no batches, or a value is monitored and there are no validations.
        TypeError: when training starts, something that would go into the checkpoint is no tensor or plain container.
        RunError: a checkpoint could not be written; when training starts, there is no place to write one.
        NonFiniteError: the weights to save are NaN or infinite.

    """

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_minutes: float | None = 5.0,
        every_n_epochs: int | None = 1,
        monitor: str | None = None,
        mode: str | None = None,
        dirpath: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        cadences = {
            "every_n_steps": every_n_steps,
            "every_n_minutes": every_n_minutes,
            "every_n_epochs": every_n_epochs,
        }
        for name, cadence in cadences.items():
            if cadence is not None and not cadence > 0:
                raise ValueError(f"expected {name} above 0 or None, got {cadence}")
        if mode not in ("max", "min", None):
            raise ValueError(f"expected mode max or min, got {mode!r}")
        if monitor == "auto" and mode is not None:
            raise ValueError(f"expected no mode beside monitor = 'auto', where the model chooses both, got {mode!r}")
        self.every_n_steps, self.every_n_epochs = every_n_steps, every_n_epochs
        self.every_n_seconds = inf if every_n_minutes is None else 60 * every_n_minutes
        self.monitor, self.mode, self._automatic = monitor, mode or "max", monitor == "auto"
        self.dirpath = None if dirpath is None else Path(dirpath)
        self.config = config
        self.best_score: float | None = None
        self.best_step: int | None = None
        self.best_model_path = ""
        self.last_saved: str | None = None
        self._signals = SignalWatch()
        self._resumed = self._due = self._better = self._ended = self._finished = False
        self._covered = self._in_step = self._training = self._lost = False
        self._loaded: str | Path | None = None
        self._closing: Path | None = None
        self._validation_began = 0.0
        self._validation_seconds: float | None = None
        self._saved_step, self._saving_seconds = 0, 0.0
        self._saved_at = time.monotonic()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have the trainer write plain checkpoints atomically, and the loggers log on generator steps."""
        if self._automatic:
            criterion = pl_module.criterion if isinstance(pl_module, LatentModel) else None
            self.monitor, self.mode = criterion or (None, self.mode)
        if self.dirpath is None:
            self.dirpath = Path(trainer.default_root_dir) / "checkpoints"
        io = trainer.strategy.checkpoint_io
        if type(io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        elif not isinstance(io, AtomicCheckpointIO):
            raise ValueError(
                f"expected no other checkpoint plugin beside {type(self).__name__}, got {type(io).__name__}"
            )
        protect_loggers(trainer)
        bind_clock(trainer, pl_module)
        EndingLoop.take_over(trainer.fit_loop)
        if not any(isinstance(callback, _FirstAtTheEnd) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            trainer.callbacks = [_FirstAtTheEnd(self), *trainer.callbacks]  # type: ignore[attr-defined]
        accompany_averaging(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that the state can be saved before training does any work, and handle signals."""
        if self._resumed:
            uncount_repeated_batch(trainer)
            if isinstance(trainer.datamodule, DataModule):  # type: ignore[attr-defined]
                warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        require_validation_batches(trainer)
        if self._automatic and not trainer.fit_loop.epoch_loop.val_loop._data_source.is_defined():
            self.monitor = None
        if self.monitor is not None and not trainer.enable_validation:
            raise ValueError(
                f"expected validations, whose {self.monitor} decides on {BEST}, got none: let the trainer validate, or "
                "set the monitor of the checkpoint to null"
            )
        continue_loggers(trainer, pl_module)
        self._resumed = self._due = self._better = self._ended = self._finished = False
        self._training = True
        self._closing = Path(self._loaded) if self._loaded and trainer.fit_loop.done else None
        self._loaded = None
        self._saved_step, self._saved_at = generator_steps(trainer, pl_module), time.monotonic()
        if trainer.is_global_zero and self.dirpath is not None:
            require_place(self.dirpath)
        plain(dump_checkpoint(trainer))
        self._signals.start()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save if a save is due, and stop if a signal arrived."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        validates = validation_follows(trainer)
        wish = _agree(trainer, self._wish(trainer, pl_module, validates))
        self._covered = validates and bool(wish or self._due or self._better)
        if wish or self._due or self._better:
            self._save(trainer, pl_module)
        if wish == _STOP:
            raise self._interruption(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the time, and whether all processes have equally many batches, so that they can stop together."""
        self._validation_began = time.monotonic()
        if self._covered:
            batches = int(sum(trainer.num_val_batches))
            self._in_step = _agree(trainer, batches) == -_agree(trainer, -batches)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop if a signal arrived and the last checkpoint is one batch old, so that nothing is lost."""
        if trainer.state.fn != TrainerFn.FITTING or not (self._covered and self._in_step):
            return
        if _agree(trainer, int(self._signals.received is not None)):
            raise self._interruption(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the monitored value with the best one so far."""
        self._validation_seconds = time.monotonic() - self._validation_began
        if self.monitor is None or trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        if self.monitor not in trainer.callback_metrics:
            if problems_of(trainer):  # what measures it has failed, and was told
                return
            raise ValueError(
                f"expected monitor = {self.monitor!r} among the values that validation logs, "
                f"got {', '.join(sorted(trainer.callback_metrics)) or 'none'}"
            )
        score, step = float(trainer.callback_metrics[self.monitor]), generator_steps(trainer, pl_module)
        if isfinite(score) and self._is_better(score):
            self.best_score, self.best_step = score, step
            self._better = True
        if not isfinite(score) and not self._lost:
            rank_zero_warn(f"{self.monitor} is {score} after {step} generator steps: {self._kept_best()}.")
        self._lost = not isfinite(score)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Request a save at the end of the epoch."""
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._due |= _agree(trainer, int(self._is_cheap())) > 0

    def before_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of training before any callback closes; from here on a signal stops at once."""
        self._ended = True
        if self._closing is None:
            self._save(trainer, pl_module)
        if _agree(trainer, self._wish(trainer, pl_module)) == _STOP:
            raise self._interruption(trainer, pl_module)
        if trainer.world_size == 1:
            self._signals.interrupt_with(lambda: self._interruption(trainer, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record that every callback has closed, and restore the signal handlers."""
        self._finished = True
        self._signals.interrupt_with(None)
        if self._closing is None:
            self._save(trainer, pl_module)
        elif trainer.is_global_zero:
            self._save_closed(trainer, self._closing)
        wish = _agree(trainer, self._wish(trainer, pl_module))
        self._signals.stop()
        self._training = False
        if wish == _STOP:
            raise self._interruption(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report if a best checkpoint was expected and none was saved."""
        if self._lost and self.best_score is None:
            rank_zero_warn(f"There is no {BEST}: {self.monitor} was a finite number after none of the validations.")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers; save complete weights that are not saved yet."""
        self._signals.stop()
        unsaved = self._training and not self._ended and generator_steps(trainer, pl_module) > self._saved_step
        if unsaved and trainer.world_size == 1 and training_is_over(trainer):
            self._ended = True
            with suppress(Exception), close_counters(trainer):
                self._save(trainer, pl_module)
        self._training = False

    # what goes into the file

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"monitor": self.monitor, "best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, unless another value is monitored now."""
        if state_dict["monitor"] == self.monitor:
            self.best_score, self.best_step = state_dict["best_score"], state_dict["best_step"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the version, the config, whether training has ended and closed, and the problems of the run.

        Raises:
            NonFiniteError: weights are NaN or infinite, and no other callback has said why.

        """
        if self._training:
            self._refuse_bad_weights(trainer, pl_module)
        checkpoint["ended"], checkpoint["finished"] = self._ended, self._finished
        checkpoint["problems"] = problems_of(trainer).records()
        checkpoint["lsgen_version"] = __version__
        if self.config is not None:
            checkpoint["config"] = dict(self.config)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check who wrote the file, and close a run that was interrupted while it closed."""
        self._resumed = "finished" in checkpoint
        problems_of(trainer).restore(checkpoint.get("problems", []))
        closes = bool(checkpoint.get("ended")) and not checkpoint["finished"]
        if closes and isinstance(trainer.fit_loop, EndingLoop):
            trainer.fit_loop.closes, self._loaded = True, trainer.ckpt_path

    # when

    def _wish(self, trainer: Trainer, pl_module: LightningModule, validates: bool = False) -> int:
        if self._signals.received is not None:
            return _STOP
        every, step = self.every_n_steps, generator_steps(trainer, pl_module)
        due = every is not None and step // every > self._saved_step // every
        due |= time.monotonic() - self._saved_at >= self.every_n_seconds
        due |= validates and self._is_cheap() and not self._is_brief()
        return _SAVE if due else _NOTHING

    def _is_cheap(self) -> bool:
        """Tell whether saving now takes less than 2 % of the time since the last save."""
        return time.monotonic() - self._saved_at >= _LEAST_RATIO * self._saving_seconds

    def _is_brief(self) -> bool:
        """Tell whether the last validation was short enough to wait for the end of the next."""
        return self._validation_seconds is not None and self._validation_seconds < _BRIEF

    def _is_better(self, score: float) -> bool:
        if self.best_score is None:
            return True
        return score > self.best_score if self.mode == "max" else score < self.best_score

    def _kept_best(self) -> str:
        if self.best_score is None:
            return f"it cannot be the best, and there is no {BEST} so far"
        return f"the best stays {self.best_score:.6g}, of generator step {self.best_step}"

    # how

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save best.ckpt if it is due, then last.ckpt, which thus never refers to a best checkpoint that is missing."""
        assert self.dirpath is not None
        last, best, start = self.dirpath / LAST, self.dirpath / BEST, time.monotonic()
        with resumable_counters(trainer, self._ended):
            trainer.save_checkpoint(best if self._better else last, weights_only=False)
        if self._better:
            self.best_model_path = str(best)
            if trainer.is_global_zero:
                io = trainer.strategy.checkpoint_io
                assert isinstance(io, AtomicCheckpointIO)
                io.duplicate(best, last)
        self._due = self._better = False
        self._saved_step, self._saved_at = generator_steps(trainer, pl_module), time.monotonic()
        self._saving_seconds = self._saved_at - start
        self.last_saved = f"{last} of generator step {self._saved_step}"

    def _save_closed(self, trainer: Trainer, source: Path) -> None:
        """Save the checkpoint of a run that only had to close, now marked as closed."""
        io, content = trainer.strategy.checkpoint_io, read_checkpoint(source)
        assert self.dirpath is not None
        content |= {"finished": True, "problems": problems_of(trainer).records()}
        io.save_checkpoint(content, self.dirpath / LAST)

    def _refuse_bad_weights(self, trainer: Trainer, pl_module: LightningModule) -> None:
        weights = {name: weight.detach() for name, weight in pl_module.named_parameters()}
        if weights and not bool(torch.stack([weight.isfinite().all() for weight in weights.values()]).all()):
            bad = next(name for name, weight in weights.items() if not bool(weight.isfinite().all()))
            kept = f"; {self.last_saved} is kept" if self.last_saved else ""
            raise NonFiniteError(
                f"training stopped after {generator_steps(trainer, pl_module)} generator steps: the weights {bad} "
                f"are not finite, so they were not saved{kept}"
            )

    def _interruption(self, trainer: Trainer, pl_module: LightningModule) -> Interrupted:
        signum, steps = self._signals.received or signal.SIGTERM, generator_steps(trainer, pl_module)
        if trainer.validating:
            place, holds = f"in a validation after {steps} generator steps", "is from the batch before it"
        elif self._ended:
            place, holds = f"at the end of training, after {steps} generator steps", "holds all of it"
        else:
            place, holds = f"after {steps} generator steps", "holds all of it"
        return Interrupted(
            signum, f"stopped by {signal_name(signum)} {place}; {self.last_saved} {holds}, resume from there"
        )


class _FirstAtTheEnd(Callback):
    """Callback that runs before all others, to save before any of them closes."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        self.checkpoint.before_train_end(trainer, pl_module)


def _agree(trainer: Trainer, wish: int) -> int:
    """Return the largest value over all processes, so that they save and stop together."""
    if trainer.world_size == 1:
        return wish
    return int(trainer.strategy.reduce(torch.tensor(wish, device=trainer.strategy.root_device), reduce_op="max"))
