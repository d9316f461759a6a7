"""Packages that extras install: one sentence says which where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["from_extra"]


@contextmanager
def from_extra(extra: str, need: str) -> Iterator[None]:
    """Say which extra installs a package where importing it fails.

    Args:
        extra: the name of the extra.
        need: who needs which package, such as "a flow needs zuko".

    Raises:
        ImportError: the package is not installed.

    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{need}: pip install 'lsgen[{extra}]'") from error
