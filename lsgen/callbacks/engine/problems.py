"""Failures of callbacks and loggers that do not end training.

Weights are worth more than pictures of them. A failing logger, or a failing `Observer`, is told in one sentence when it
first fails, and counted from then on; the counts are in the checkpoint, in the status of the run, in its summary and on
its page. A logger that keeps failing is asked again every time, as a full disk may have room again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from weakref import WeakKeyDictionary, ref

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from lsgen.callbacks.engine.clock import generator_steps
from lsgen.runs import Problem

__all__ = ["Problems", "problems_of", "protect_loggers", "report", "tolerant"]

_log = logging.getLogger(__name__)
_LOGGER_CALLS = ("log_metrics", "log_hyperparams", "log_graph", "save", "after_save_checkpoint", "continue_from")
_LAST_CALLS = ("finalize", "close")
_LONGEST = 500  # characters of an error


class Problems:
    """The failures of callbacks and loggers of one trainer, by who failed and the kind of error.

    Args:
        trainer: whose module tells the time.

    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = ref(trainer)
        self._known: dict[tuple[str, str], Problem] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._known.values())

    def add(self, who: str, error: Exception, told: bool = False) -> None:
        """Count a failure, and report it if it is the first of its kind."""
        kind, step = (who, type(error).__name__), self._step()
        if (known := self._known.get(kind)) is not None:
            known.count, known.last_step = known.count + 1, step
            return
        words = " ".join(str(error).split())[:_LONGEST]
        what = f"{kind[1]}: {words}" if words else kind[1]
        self._known[kind] = Problem(who, what, step, step)
        if not told:
            _log.warning("%s failed after %d generator steps, and the run goes on: %s", who, step, what)
            _log.info("%s failed", who, exc_info=error)

    def records(self) -> list[dict[str, Any]]:
        """Return one plain mapping for each kind of failure."""
        return [asdict(problem) for problem in self]

    def restore(self, records: list[dict[str, Any]]) -> None:
        """Restore what `records` returned."""
        problems = [Problem(**record) for record in records]
        self._known = {(problem.who, problem.what.partition(":")[0]): problem for problem in problems}

    def _step(self) -> int:
        trainer = self._trainer()
        module = None if trainer is None else trainer.lightning_module
        return 0 if trainer is None or module is None else generator_steps(trainer, module)


_BY_TRAINER: WeakKeyDictionary[Trainer, Problems] = WeakKeyDictionary()
_BY_LOGGER: WeakKeyDictionary[Logger, Problems] = WeakKeyDictionary()
_EARLY: WeakKeyDictionary[Logger, list[Exception]] = WeakKeyDictionary()  # before anything was bound to a trainer


def problems_of(trainer: Trainer) -> Problems:
    """Return the failures of the callbacks and loggers of a trainer."""
    if trainer not in _BY_TRAINER:
        _BY_TRAINER[trainer] = Problems(trainer)
    return _BY_TRAINER[trainer]


@contextmanager
def tolerant(logger: Logger) -> Iterator[None]:
    """Record an exception in the context as a problem of the logger if it is protected; raise it otherwise."""
    try:
        yield
    except Exception as error:
        if logger not in _BY_LOGGER:
            raise
        _BY_LOGGER[logger].add(type(logger).__name__, error)


def report(logger: Logger, error: Exception) -> None:
    """Report and count a failure that a logger has handled itself."""
    if logger in _BY_LOGGER:
        _BY_LOGGER[logger].add(type(logger).__name__, error)
    else:
        _log.warning("%s failed: %s", type(logger).__name__, " ".join(str(error).split()))
        _EARLY.setdefault(logger, []).append(error.with_traceback(None))


def protect_loggers(trainer: Trainer) -> None:
    """Protect training from exceptions of every logger of the trainer."""
    for logger in trainer.loggers:
        if logger not in _BY_LOGGER:
            for name in (*_LOGGER_CALLS, *_LAST_CALLS):
                if hasattr(logger, name):
                    setattr(logger, name, _protected(logger, getattr(logger, name)))
        _BY_LOGGER[logger] = problems_of(trainer)
        for error in _EARLY.pop(logger, []):
            _BY_LOGGER[logger].add(type(logger).__name__, error, told=True)


def _protected(logger: Logger, call: Callable[..., Any]) -> Callable[..., Any]:
    def protected(*args: Any, **kwargs: Any) -> Any:
        with tolerant(logger):
            return call(*args, **kwargs)

    return protected
