"""What the trace of a map depends on, beside its input: whom it belongs to, and what has to stay the same.

Attributes of modules and of the objects that they hold, closures, defaults, globals and the classes of the user's own
modules count by value; weights by their place in their module, so that they may be replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lsgen.geometry.compat import is_plain, is_wrapped

__all__ = ["identity", "reachable", "tensors_of", "unchanged"]

_EMPTY = CellType()
_PLAIN = (bool, int, float, complex, str, bytes, torch.dtype, torch.device)
_OPAQUE = frozenset({"builtins", "torch", "numpy", "weakref", "_weakref", "logging", "threading", "_thread"})
_FIXED = frozenset({"builtins", "torch", "abc", "typing", "lsgen", "pytorch_lightning"})
_identities: ContextVar[dict[int, Any] | None] = ContextVar("identities", default=None)


@contextmanager
def unchanged() -> Iterator[None]:
    """Take every map for unchanged within this block, so that what its traces depend on is looked at once."""
    if _identities.get() is not None:
        yield
        return
    token = _identities.set({})
    try:
        yield
    finally:
        _identities.reset(token)


def identity(fn: Any) -> tuple[Any, Any, Any, bool, bool]:
    """Return what a map belongs to, which of its maps it is, and the state that its traces depend on.

    The last two tell whether all its tensors are plain ones, and whether a transform follows any of them.
    """
    known = _identities.get()
    if known is not None and id(fn) in known:
        return known[id(fn)][1:]
    things = list(reachable(fn))
    weights = [t for module in things if isinstance(module, nn.Module) for _, t in tensors_of(module)]
    tensors = [*weights, *(x for x in things if isinstance(x, Tensor))]
    plain, wrapped = all(map(is_plain, tensors)), any(map(is_wrapped, tensors))
    found = (*_owner(fn), _mark(fn, {id(t) for t in weights}, {}), plain, wrapped)
    if known is not None:
        known[id(fn)] = (fn, *found)
    return found


def _owner(fn: Any) -> tuple[Any, Any]:
    """Return what a map belongs to, and which of its maps it is."""
    if isinstance(fn, MethodType):
        return fn.__self__, fn.__func__.__qualname__
    if hasattr(fn, "belongs_to"):
        owner, token = fn.belongs_to()
        return owner, token
    return fn, None


def reachable(thing: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield the modules, tensors and numbers that a callable refers to: attributes, closures, globals it names."""
    seen = set() if seen is None else seen
    if isinstance(thing, bool | int | float | str | torch.dtype):
        yield thing
        return
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        for module in thing.modules():
            seen.add(id(module))
            yield module
    elif isinstance(thing, Tensor):
        yield thing
    else:
        for part in _parts(thing):
            yield from reachable(part, seen)


def _parts(thing: Any) -> list[Any]:
    if isinstance(thing, list | tuple):
        return list(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell != _EMPTY]
        named = [x for x in _globals(thing) if isinstance(x, nn.Module | Tensor | bool | int | float | FunctionType)]
        return [*cells, *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values(), *named]
    return [value for _, value in _attributes(thing)]


def _attributes(thing: Any) -> list[tuple[str, Any]]:
    """Return the attributes of an object of a class that is not PyTorch's or Python's own; none of other things."""
    if isinstance(thing, type | ModuleType) or _root(type(thing)) in _OPAQUE:
        return []
    slots = (name for base in type(thing).__mro__ for name in _slots(base) if hasattr(thing, name))
    return [*getattr(thing, "__dict__", {}).items(), *((name, getattr(thing, name)) for name in slots)]


def _slots(base: type) -> tuple[str, ...]:
    slots = vars(base).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _globals(function: FunctionType) -> list[Any]:
    """Return the global values that a function, or one defined in it, names."""
    known = function.__globals__
    return [known[name] for name in _names(function.__code__) if name in known]


@lru_cache(maxsize=1024)
def _names(code: CodeType) -> tuple[str, ...]:
    inner = (name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part))
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def _root(kind: type) -> str:
    """Return the name of the package that defines a class."""
    return kind.__module__.partition(".")[0]


@lru_cache(maxsize=1024)
def _own_bases(kind: type) -> tuple[type, ...]:
    """Return the classes of a module that are neither PyTorch's nor this package's own, which do not change."""
    return tuple(base for base in kind.__mro__ if _root(base) not in _FIXED)


def _mark(thing: Any, live: set[int], seen: dict[int, int]) -> Any:
    """Return what has to stay the same for a trace to stay valid; things met before by their number.

    A weight in its module (live) counts by where it occurs, its shape and its dtype, and may be another tensor.
    """
    kind: Any = type(thing)
    if kind in _PLAIN or thing is None:
        return kind, thing
    number = id(thing)
    if number in seen:
        return seen[number]
    seen[number] = len(seen)
    if isinstance(thing, nn.Module):
        classwide = tuple(_mark_all(dict(vars(base)), live, seen) for base in _own_bases(kind))
        return number, kind, classwide, _mark_all(vars(thing), live, seen)
    if isinstance(thing, Tensor):
        return None if number in live else number, thing.shape, thing.dtype, thing.device
    if isinstance(thing, dict):
        return _mark_all(thing, live, seen)
    if isinstance(thing, np.ndarray):
        return thing.shape, thing.dtype, thing.tobytes()
    if isinstance(thing, list | tuple):
        return tuple(_mark(x, live, seen) for x in thing)
    if isinstance(thing, FunctionType):
        return id(thing.__code__), tuple(_mark(x, live, seen) for x in (*_parts(thing), *_globals(thing)))
    attributes = _attributes(thing)
    if attributes:
        return number, kind, _mark_all(dict(attributes), live, seen)
    return number, kind, tuple(_mark(x, live, seen) for x in _parts(thing))


def _mark_all(table: dict[Any, Any], live: set[int], seen: dict[int, int]) -> tuple[Any, ...]:
    marked = (x for x in table.items() if not (isinstance(x[1], dict) and not x[1]))
    return tuple((str(name), _mark(value, live, seen)) for name, value in marked)


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights, buffers and other tensors that are attributes of one module, by name."""
    for table in (module._parameters, module._buffers, vars(module)):
        for name, value in table.items():
            if isinstance(value, Tensor):
                yield name, value
