"""The fingerprint of a map: everything but its input that its trace depends on.

Attributes of modules and of the objects that they hold, closures, defaults, globals, and modules and classes that are
the user's own are compared by value. Weights are compared by their place in their module, shape and dtype, so that they
may be replaced. A trace is reused as long as the fingerprint of its map is the same.
"""

from __future__ import annotations

import sys
import weakref
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache, partial, wraps
from types import CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lsgen.geometry.compat import is_plain, is_wrapped, tensor_tables

__all__ = [
    "Fingerprint",
    "all_tensors",
    "fingerprint_of",
    "forget_fingerprints",
    "modules_of",
    "named_tensors",
    "once",
    "unchanged",
]

KEPT = 16
_EMPTY, _DICTS = CellType(), (dict, OrderedDict)
_SEQUENCES, _TABLES, _BYTES = (list, tuple, set, frozenset, deque), (dict, MappingProxyType), (bytearray, array)
_PLAIN = frozenset((bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device))
_OTHERS = _PLAIN.union(_DICTS, {set})  # what most attributes of modules are that are no tensors
_OPAQUE = frozenset({"builtins", "torch", "numpy", "weakref", "_weakref", "logging", "threading", "_thread"})
_FIXED = frozenset({"builtins", "torch", "numpy", "abc", "typing", "lsgen", "pytorch_lightning"})
_HOLDERS = frozenset({"pytorch_lightning", "lightning"})  # of what runs a map, none of which the map is
_fingerprints: ContextVar[dict[int, tuple[Any, Fingerprint]] | None] = ContextVar("fingerprints", default=None)


@contextmanager
def unchanged() -> Iterator[None]:
    """Assume that no map changes within this block, so that the fingerprint of each is taken once."""
    if _fingerprints.get() is not None:
        yield
        return
    token = _fingerprints.set({})
    try:
        yield
    finally:
        _fingerprints.reset(token)


def forget_fingerprints() -> None:
    """Take the fingerprints of maps anew within `unchanged`, because one has changed."""
    known = _fingerprints.get()
    if known is not None:
        known.clear()


class State:
    """What must stay equal for the trace of a map to stay valid, hashed once and compared once with an equal one.

    Args:
        marks: the marks of everything that the map refers to.

    """

    __slots__ = ("hashed", "marks")

    def __init__(self, marks: Any) -> None:
        self.marks = marks
        self.hashed: int | None = None

    def __hash__(self) -> int:
        if self.hashed is None:
            self.hashed = hash(self.marks)
        return self.hashed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return False
        if self.marks is other.marks:
            return True
        same = bool(self.marks == other.marks)
        if same:
            self.marks = other.marks
        return same


class Fingerprint(NamedTuple):
    """A key of everything that the trace of a map depends on.

    Attributes:
        owner: the object that the map belongs to, whose end is that of its traces.
        member: which map of its owner it is.
        state: what must stay equal for a trace to stay valid.
        plain: whether all its tensors hold values, as fake tensors and those of a transform do not.
        wrapped: whether a transform of `torch.func` follows any of its tensors.

    """

    owner: Any
    member: Any
    state: State
    plain: bool
    wrapped: bool


def fingerprint_of(fn: Any) -> Fingerprint:
    """Return the fingerprint of a map."""
    known = _fingerprints.get()
    if known is not None and id(fn) in known:
        return known[id(fn)][1]
    tables = (table.values() for module in modules_of(fn) for table in tensor_tables(module))
    marking = _Marking({id(x) for held in tables for x in held if x.__class__ not in _OTHERS and isinstance(x, Tensor)})
    try:
        state, complete = marking.mark(fn), True
    except RecursionError:
        state, complete = object(), False  # nested too deep to compare: a trace of it is never kept
    plain = complete and all(map(is_plain, marking.tensors))
    wrapped = not plain and any(map(is_wrapped, marking.tensors))
    found = Fingerprint(*_owner(fn), State(state), plain, wrapped)
    if known is not None:
        known[id(fn)] = (fn, found)
    return found


def once(check: Callable[[Any, Tensor], None]) -> Callable[[Any, Tensor], None]:
    """Return a check of a map at codes (N, d) which is left out for maps that passed it and have not changed since.

    Args:
        check: a function of the map and codes that raises what is wrong. It may depend on the fingerprint of the map,
            on dtype, device and length of the codes, and on whether there are any.

    """
    known: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()

    @wraps(check)
    def checked(fn: Any, z: Tensor) -> None:
        found = fingerprint_of(fn)
        key = (found.member, found.state, z.dtype, z.device, z.shape[-1], len(z) > 0)
        try:
            passed = known.setdefault(found.owner, set()) if found.plain and is_plain(z) else set()
        except TypeError:  # the owner cannot be referred to weakly
            passed = set()
        if key in passed:
            return
        check(fn, z)
        if len(passed) >= KEPT:
            passed.clear()
        passed.add(key)

    return checked


def _owner(fn: Any) -> tuple[Any, Any]:
    """Return the object that a map belongs to, and which map of it this is."""
    if isinstance(fn, MethodType):
        return fn.__self__, fn.__func__.__qualname__
    if hasattr(fn, "belongs_to"):
        owner, token = fn.belongs_to()
        return owner, token
    return fn, None


def modules_of(thing: Any) -> Iterator[nn.Module]:
    """Yield the modules that a callable refers to: through attributes, closures, defaults and globals."""
    seen: set[int] = set()
    left = [thing]
    while left:
        at = left.pop()
        if type(at) in _PLAIN or id(at) in seen:
            continue
        seen.add(id(at))
        if isinstance(at, nn.Module):
            for module in at.modules():
                seen.add(id(module))
                yield module
        elif not isinstance(at, Tensor):
            left.extend(reversed(_parts(at)))


def _parts(thing: Any) -> list[Any]:
    if isinstance(thing, _SEQUENCES):
        return list(thing)
    if isinstance(thing, _TABLES):
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
    """Return the names and values of an object's attributes; none if its class is one of PyTorch's or Python's."""
    if isinstance(thing, type | ModuleType) or _root(type(thing)) in _OPAQUE | _HOLDERS:
        return []
    kind: Any = type(thing)
    slots = [(name, getattr(thing, name)) for name in _slots(kind) if hasattr(thing, name)]
    return [*getattr(thing, "__dict__", {}).items(), *slots]


@lru_cache(maxsize=1024)
def _slots(kind: type) -> tuple[str, ...]:
    slots = [vars(base).get("__slots__", ()) for base in kind.__mro__]
    names = (name for some in slots for name in ((some,) if isinstance(some, str) else some))
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _globals(function: FunctionType) -> list[Any]:
    """Return the globals that a function names, and the attributes that it names of the user's modules and classes.

    Those of functions of lsgen, PyTorch and the like stay as they are, and lead to all other functions there.
    """
    known, names = function.__globals__, _names(function.__code__)
    if str(known.get("__name__")).partition(".")[0] in _FIXED:
        return []
    found = [known[name] for name in names if name in known]
    for thing in found[:]:
        module = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
        if isinstance(thing, ModuleType | type) and _is_own(str(module)):
            found += [vars(thing)[name] for name in names if name in vars(thing)]
    return found


@lru_cache(maxsize=1024)
def _names(code: CodeType) -> tuple[str, ...]:
    inner = (name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part))
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def _root(kind: type) -> str:
    """Return the name of the package that defines a class."""
    return kind.__module__.partition(".")[0]


@lru_cache(maxsize=1024)
def _is_own(module: str) -> bool:
    """Whether a module is the user's own: neither Python's, nor PyTorch's, nor installed."""
    root = module.partition(".")[0]
    if root in _FIXED | _OPAQUE or root in sys.stdlib_module_names:
        return False
    return "-packages" not in str(getattr(sys.modules.get(module), "__file__", ""))


@lru_cache(maxsize=1024)
def _own_bases(kind: type) -> tuple[type, ...]:
    """Return the base classes whose attributes may change: those that are the user's own."""
    if issubclass(kind, nn.Module):
        return tuple(base for base in kind.__mro__ if _root(base) not in _FIXED)
    return tuple(base for base in kind.__mro__ if _is_own(base.__module__))


class _Marking:
    """A traversal of everything that a map refers to, which reduces each thing to a mark that can be compared.

    Args:
        live: ids of the weights that modules hold. Their marks are the place where they occur, their shape and their
            dtype, so that other tensors may take their place.

    Attributes:
        tensors: all tensors that were found.

    """

    def __init__(self, live: set[int]) -> None:
        self.live, self.tensors = live, list[Tensor]()
        self.seen: dict[int, int] = {}

    def mark(self, thing: Any) -> Any:
        """Return the mark of a thing, which is a number if the thing was found before."""
        kind: Any = type(thing)
        if kind in _PLAIN:
            return kind, thing
        place = self.seen.setdefault(id(thing), len(self.seen))
        return place if place < len(self.seen) - 1 else _marker(kind)(self, kind, thing)

    def all(self, things: Any) -> tuple[Any, ...]:
        """Return the marks of several things, of plain ones all at once, since there may be millions."""
        kinds = tuple(map(type, things))
        return (kinds, *things) if _PLAIN.issuperset(kinds) else tuple(map(self.mark, things))

    def table(self, table: Any) -> tuple[Any, ...]:
        """Return the marks of names and values; empty tables are left out, of empty sets there is the class alone."""
        marks: list[Any] = []
        for name, x in table.items():
            kind = x.__class__
            if kind in _PLAIN:
                marks += name, kind, x
            elif kind is set and not x:
                marks += name, kind
            elif kind not in _DICTS or x:
                marks += name if name.__class__ is str else self.mark(name), self.mark(x)
        return tuple(marks)

    def classwide(self, kind: type) -> tuple[Any, ...]:
        """Return the marks of the attributes of those base classes that may change."""
        return tuple([self.table(vars(base)) for base in _own_bases(kind)])

    def module(self, kind: Any, thing: nn.Module) -> Any:
        return _same(kind, thing), kind, self.classwide(kind), self.table(vars(thing))

    def tensor(self, _: Any, thing: Tensor) -> Any:
        self.tensors.append(thing)
        return None if id(thing) in self.live else id(thing), thing.shape, thing.dtype, thing.device

    def mapping(self, kind: Any, thing: Any) -> Any:
        beside = () if kind is dict else self.table(getattr(thing, "__dict__", {}))
        return kind, self.table(thing), beside

    def sequence(self, kind: Any, thing: Any) -> Any:
        return kind, self.all(thing), self.table(getattr(thing, "__dict__", {}))

    def array(self, _: Any, thing: np.ndarray) -> Any:
        return thing.shape, thing.dtype, self.all(thing.ravel().tolist()) if thing.dtype.hasobject else thing.tobytes()

    def function(self, _: Any, thing: FunctionType) -> Any:
        return id(thing.__code__), self.all([*_parts(thing), *_globals(thing)]), self.table(vars(thing))

    def object(self, kind: Any, thing: Any) -> Any:
        attributes = _attributes(thing)
        if attributes:
            return _same(kind, thing), kind, self.classwide(kind), self.table(dict(attributes))
        return _same(kind, thing), kind, self.classwide(kind), self.all(_parts(thing))


def _value(_: _Marking, kind: Any, thing: Any) -> Any:
    return kind, thing


_MARKERS: tuple[tuple[Any, Callable[[_Marking, Any, Any], Any]], ...] = (
    (nn.Module, _Marking.module),
    (Tensor, _Marking.tensor),
    (_TABLES, _Marking.mapping),
    (_SEQUENCES, _Marking.sequence),
    (np.ndarray, _Marking.array),
    (FunctionType, _Marking.function),
    (_BYTES, lambda _, kind, thing: (kind, bytes(thing))),
    (slice, lambda marking, kind, thing: (kind, marking.all((thing.start, thing.stop, thing.step)))),
    ((staticmethod, classmethod), lambda marking, kind, thing: (kind, marking.mark(thing.__func__))),
    (property, lambda marking, kind, thing: (kind, marking.mark(thing.fget))),
    ((type, ModuleType), lambda _, kind, thing: (kind, id(thing))),
)


@lru_cache(maxsize=4096)
def _marker(kind: type) -> Callable[[_Marking, Any, Any], Any]:
    """Return the method that marks things of a class; things that compare by value are their own marks."""
    for kinds, marker in _MARKERS:
        if issubclass(kind, kinds):
            return marker
    plain = _root(kind) in _OPAQUE or _root(kind) in sys.stdlib_module_names
    by_value = plain and kind.__eq__ is not object.__eq__ and kind.__hash__ is not None
    return _value if by_value and not {"__call__", "__dict__"} & set(dir(kind)) else _Marking.object


def _same(kind: type, thing: Any) -> Any:
    """Return a unique key of an object that does not keep it alive and is not used again after its end."""
    weak = kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__ and kind.__weakrefoffset__
    return weakref.ref(thing) if weak else id(thing)


def all_tensors(fn: Any) -> list[Tensor]:
    """Return all tensors that a map refers to."""
    marking = _Marking(set())
    with suppress(RecursionError):
        marking.mark(fn)
    return marking.tensors


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights, buffers and other tensors that are attributes of one module, by name."""
    for table in tensor_tables(module):
        for name, value in table.items():
            if value.__class__ not in _OTHERS and isinstance(value, Tensor):
                yield name, value
