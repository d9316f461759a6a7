"""Lightning's `StochasticWeightAveraging` beside checkpoints from which runs resume exactly.

By itself it puts the averaged weights into the model after other callbacks have drawn the last ones, puts the initial
weights there where training ended before averaging began, none where it ended before `max_epochs`, and forgets its
learning rate when a run resumes within an epoch. Here the averaged weights are in place before the end of training is
saved and drawn, whenever it ends, and a resumed run goes on as if nothing had happened.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import StochasticWeightAveraging
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from lsgen.callbacks import compat

__all__ = ["accompany_averaging"]


def accompany_averaging(trainer: Trainer, pl_module: LightningModule) -> None:
    """Have averaging of weights end and resume as it should, before training starts; without it, do nothing.

    Raises:
        ValueError: the model steps its own optimisers, or has batch normalisation; or rates cannot be annealed so.

    """
    hooks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = next((hook for hook in hooks if isinstance(hook, StochasticWeightAveraging)), None)
    if found is None or any(isinstance(hook, _Accompaniment) for hook in hooks):
        return
    name = type(pl_module).__name__
    if not pl_module.automatic_optimization:
        raise ValueError(
            "expected a model with one optimiser that Lightning steps for StochasticWeightAveraging, got "
            f"{name}, which steps its own; GeneratorEMA averages the weights of a generator"
        )
    if found.pl_module_contains_batch_norm(pl_module):
        raise ValueError(
            "expected a model without batch normalisation for StochasticWeightAveraging, whose passes over the data "
            f"without steps no clock counts, got {name} with it"
        )
    try:
        compat.check_annealing(found)
    except ValueError as error:
        raise ValueError(f"StochasticWeightAveraging refuses its annealing: {error}") from error
    trainer.callbacks = [_Accompaniment(found), *hooks]  # type: ignore[attr-defined]


class _Accompaniment(Callback):
    """Callback that runs before all others, so that whatever saves or draws the end finds the averaged weights."""

    def __init__(self, averaging: StochasticWeightAveraging) -> None:
        self.averaging = averaging

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse an average that would begin after the end; where training resumes within an epoch, go on with it."""
        begins, limit = self.averaging.swa_start, getattr(pl_module, "max_steps", None)
        steps = max(1, trainer.num_training_batches // trainer.accumulate_grad_batches)  # of an epoch
        if limit is not None and trainer.max_epochs == -1 and (epochs := ceil(limit / steps)) <= begins:
            raise ValueError(
                f"expected StochasticWeightAveraging to begin in one of the {epochs} epochs that {limit} steps take, "
                f"got swa_epoch_start={begins + 1}"
            )
        if compat.averaging_is_under_way(self.averaging, trainer.current_epoch):
            groups: list[dict[str, Any]] = trainer.optimizers[0].param_groups
            kept = [{key: value for key, value in group.items() if key != "params"} for group in groups]
            self.averaging.on_train_epoch_start(trainer, pl_module)
            for group, values in zip(groups, kept, strict=True):
                group.update(values)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the averaged weights into the model; what Lightning does afterwards changes nothing any more."""
        average = compat.averaged_model(self.averaging)
        if compat.has_averaged(self.averaging):
            self.averaging.transfer_weights(average, pl_module)
        else:
            rank_zero_warn("StochasticWeightAveraging: training ended before it began; the last weights are kept.")
            self.averaging.transfer_weights(pl_module, average)
