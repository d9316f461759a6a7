"""Options of a model that travel together, as a dataclass or as a mapping of some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["options_of"]

Options = TypeVar("Options")


def options_of(kind: type[Options], given: Options | Mapping[str, Any], name: str) -> Options:
    """Return the options that a model is given.

    Args:
        kind: the dataclass.
        given: an instance of it, or a mapping of some of its attributes.
        name: of the options, for the sentence.

    Raises:
        ValueError: they are neither, there is no such option, or it is out of its range.

    """
    if isinstance(given, kind):
        return given
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        raise ValueError(f"expected {name} to be a mapping with some of {', '.join(known)}, got {given!r}")
    return kind(**given)
