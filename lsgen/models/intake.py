"""Base class of models that check every batch, in every split and under every loop of the trainer.

On the host a batch is brought into one form and its labels are checked; on the device the values to be checked are
taken before any callback sees the batch. Nothing depends on hooks of a fit: Lightning's tuners, a validation or a test
by itself run the same checks. If a data module has the public hooks around a transfer, the batch that they return is
checked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import RunningStage, TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.models.compat import BatchNorm
from lsgen.models.contract import Contract, ValueCheck, takes_greys
from lsgen.models.loaders import check_batch_sizes, is_read_after, require_validation_batches
from lsgen.models.verdicts import Place, Verdicts, on_host
from lsgen.nn.adversarial.critics import MinibatchStd

__all__ = ["Batch", "BatchIntake"]

Batch = Mapping[str, Tensor]

_COMPARING = (BatchNorm, MinibatchStd)  # layers that in training compare the observations of a batch


class BatchIntake(LightningModule, ABC):
    """Abstract module that refuses batches which break its `contract`.

    Raises:
        ValueError: with any batch, values that the model cannot learn from, an entry that is missing or of another
            shape, or fewer observations than it needs.
        TypeError: with any batch, what is no batch, or an entry of another kind of number.

    """

    def __init__(self) -> None:
        super().__init__()
        self._verdicts = Verdicts()
        self._looked_through: set[str] = set()
        self._cast_was_told = self._batch_comes = False

    @abstractmethod
    def contract(self) -> Contract:
        """Return the requirements on a batch."""

    def least_batch(self, training: bool) -> int:
        """Return the number of observations of the smallest batch that the model can work on.

        Args:
            training: whether it is to learn from it.

        """
        parts = list(self.modules())[1:]
        compares = training and any(isinstance(part, _COMPARING) for part in parts)
        return max([1 + compares, *(getattr(part, "least_batch", 1) for part in parts)])

    def read_verdicts(self) -> None:
        """Read the checks of batches on an accelerator since the last call, waiting for it; others are checked already.

        Raises:
            ValueError: a value of one of them is none that the model can learn from.

        """
        self._verdicts.read()

    # before any batch

    def on_fit_start(self) -> None:
        """Check the observations that an lsgen data module holds in memory, before the first step."""
        self._verdicts.forget()
        self._looked_through.clear()
        self._look_through_data()

    def on_train_start(self) -> None:
        """Refuse loaders without a batch, or that are bound to make one which is too small."""
        require_validation_batches(self.trainer)
        self._look_through_data()  # at splits that were built since, for a test at the end
        self._check_batch_sizes(self.trainer.train_dataloader, "training")
        self._check_batch_sizes(self.trainer.val_dataloaders, "validation")

    def on_fit_end(self) -> None:
        """Refuse a fit without a batch, which Lightning ends as if it had trained."""
        if self.trainer.fit_loop.max_batches == 0:
            raise ValueError(f"{self._contract.owner} expected at least one batch to train on, got none")

    def on_validation_start(self) -> None:
        """Refuse loaders that are bound to make a batch which is too small."""
        self._check_batch_sizes(self.trainer.val_dataloaders, "validation")

    def on_test_start(self) -> None:
        """Refuse loaders that are bound to make a batch which is too small."""
        self._check_batch_sizes(self.trainer.test_dataloaders, "test")

    # every batch

    def _on_before_batch_transfer(self, batch: Any, dataloader_idx: int = 0) -> Any:
        """Bring a batch into one form on the host, and check its labels there."""
        batch = super()._on_before_batch_transfer(batch, dataloader_idx)
        if not self._takes_batches():
            return batch
        taken = self._contract.take(batch, self._weights_dtype)
        if taken is not batch and not self._cast_was_told and "x" in (entries := self._contract.entries(batch)):
            came, kept = entries["x"].dtype, taken["x"].dtype
            if came != kept:
                self._cast_was_told = True
                scaled = came == torch.uint8 and takes_greys(self._contract.observations)
                how = ", scaled from 0-255 to [0, 1]" if scaled else ""
                rank_zero_warn(f"The batches are of {came}: they are cast to {kept}{how}.")
        labels = self._contract.labels
        if labels is not None and on_host(taken["label"]) and not bool(labels.allows(taken["label"])):
            self._verdicts.add(self._place(), [ValueCheck(labels, taken["label"])])
        if self._contract.packing is not None and "present" in taken and on_host(taken["present"]):
            taken = self._complete(taken)
        self._batch_comes = True
        return taken

    def _apply_batch_transfer_handler(
        self, batch: Any, device: torch.device | None = None, dataloader_idx: int = 0
    ) -> Any:
        """Check a batch of a loop after its transfer to the device; example inputs are not checked."""
        batch, comes = super()._apply_batch_transfer_handler(batch, device, dataloader_idx), self._batch_comes
        self._batch_comes = False
        if comes:
            self._judge(batch)
        return batch

    # where verdicts are read, and streams have come to their end

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Read the verdicts where a row is logged."""
        if is_read_after(self.trainer, batch_idx):
            self.read_verdicts()

    def on_train_epoch_end(self) -> None:
        """Read the verdicts."""
        self._require_batches()
        self.read_verdicts()

    def on_validation_epoch_end(self) -> None:
        """Read the verdicts, before results of the validation are used."""
        self._require_batches()
        self.read_verdicts()

    def on_test_epoch_end(self) -> None:
        """Read the verdicts."""
        self._require_batches()
        self.read_verdicts()

    def on_predict_epoch_end(self) -> None:
        """Read the verdicts."""
        self._require_batches()
        self.read_verdicts()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the verdicts, so that weights which learned from refused data are not saved."""
        self.read_verdicts()

    # how

    @property
    def _weights_dtype(self) -> torch.dtype:
        return cast(torch.dtype, self.dtype)

    @cached_property
    def _contract(self) -> Contract:
        return self.contract()

    @cached_property
    def _least(self) -> dict[bool, int]:
        return {training: self.least_batch(training) for training in (False, True)}

    def _check_batch_sizes(self, loaders: Any, split: str) -> None:
        check_batch_sizes(loaders, self._least[split == "training"], split, self._contract.owner)

    def _require_batches(self) -> None:
        """Refuse a loader of unknown length that gave no batch."""
        if not self._batches_so_far():
            raise ValueError(f"{self._contract.owner} expected at least one batch in {self._place().whole}, got none")

    def _look_through_data(self) -> None:
        stored = getattr(self.trainer.datamodule, "stored", None)  # type: ignore[attr-defined]
        found = stored(self._looked_through) if callable(stored) else ()
        for split, first, batch in found:
            taken = self._contract.take(batch, self._weights_dtype)
            if not self._is_allowed(taken):
                self._verdicts.add(Place(split, first=first), self._contract.value_checks(taken))
            self._looked_through.add(split)

    def _takes_batches(self) -> bool:
        """Return whether the batches of the current loop are observations."""
        return True

    def _judge(self, batch: Batch) -> None:
        """Refuse a batch that is too small, has another form, or holds wrong values."""
        self._contract.check(batch, self._weights_dtype)
        size, least = len(batch["x"]), self._least[self.training]
        if size < least:
            name, place = self._contract.owner, self._place()
            raise ValueError(f"{name} expected batches of at least {least} observations, got {size} in {place}")
        if not self._is_allowed(batch):
            self._verdicts.add(self._place(), self._contract.value_checks(batch))

    def _complete(self, batch: Batch) -> Batch:
        """Return a batch without its mask of modalities where all are present; in training some may be missing."""
        if self._contract.complete(batch):
            return {name: value for name, value in batch.items() if name != "present"}
        if self._contract.partial and self.trainer.state.stage == RunningStage.TRAINING:
            return batch
        when = " outside of training" if self._contract.partial else ""
        lacking = int(batch["present"].all(-1).logical_not().sum())
        raise ValueError(
            f"{self._contract.owner} expected whole observations{when}, "
            f"got {lacking} of {len(batch['x'])} that lack a modality in {self._place()}"
        )

    def _is_allowed(self, batch: Batch) -> bool:
        """Return whether all values are allowed, for a batch on the host; False for one on a device."""
        return on_host(batch["x"]) and self._contract.allows(batch)

    def _place(self) -> Place:
        """Return the place of the next batch."""
        stage = self.trainer.state.stage
        split = "train" if stage is None else str(stage.dataloader_prefix)
        return Place(split, self._batches_so_far(), self.trainer.current_epoch if split == "train" else None)

    def _batches_so_far(self) -> int:
        """Return the number of batches that the current loop has had in this epoch."""
        trainer, stage, inside = self.trainer, self.trainer.state.stage, self.trainer.fit_loop.epoch_loop
        loop: Any = inside
        if stage == RunningStage.PREDICTING:
            loop = trainer.predict_loop
        elif trainer.state.fn != TrainerFn.FITTING:
            loop = trainer.test_loop if stage == RunningStage.TESTING else trainer.validate_loop
        elif stage != RunningStage.TRAINING:
            loop = inside.val_loop
        return int(loop.batch_progress.current.ready)
