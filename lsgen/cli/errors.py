"""Errors of the command line, which end it with one sentence and an exit code."""

from __future__ import annotations

import sys

__all__ = ["BAD_INPUT", "FAILURE", "INTERRUPTED", "OK", "UsageError", "complain"]

OK, FAILURE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """The user asked for something that is not possible; the message is one sentence."""


def complain(error: BaseException) -> int:
    """Print an error as one sentence on standard error and return the exit code of bad input."""
    print(f"lsgen: {' '.join(str(error).split())}", file=sys.stderr)
    return BAD_INPUT
