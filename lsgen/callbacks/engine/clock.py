"""The x axis of every log: generator steps.

Lightning's `global_step` counts the steps of all optimisers, so lsgen's models keep clocks of their own. A third
party's module has none; there `global_step` is the clock.
"""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning import LightningModule, Trainer

__all__ = ["Clocked", "bind_clock", "continue_loggers", "generator_steps", "images_seen"]


def generator_steps(trainer: Trainer, pl_module: LightningModule) -> int:
    """Return the completed generator steps of the module, or the trainer's `global_step` where it counts none."""
    return int(getattr(pl_module, "generator_steps", trainer.global_step))


def images_seen(pl_module: LightningModule) -> int | None:
    """Return the observations seen in training, over all processes; None where the module does not count them."""
    return getattr(pl_module, "images_seen", None)


class Clocked:
    """A logger whose rows carry generator steps, whoever logs them; a mixin before a Lightning logger."""

    clock: Callable[[], int] | None = None

    def now(self, step: int | None) -> int | None:
        """Return the generator step where a clock is bound, else the step that Lightning tells."""
        return step if self.clock is None else self.clock()

    def continue_from(self, step: int) -> None:
        """Prepare for rows after `step`; rows that an interrupted attempt logged beyond it will come again."""


def continue_loggers(trainer: Trainer, pl_module: LightningModule) -> None:
    """Tell every such logger, when training starts, after which generator step it continues."""
    bind_clock(trainer, pl_module)
    for logger in trainer.loggers:
        if isinstance(logger, Clocked):
            logger.continue_from(generator_steps(trainer, pl_module))


def bind_clock(trainer: Trainer, pl_module: LightningModule) -> None:
    """Have every logger that can log on the generator step do so."""
    for logger in trainer.loggers:
        if isinstance(logger, Clocked):
            logger.clock = lambda: generator_steps(trainer, pl_module)
