"""Callbacks that draw, measure or show something and do not affect training.

An exception in one of their hooks is counted among the problems of the run and ends nothing. Before the first step it
ends the run all the same: what is refused there costs nothing. The callbacks that are part of training, such as
seeding, the check of the loss, the moving average of a generator and the checkpoint, are no observers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from pytorch_lightning import Callback, LightningModule, Trainer

from lsgen.callbacks.engine.problems import problems_of

__all__ = ["Observer"]

_BEFORE_TRAINING = {"on_fit_start", "on_train_start", "on_sanity_check_start", "on_sanity_check_end"}
_STATE = {"on_save_checkpoint", "on_load_checkpoint"}
_HOOKS = {name for name in vars(Callback) if name.startswith("on_")} - _BEFORE_TRAINING - _STATE | {"teardown"}


class Observer(Callback):
    """A callback whose failures do not end training.

    Attributes:
        collective: whether its hooks exchange numbers between processes. Where there are several, its failure in one
            of them ends training, as the others would wait for it for ever.
        of_evidence: whether it logs only for models that bound the evidence.
        judges: whether `lsgen evaluate` takes it along, as what it logs are numbers of a model that is trained.

    """

    collective: ClassVar[bool] = False
    of_evidence: ClassVar[bool] = False
    judges: ClassVar[bool] = False
    _inside: bool = False

    def at_least(self, least: int, **counts: int | None) -> None:
        """Check counts among the options; one that is None is not bounded.

        Raises:
            ValueError: a count is below `least`.

        """
        for name, value in counts.items():
            if value is not None and value < least:
                raise ValueError(f"{type(self).__name__} expected {name} of at least {least}, got {value}")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _HOOKS & vars(cls).keys():
            setattr(cls, name, _tolerant(vars(cls)[name]))


def _tolerant(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook whose exceptions, also those of the base class's hook, are recorded as problems."""

    @wraps(hook)
    def tolerant(self: Observer, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> Any:
        if self._inside:
            return hook(self, trainer, pl_module, *args, **kwargs)
        self._inside = True
        try:
            return hook(self, trainer, pl_module, *args, **kwargs)
        except Exception as error:
            if self.collective and trainer.world_size > 1:
                raise
            problems_of(trainer).add(type(self).__name__, error)
        finally:
            self._inside = False
        return None

    return tolerant
