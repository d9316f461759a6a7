"""Where the libraries' messages go during a run: all of them into train.log, warnings on standard error too."""

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
)


@contextmanager
def messages(file: Path | None) -> Iterator[None]:
    """Log into `file` (INFO and above) and on standard error (warnings) inside; as before afterwards.

    Args:
        file: appended to; None where only standard error is wanted.

    """
    root = logging.getLogger()
    former_handlers, former_level = root.handlers[:], root.level
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


def _file(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _console() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.addFilter(_matters)
    handler.setFormatter(_Short("%(levelname)s: %(message)s"))
    return handler


def _matters(record: logging.LogRecord) -> bool:
    """Leave what was logged for the file alone off the screen."""
    return not getattr(record, "file_only", False)


class _Short(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Give a Python warning as its text alone."""
        if record.name == "py.warnings":
            text = record.getMessage().split("Warning: ", 1)[-1]
            return f"warning: {text.splitlines()[0]}"
        return super().format(record).replace("WARNING: ", "warning: ", 1)
