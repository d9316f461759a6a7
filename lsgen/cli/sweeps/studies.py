"""The study of a search, as its sweeper and its trials open it; importing this imports neither Optuna nor PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsgen.cli.errors import UsageError

__all__ = ["OVERRIDES", "make_pruner", "open_storage"]

OVERRIDES = "lsgen:overrides"  # the attribute of a trial that says which job of the sweep it is


def open_storage(storage: str | None, sweep: Path) -> Any:
    """Return the storage of a search: the URL of a database, or the journal in the directory of the sweep."""
    import optuna.storages.journal

    if storage is not None:
        return storage
    sweep.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(os.fspath(sweep / "optuna.journal"))
    return optuna.storages.JournalStorage(backend)


def make_pruner(asked: str | Mapping[str, Any]) -> Any:
    """Return an Optuna pruner, given the name of its class, or that name as `kind` among its options.

    Raises:
        UsageError: there is no such class, or it refuses the options.

    """
    import optuna

    options = {"kind": asked} if isinstance(asked, str) else dict(asked)
    name = options.pop("kind", None)
    kind = getattr(optuna.pruners, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, optuna.pruners.BasePruner)):
        raise UsageError(f"expected hydra.sweeper.pruner to be a class of optuna.pruners, got {name!r}")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"hydra.sweeper.pruner={name} with its options: {error}") from error
