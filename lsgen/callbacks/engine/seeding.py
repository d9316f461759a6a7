"""Seeds that depend on the place in the run only, so that a resumed run draws the same random numbers."""

from __future__ import annotations

import random
import struct
from contextlib import ExitStack
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.seed import isolate_rng

__all__ = ["Seeding", "derive_seed", "seed_everywhere"]

_TRAIN, _VAL, _TEST, _PREDICT = range(4)


class Seeding(Callback):
    """Seeds torch, numpy and Python before every batch.

    A training batch is seeded by (seed, rank, epoch, batch), so nothing depends on what validation or other
    callbacks drew before it. A validation, test or prediction batch is seeded by (seed, rank, stage, loader,
    batch): every validation draws the same noise, so its values compare between epochs and come out the same
    when they are computed again; the generators are as they were when it ends.

    Args:
        seed: any integer from 0 to 2^63 - 1; 0 is a seed like any other.

    Raises:
        TypeError: seed is not an integer.
        ValueError: seed is out of range.

    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"expected an integer seed, got {type(seed).__name__} {seed!r}")
        if not 0 <= seed < 2**63:
            raise ValueError(f"expected a seed from 0 to 2^63 - 1, got {seed}")
        self.seed = seed
        self._evaluation = ExitStack()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed a training batch."""
        self._seed(trainer, _TRAIN, trainer.current_epoch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the states of the random number generators."""
        self._set_aside()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Seed a validation batch."""
        self._seed(trainer, _VAL, dataloader_idx, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the states of the random number generators."""
        self._evaluation.close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the states of the random number generators."""
        self._set_aside()

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Seed a test batch."""
        self._seed(trainer, _TEST, dataloader_idx, batch_idx)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the states of the random number generators."""
        self._evaluation.close()

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Seed a prediction batch."""
        self._seed(trainer, _PREDICT, dataloader_idx, batch_idx)

    def _seed(self, trainer: Trainer, stage: int, *place: int) -> None:
        seed_everywhere(derive_seed(self.seed, trainer.global_rank, stage, *place))

    def _set_aside(self) -> None:
        self._evaluation.close()
        self._evaluation.enter_context(isolate_rng())


def derive_seed(*numbers: int) -> int:
    """Return a 63-bit seed that depends on every one of the given integers and on their order."""
    return int.from_bytes(blake2b(struct.pack(f"<{len(numbers)}q", *numbers), digest_size=8).digest(), "little") >> 1


def seed_everywhere(seed: int) -> None:
    """Seed Python, numpy and torch on every device in use.

    `torch.manual_seed` would do for torch, but on a machine without an accelerator it formats a stack trace for
    CUDA each time, at 0.1 ms a call.
    """
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 (the global generator is the one to make reproducible)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
