"""`lsgen train resume=PATH`: a run continues with its frozen config; nothing is composed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from typing import Any

from lsgen.cli.errors import OK, UsageError
from lsgen.cli.flags import assignments
from lsgen.runs import RunDirectory, flatten, now, redact

__all__ = ["resume"]

_ADMITTED = ("model.max_steps", "trainer.max_epochs", "trainer.devices")


def resume(path: str, arguments: Sequence[str]) -> int:
    """Continue a run and return the exit code.

    Args:
        path: its directory.
        arguments: changes `KEY=VALUE` of what a resumed run may change; they are recorded and stay.

    Raises:
        UsageError: something else is asked for.
        RunError: there is no run at `path`, it is being trained, or another series of versions made it.

    """
    directory = RunDirectory.open(path)
    directory.check_version()
    frozen = flatten(directory.config())
    known = frozen | directory.overrides()
    changes = {key: value for key, value in _parse(arguments, frozen).items() if known[key] != value}
    with directory.lock():
        pass
    if directory.status()["state"] == "finished" and not _extends(directory, changes):
        steps = directory.status().get("generator_steps", 0)
        print(f"finished {directory.path}: nothing is left to train (extend it with model.max_steps above {steps})")
        return OK
    if changes:
        _rehearse(directory, changes)
    directory.record_attempt(
        {
            "time": now(),
            "host": socket.gethostname(),
            "argv": [redact(argument) for argument in sys.argv],
            "overrides": changes,
        }
    )
    from lsgen.cli.task import execute

    return execute(directory)


def _rehearse(directory: RunDirectory, changes: dict[str, Any]) -> None:
    """Refuse changes that the run cannot continue with, while its status and its record are as they were.

    Raises:
        UsageError: the changed config is refused, as where a schedule of the learning rate ends before the last step.

    """
    from lsgen.cli.config.construction import verify
    from lsgen.cli.config.frozen_config import thaw
    from lsgen.cli.config.rehearsal import rehearse
    from lsgen.cli.task import run_variables

    with run_variables(directory, alone=False):
        config = thaw(directory.config(), directory.overrides() | changes)
        try:
            verify(config)
            rehearse(config.model)
        except UsageError as error:
            asked = " ".join(f"{key}={value}" for key, value in changes.items())
            raise UsageError(f"{directory.path} cannot continue with {asked}: {error}") from error


def _extends(directory: RunDirectory, changes: dict[str, Any]) -> bool:
    """Return whether the changes extend a finished run."""
    status = directory.status()
    steps, epochs = changes.get("model.max_steps", 0), changes.get("trainer.max_epochs", 0)
    more_steps = "model.max_steps" in changes and (steps is None or steps > status.get("generator_steps", 0))
    return more_steps or ("trainer.max_epochs" in changes and (epochs == -1 or epochs > status.get("epochs", 0)))


def _parse(arguments: Sequence[str], frozen: dict[str, Any]) -> dict[str, Any]:
    for argument in arguments:
        key = argument.partition("=")[0]
        if not (key in _ADMITTED or key.startswith("logger.")):
            raise UsageError(
                f"a resumed run keeps its frozen config, which {argument!r} would change: admitted are "
                f"{', '.join(_ADMITTED)} and logger.KEY"
            )
    changes = assignments(arguments, frozen)
    for key, least in (("model.max_steps", 1), ("trainer.max_epochs", -1)):
        if (value := changes.get(key)) is not None and (type(value) is not int or value < least):
            raise UsageError(f"expected a whole number of at least {least} for {key}, got {value!r}")
    return changes
