"""Check for held-out data before the first step of a run."""

from __future__ import annotations

from typing import Literal

from lightning_fabric.utilities.data import sized_len
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.utilities.combined_loader import CombinedLoader
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.seed import isolate_rng

__all__ = ["HeldOutCheck", "check_split"]


class HeldOutCheck(Callback):
    """Checks, when training starts, that the data have the splits that validation and test need.

    Raises:
        ValueError: there is no batch to measure on, or no step that measures.

    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check both splits; a validation that is switched off is left out."""
        data: LightningDataModule = trainer.datamodule  # type: ignore[attr-defined]
        limits = {"val": trainer.limit_val_batches, "test": trainer.limit_test_batches}
        for split, step in (("val", "validation_step"), ("test", "test_step")):
            limit = limits[split]
            if split == "val" and limit == 0:
                continue
            if not is_overridden(step, pl_module):
                raise ValueError(f"{type(pl_module).__name__} has no {step} to be measured with; {_REMEDY}")
            try:
                check_split(data, "val" if split == "val" else "test", limit)
            except ValueError as error:
                raise ValueError(f"{error}; {_REMEDY}") from error


_REMEDY = "test=false trains without measuring on the validation and test sets at the end"


def check_split(data: LightningDataModule, split: Literal["val", "test"], limit: float | None = None) -> None:
    """Raise if a split has no batch; the random numbers of training are not affected.

    Args:
        data: the data, prepared; they are set up for the split.
        split: which one.
        limit: batches, as an int, or the fraction of all batches, as a float, that will be looked at; all where None.

    Raises:
        ValueError: there is no such split, or no batch in it or in the part that will be looked at.

    """
    name = type(data).__name__
    if limit == 0:
        raise ValueError(f"expected trainer.limit_{split}_batches above 0, got 0, which leaves no {split} batch")
    if not is_overridden(f"{split}_dataloader", data, LightningDataModule):
        raise ValueError(f"expected a {split} set, and {name} has no {split}_dataloader")
    with isolate_rng():
        data.setup("validate" if split == "val" else "test")
        loaders = CombinedLoader(getattr(data, f"{split}_dataloader")(), "sequential").flattened
    for loader in loaders:
        batches = sized_len(loader)
        if batches == 0:
            raise ValueError(f"expected at least one batch in the {split} set of {name}, got none")
        if batches is not None and isinstance(limit, float) and int(batches * limit) == 0:
            raise ValueError(
                f"expected trainer.limit_{split}_batches to leave a batch of the {batches} in the {split} set of "
                f"{name}, got {limit}"
            )
