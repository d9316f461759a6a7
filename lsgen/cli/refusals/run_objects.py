"""The objects of a run, as its config describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule, LightningModule, Trainer

__all__ = ["RunObjects"]


@dataclass(frozen=True)
class RunObjects:
    """The objects that a config describes, with callbacks and loggers by the names they have in it."""

    data: LightningDataModule
    model: LightningModule
    callbacks: Mapping[str, Any]
    loggers: Mapping[str, Any]
    trainer: Trainer
