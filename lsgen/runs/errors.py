"""Errors of run directories."""

from __future__ import annotations

__all__ = ["RunError"]


class RunError(Exception):
    """A run directory is missing, taken, unwritable, in use or damaged; the message is one sentence."""
