"""A console whose output may be closed, as by `head`."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from rich.console import Console

__all__ = ["Terminal"]


class Terminal(Console):
    """A console that raises once when its output is closed, and is silent from then on.

    Rich itself would end the program, in the middle of training too.

    Raises:
        BrokenPipeError: with a print, what it writes to is closed at the other end.

    """

    def on_broken_pipe(self) -> None:
        """Write nowhere from here on."""
        self.quiet = True
        if self.file is sys.stdout:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more")
