"""Type checks of config values against the annotations of the constructors that take them.

An annotation is read as its author wrote it: `int` takes whole numbers and no `1e2`, `float` takes whole numbers too,
neither takes `true`, text or null, and a sequence takes a list whose items fit. Of a class that is built from a
mapping with `_target_` only that is asked. What a default takes against its own annotation, a value of its kind
may too. What a function will return is not judged, nor is what the annotation of a library does not say.
"""

from __future__ import annotations

import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Literal, Union, get_args, get_origin

from lsgen.cli.config.targets import resolve
from lsgen.cli.errors import UsageError

__all__ = ["check_values", "options_class"]

_SEQUENCES = {list, tuple, Sequence, Iterable, typing.Collection, set, frozenset}
_HOMES = ("lsgen", "torch", "pytorch_lightning", "datetime")
_MADE_OF: dict[str, tuple[type, ...]] = {
    "Tensor": (int, float, list),
    "Parameter": (int, float, list),
    "ModuleList": (list,),
    "ModuleDict": (dict,),
}
_WORDS = {
    int: "a whole number (int)",
    float: "a number (float)",
    bool: "true or false",
    str: "text",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
    Mapping: "a mapping",
    Path: "a path",
}


def check_values(key: str, found: Any, values: Mapping[str, Any]) -> None:
    """Refuse values that the constructor's annotations do not admit.

    Args:
        key: the dotted key of the mapping.
        found: the class or function that takes the values.
        values: by name; those that `found` does not name are passed over.

    Raises:
        UsageError: the first value of another type, with the type that was expected.

    """
    parameters = inspect.signature(found).parameters
    for name, value in values.items():
        if name not in parameters or parameters[name].annotation is inspect.Parameter.empty:
            continue
        annotation = _annotation_of(found, parameters[name])
        fault = _fault(value, annotation, f"{key}.{name}")
        if fault is not None and not _contradicts(parameters[name].default, annotation, type(value)):
            raise UsageError(fault)


def options_class(found: Any, parameter: inspect.Parameter) -> type | None:
    """Return the options dataclass that a parameter takes (optionally null); None if it takes something else."""
    kinds = [kind for kind in _choices(_annotation_of(found, parameter)) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 and inspect.isclass(kinds[0]) and is_dataclass(kinds[0]) else None


def _annotation_of(found: Any, parameter: inspect.Parameter) -> Any:
    known = getattr(found.__init__ if inspect.isclass(found) else found, "__globals__", {})
    home = vars(sys.modules[found.__module__]) if found.__module__ in sys.modules else {}
    return _evaluated(parameter.annotation, {**home, **known})


def _contradicts(default: Any, annotation: Any, kind: type) -> bool:
    """Return whether a default has the given type and contradicts its own annotation, such as `x: int = None`."""
    plain = list(default) if isinstance(default, tuple) else default
    return type(plain) is kind and _fault(plain, annotation, "") is not None


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """Return an annotation as types; `Any` if only a type checker can resolve its names."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))
    except Exception:  # noqa: BLE001 (an annotation that means nothing at run time judges nothing)
        return Any


def _fault(value: Any, annotation: Any, key: str) -> str | None:
    """Return a sentence if a value does not fit; None if it does, or if that cannot be decided."""
    choices = _choices(annotation)
    if not choices or any(_fits(value, choice) for choice in choices):
        return None
    for choice in choices:  # a list of the right kind whose items are wrong says which
        if isinstance(value, list) and _kind(choice) in _SEQUENCES and len(choices) <= 2:
            for place, (item, kind) in enumerate(_items(value, choice)):
                if (fault := _fault(item, kind, f"{key}[{place}]")) is not None:
                    return fault
    return f"expected {key} to be {_described(choices)}, got {_shown(value)}{_advice(value, choices, key)}"


def _choices(annotation: Any) -> list[Any]:
    """Return the members of a union; an empty list if any value is admitted."""
    if annotation is None:
        return [type(None)]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [_choices(member) for member in get_args(annotation)]
        return [] if any(not one for one in members) else [choice for one in members for choice in one]
    if isinstance(annotation, str | typing.TypeVar | typing.ForwardRef) or annotation is Any or annotation is object:
        return []
    if get_origin(annotation) is typing.Annotated:
        return _choices(get_args(annotation)[0])
    return [annotation]


def _fits(value: Any, annotation: Any) -> bool:
    kind = _kind(annotation)
    if isinstance(value, Mapping) and ("_target_" in value or "_partial_" in value):
        return kind not in (Literal, bool, int, float, str, type(None)) or _is_returned(value)
    if kind is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(annotation))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (bool, int, str, type(None)):
        return type(value) is kind
    if kind in _SEQUENCES:
        return (
            isinstance(value, list)
            and _right_length(value, annotation)
            and all(_fault(item, choice, "") is None for item, choice in _items(value, annotation))
        )
    if inspect.isclass(kind) and issubclass(kind, Mapping | dict):
        return isinstance(value, Mapping)
    if inspect.isclass(kind) and issubclass(kind, PurePath | os.PathLike):
        return isinstance(value, str)
    return not _is_built(kind) or (isinstance(value, _MADE_OF.get(kind.__name__, ())) and not isinstance(value, bool))


def _is_returned(node: Mapping[str, Any]) -> bool:
    """Return whether a value is the result of a function, which may return anything."""
    try:
        return not node.get("_partial_") and not inspect.isclass(resolve("", node))
    except UsageError:
        return True  # which is said where that mapping itself is checked


def _kind(annotation: Any) -> Any:
    return get_origin(annotation) or annotation


def _right_length(value: Sequence[Any], annotation: Any) -> bool:
    members = get_args(annotation)
    return get_origin(annotation) is not tuple or Ellipsis in members or not members or len(value) == len(members)


def _items(value: Sequence[Any], annotation: Any) -> list[tuple[Any, Any]]:
    """Return every item of a list with its expected type."""
    members = get_args(annotation)
    if get_origin(annotation) is tuple and Ellipsis not in members:
        return list(zip(value, members, strict=False))
    return [(item, members[0] if members else Any) for item in value]


def _is_built(kind: Any) -> bool:
    """Return whether only a mapping with `_target_` can produce a value of this type."""
    if kind is Callable:
        return True
    home = getattr(kind, "__module__", "").split(".")[0]
    known = inspect.isclass(kind) and home in _HOMES and kind.__name__ not in ("dtype", "device")
    return known and not issubclass(kind, Sequence | Enum)


def _described(choices: Sequence[Any]) -> str:
    words: list[str] = []
    for choice in choices:
        kind = _kind(choice)
        if kind is Literal:
            words += [_shown(each) for each in get_args(choice)]
        elif kind in _SEQUENCES:
            words.append(_of_items(choice))
        elif _is_built(kind):
            words.append("" if kind.__name__ == "Tensor" else f"a mapping with _target_ ({kind.__name__})")
        else:
            words.append(_WORDS.get(kind, getattr(kind, "__name__", str(kind))))
    words = list(dict.fromkeys(filter(None, words))) or ["a mapping with _target_"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _of_items(annotation: Any) -> str:
    members = get_args(annotation)
    if get_origin(annotation) is tuple and members and Ellipsis not in members:
        return f"a list of {len(members)} items"
    names = {int: "whole numbers", float: "numbers", str: "text", bool: "true and false"}
    return f"a list of {names[members[0]]}" if members and members[0] in names else "a list"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value!r} (float)" if isinstance(value, float) else repr(value)


def _advice(value: Any, choices: Sequence[Any], key: str) -> str:
    """Return advice on what to write instead, if the value suggests it."""
    kinds = [_kind(choice) for choice in choices]
    if isinstance(value, float) and int in kinds and float(value).is_integer():
        return f": write {int(value)}"
    if type(value) in (int, float, bool) and str in kinds:
        return f": for text, write {key}=\"'{_shown(value).removesuffix(' (float)')}'\""
    if type(value) in (int, float, str) and any(kind in _SEQUENCES for kind in kinds):
        return f": write [{value}]"
    return ""
