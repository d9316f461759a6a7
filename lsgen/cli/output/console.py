"""Messages of libraries during a run: all go into train.log, warnings to standard error too."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["messages"]

_HINTS = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*LeafSpec.*",
    ".*sync_dist=True.*",
    ".*`srun` command is available.*",
    ".*in eval mode at the start of training.*",  # a first stage, whose weights are given
)


_LIGHTNING = ("pytorch_lightning", "lightning_fabric")


@contextmanager
def messages(file: Path | None) -> Iterator[None]:
    """Log to `file` (INFO and above) and standard error (warnings) within the context.

    Lightning writes to standard error by itself if it was imported where nothing was logged; not so within the context.

    Args:
        file: appended to; None where only standard error is wanted.

    """
    root = logging.getLogger()
    former_handlers, former_level = root.handlers[:], root.level
    own = [(logger, logger.handlers, logger.propagate) for logger in map(logging.getLogger, _LIGHTNING)]
    for logger, _, _ in own:
        logger.handlers, logger.propagate = [], True
    root.handlers = [_console(), *([_file(file)] if file else [])]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            for hint in _HINTS:
                warnings.filterwarnings("ignore", message=hint)
            yield
    finally:
        logging.captureWarnings(False)
        for handler in root.handlers:
            handler.close()
        root.handlers, root.level = former_handlers, former_level
        for logger, handlers, propagate in own:
            logger.handlers, logger.propagate = handlers, propagate


def _file(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _console() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_for_screen)
    handler.setFormatter(_Short("%(levelname)s: %(message)s"))
    return handler


def _is_for_screen(record: logging.LogRecord) -> bool:
    """Return whether a record goes to the screen, as all do that are not meant for the file only."""
    return not getattr(record, "file_only", False)


class _Short(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Format a Python warning as its text alone."""
        if record.name == "py.warnings":
            text = record.getMessage().split("Warning: ", 1)[-1]
            return f"warning: {text.splitlines()[0]}"
        return super().format(record).replace("WARNING: ", "warning: ", 1)
