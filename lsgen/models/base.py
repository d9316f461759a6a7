"""The contract of every model: a Lightning module with a latent space and two clocks of its own.

Lightning's `global_step` counts the steps of all optimisers, so it runs at another speed for every model.
`generator_steps` counts updates of what generates, `images_seen` counts observations over all processes;
both are saved in the checkpoint, schedules and `max_steps` are expressed in them, and they are the x axis
of every log.

Every batch, of training, validation and test, is judged when it comes: see `lsgen.models.contract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from lsgen.latent import LatentSpace
from lsgen.models.compiled import name_plainly
from lsgen.models.contract import Contract
from lsgen.models.loaders import check_batch_sizes
from lsgen.models.losses import Losses
from lsgen.models.verdicts import Place, Verdicts
from lsgen.nn.critics import MinibatchStd

__all__ = ["Batch", "LatentModel", "OptimizerFactory"]

Batch = Mapping[str, Tensor]
OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], Optimizer]

_COMPARING = (_BatchNorm, MinibatchStd)  # layers that in training compare the observations of a batch
_READ_EVERY = 50


class LatentModel(LightningModule):
    """Abstract Lightning module with a `latent_space`.

    Args:
        latent_space: what the model learns.
        max_steps: generator steps after which training stops; for ever where it is None.

    Attributes:
        precisions: values of `trainer.precision` under which the model trains; weights stay in single or double.
        generator_steps: updates of what generates, so far.
        images_seen: observations seen in training, over all processes.
        last_losses: the terms of the current training batch, which tell what a loss is made of.

    Raises:
        ValueError: max_steps is not positive; at the start of training, another precision; with any batch, data that
            the model cannot learn from, or fewer observations than it needs.
        TypeError: with any batch, what is no batch.

    """

    precisions: ClassVar[tuple[str, ...]] = ("32-true", "64-true", "16-mixed", "bf16-mixed")

    def __init__(self, latent_space: LatentSpace, max_steps: int | None = None) -> None:
        super().__init__()
        name_plainly(self)
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"expected model.max_steps of at least 1 generator step, got {max_steps}")
        self.latent_space = latent_space
        self.max_steps = max_steps
        self.generator_steps = 0
        self.images_seen = 0
        self.last_losses: Losses | None = None
        self._verdicts = Verdicts()
        self._told = False

    def contract(self) -> Contract:
        """Return what a batch must be."""
        return Contract(type(self).__name__, self.latent_space.likelihood)

    def least_batch(self, training: bool) -> int:
        """Return the number of observations of the smallest batch that the model can work on.

        Args:
            training: whether it is to learn from it.

        """
        parts = list(self.modules())[1:]
        compares = training and any(isinstance(part, _COMPARING) for part in parts)
        return max([1 + compares, *(getattr(part, "least_batch", 1) for part in parts)])

    def tick(self, observations: int) -> None:
        """Advance the clocks by one generator step and ask the trainer to stop once `max_steps` is reached.

        Args:
            observations: observations that this process saw in the step.

        """
        self.generator_steps += 1
        self.images_seen += observations * self.trainer.world_size
        self._stop_at_limit()

    def on_fit_start(self) -> None:
        """Refuse what cannot be trained on, as far as it can be known; train no further once the step limit is reached.

        Whatever tries out training before this is called, such as Lightning's tuners, can do without.
        """
        precision, name = str(self.trainer.precision), type(self).__name__
        if precision not in self.precisions:
            raise ValueError(f"{name} expected trainer.precision of {' or '.join(self.precisions)}, got {precision}")
        self._verdicts.forget()
        self._look_through_data()
        self._stop_at_limit()

    def on_train_start(self) -> None:
        """Refuse loaders that are bound to make a batch which is too small."""
        self._check_batch_sizes(self.trainer.train_dataloader, "training", training=True)
        self._check_batch_sizes(self.trainer.val_dataloaders, "validation")

    def on_validation_start(self) -> None:
        """Refuse loaders that are bound to make a batch which is too small."""
        self._check_batch_sizes(self.trainer.val_dataloaders, "validation")

    def on_test_start(self) -> None:
        """Refuse loaders that are bound to make a batch which is too small."""
        self._check_batch_sizes(self.trainer.test_dataloaders, "test")

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Take a batch in, on the host; wrong labels would end the work of an accelerator without a word.

        Raises:
            TypeError: it is nothing that can be taken for a batch.
            ValueError: entries or their shapes are wrong, or labels that are on the host.

        """
        taken = self._contract.take(batch, self._weights_dtype)
        if isinstance(batch, Mapping) and batch["x"].dtype != self.dtype and not self._told:
            self._told = True
            rank_zero_warn(
                f'The batches hold "x" of {batch["x"].dtype}: it is cast to {self.dtype}, as the weights are.'
            )
        if taken.get("label", taken["x"]).device.type == "cpu":
            self._verdicts.add(self._place("a batch"), self._contract.label_evidence(taken))
        return taken

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Judge the batch."""
        self._judge(batch, batch_idx)

    def on_validation_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Judge the batch."""
        self._judge(batch, batch_idx)

    def on_test_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Judge the batch."""
        self._judge(batch, batch_idx)

    def on_predict_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Judge the batch."""
        self._judge(batch, batch_idx)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Read the verdicts where a row is logged."""
        every: int = self.trainer.log_every_n_steps or _READ_EVERY  # type: ignore[attr-defined]
        if (batch_idx + 1) % every == 0:
            self.read_verdicts()

    def on_train_epoch_end(self) -> None:
        """Read the verdicts."""
        self.read_verdicts()

    def on_validation_epoch_end(self) -> None:
        """Read the verdicts, before anything is made of the validation."""
        self.read_verdicts()

    def on_test_epoch_end(self) -> None:
        """Read the verdicts."""
        self.read_verdicts()

    def on_predict_epoch_end(self) -> None:
        """Read the verdicts."""
        self.read_verdicts()

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return what the model makes of observations."""
        return self(batch["x"])

    def read_verdicts(self) -> None:
        """Judge the batches that came since this was called last: those on an accelerator, which it waits for.

        Raises:
            ValueError: a value of one of them is none that the model can learn from.

        """
        self._verdicts.read()

    @property
    def _weights_dtype(self) -> torch.dtype:
        return cast(torch.dtype, self.dtype)

    @cached_property
    def _contract(self) -> Contract:
        return self.contract()

    def _place(self, words: str, first: int = 0) -> Place:
        """Return the place of observations in the split at hand."""
        stage = self.trainer.state.stage
        split = "train" if stage is None else stage.dataloader_prefix
        epoch = f", epoch {self.trainer.current_epoch}" if split == "train" else ""
        return Place(f"{words} of the {split} split{epoch}", first, split == "train")

    def _judge(self, batch: Batch, batch_idx: int) -> None:
        """Refuse a batch that is too small or holds wrong values, at once or when verdicts are read."""
        self._contract.check(batch, self._weights_dtype)
        least = self._least[self.training]
        if len(batch["x"]) < least:
            raise ValueError(
                f"{self._contract.owner} expected batches of at least {least} observations, got {len(batch['x'])} in "
                f"{self._place(f'batch {batch_idx}').words}"
            )
        self._verdicts.add(self._place(f"batch {batch_idx}"), self._contract.evidence(batch))

    @cached_property
    def _least(self) -> dict[bool, int]:
        return {training: self.least_batch(training) for training in (False, True)}

    def _check_batch_sizes(self, loaders: Any, split: str, training: bool = False) -> None:
        check_batch_sizes(loaders, self._least[training], split, self._contract.owner)

    def _look_through_data(self) -> None:
        """Judge what a data module holds in memory, before the first step."""
        stored = getattr(self.trainer.datamodule, "stored", None)  # type: ignore[attr-defined]
        for split, first, batch in stored() if callable(stored) else ():
            taken = self._contract.take(batch, self._weights_dtype)
            self._verdicts.add(Place(f"the {split} split", first), self._contract.evidence(taken))

    def _stop_at_limit(self) -> None:
        if self.max_steps is not None and self.generator_steps >= self.max_steps:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks, unless what the weights learned from is refused."""
        self.read_verdicts()
        checkpoint["clocks"] = {"generator_steps": self.generator_steps, "images_seen": self.images_seen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks."""
        clocks = checkpoint["clocks"]
        self.generator_steps, self.images_seen = clocks["generator_steps"], clocks["images_seen"]
