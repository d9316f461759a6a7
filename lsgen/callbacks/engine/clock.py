"""The x axis of every log: generator steps.

Lightning's `global_step` counts the steps of all optimisers, so lsgen's models keep clocks of their own. A third
party's module has none; there `global_step` is the clock.
"""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning import LightningModule, Trainer

__all__ = ["Clocked", "bind_clock", "continue_loggers", "generator_steps", "images_seen"]


def generator_steps(trainer: Trainer, pl_module: LightningModule) -> int:
    """Return the completed generator steps of the module; the trainer's `global_step` if it counts none."""
    return int(getattr(pl_module, "generator_steps", trainer.global_step))


def images_seen(pl_module: LightningModule) -> int | None:
    """Return the observations seen in training, over all processes; None where the module does not count them."""
    return getattr(pl_module, "images_seen", None)


class Clocked:
    """Mixin for Lightning loggers whose rows carry generator steps, whoever logs them."""

    clock: Callable[[], int] | None = None

    def now(self, step: int | None) -> int | None:
        """Return the generator step if a clock is bound, else Lightning's step."""
        return step if self.clock is None else self.clock()

    def continue_from(self, step: int) -> None:
        """Prepare for rows after `step`; rows that an interrupted attempt logged beyond it will be logged again."""


def continue_loggers(trainer: Trainer, pl_module: LightningModule) -> None:
    """Tell every logger after which generator step it continues when training starts."""
    bind_clock(trainer, pl_module)
    for logger in trainer.loggers:
        if isinstance(logger, Clocked):
            logger.continue_from(generator_steps(trainer, pl_module))


def bind_clock(trainer: Trainer, pl_module: LightningModule) -> None:
    """Make every logger that supports it log against generator steps."""
    for logger in trainer.loggers:
        if isinstance(logger, Clocked):
            logger.clock = lambda: generator_steps(trainer, pl_module)
