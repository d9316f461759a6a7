"""What the command line answers to bad input."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(Exception):
    """The user asked for something that cannot be; the message is one sentence."""
