"""Plain containers read as frozen dataclasses, strictly: an unknown key or a wrong type is one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lsgen.runs import RunError

__all__ = ["read"]

T = TypeVar("T")


def read(kind: type[T], node: Any, where: str) -> T:
    """Return a dataclass made of a mapping of its fields.

    Args:
        kind: the dataclass; its fields are text, numbers, truth values, `Literal`, `None`, `Any`, tuples of one kind,
            mappings from text, dataclasses, and unions of these.
        node: plain containers.
        where: what the messages call it.

    Raises:
        RunError: a key is unknown or missing, a value is of another kind, or the dataclass refuses it.

    """
    result: T = _dataclass(kind, node, where)
    return result


def _dataclass(kind: Any, node: Any, where: str) -> Any:
    if not isinstance(node, Mapping):
        raise RunError(f"{where}: expected a mapping, got {node!r}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for key in node:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {close[0]}?" if close else f": expected {', '.join(known)}"
            raise RunError(f"{where}: unknown key {key!r}{hint}")
    lacking = [
        name
        for name, field in known.items()
        if name not in node and field.default is MISSING and field.default_factory is MISSING
    ]
    if lacking:
        raise RunError(f"{where}: expected {', '.join(lacking)}, got {', '.join(map(str, node)) or 'nothing'}")
    try:
        return kind(**{name: _value(hints[name], value, f"{where}: {name}") for name, value in node.items()})
    except ValueError as error:
        raise RunError(f"{where}: {error}") from error


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise RunError(f"{where}: expected one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise RunError(f"{where}: expected a list, got {value!r}")
        return tuple(_value(arguments[0], one, where) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise RunError(f"{where}: expected a mapping, got {value!r}")
        return {str(key): _value(arguments[1], one, f"{where}.{key}") for key, one in value.items()}
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    return _plain(kind, value, where)


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not NoneType]
    structured = [kind for kind in rest if is_dataclass(kind)]
    if isinstance(value, Mapping) and structured:
        return _dataclass(structured[0], value, where)
    return _value(next(kind for kind in rest if kind not in structured), value, where)


def _plain(kind: Any, value: Any, where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number:
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    raise RunError(f"{where}: expected {names.get(kind, kind)}, got {value!r}")
