r"""Tracing a map z -> f(z) once into a list of aten operations, with its weights left live.

Of a map that treats points alike, traces for two numbers of points tell those for any other
(`lsgen.geometry.jets.batch_sizes`).

The trace belongs to its owner (a module or function) and is forgotten with it. It holds weights by their place in
their module, so that an optimiser step, a swap for averaged weights or a load shows at once; what would change the
operations themselves (shape, dtype, device, a replaced submodule, a changed attribute, a hook, weights tied or untied,
train or eval mode) is part of the key.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from lsgen.geometry.compat import (
    TorchDispatchMode,
    is_fresh,
    is_plain,
    is_view,
    make_fx,
    out_of_place,
    outside_transforms,
    schema_of,
    tree_map_only,
    unwrapped,
)
from lsgen.geometry.jets.batch_sizes import inferred_trace
from lsgen.geometry.jets.fingerprint import identity, modules_of, tensors_met, tensors_of
from lsgen.geometry.jets.trace import Fixed, Source, Trace, Untraceable, Weight, read_graph

__all__ = ["trace_map", "widening"]

KEPT, BASES = 16, 3


@torch.library.custom_op("lsgen::constant", mutates_args=())
def constant(x: Tensor) -> Tensor:
    """Return a copy of x that is constant to every derivative: what `detach` becomes in a trace."""
    return x.clone()


@constant.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class _Detaching(TorchFunctionMode):
    """Writes what a map takes out of its own differentiation into the trace: `detach`, `data`, blocks under `no_grad`.

    PyTorch's formulas leave detached tensors in a trace too, which are none of the map's.

    Args:
        read: where to note the tensors that the map takes out of PyTorch.
        blocks: whether blocks under `no_grad` are taken out.

    """

    def __init__(self, read: list[Tensor], blocks: bool) -> None:
        super().__init__()
        self.read, self.blocks = read, blocks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.detach, torch.detach, Tensor.data.__get__):  # type: ignore[attr-defined]
            return constant(args[0])
        if func in (Tensor.tolist, Tensor.numpy, Tensor.__array__):
            self.read.append(args[0])
        result = func(*args, **(kwargs or {}))
        graded = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        return result if graded or not self.blocks else tree_map_only(Tensor, lambda x: self._constant(x, args), result)

    def _constant(self, x: Tensor, args: Any) -> Tensor:
        """Return a fresh floating-point result as a constant; copies of views would no longer share their values."""
        shared = is_view(x) or any(x is a for a in args)
        return x if shared or not x.is_floating_point() else constant(x)


class _Reading(TorchDispatchMode):
    """Notes the tensors whose values a map reads as Python numbers, by which it may decide.

    Args:
        read: where to note them.

    """

    def __init__(self, read: list[Tensor]) -> None:
        super().__init__()
        self.read = read

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.data_dependent_output in func.tags:
            self.read.extend(a for a in args if isinstance(a, Tensor))
        return func(*args, **(kwargs or {}))


widening: ContextVar[bool] = ContextVar("widening", default=False)
"""Whether a map is being called in another precision than its own (`lsgen.geometry.geodesics.precision`)."""
Check = Callable[[Trace, Callable[[Tensor], Tensor], Tensor], str | None]
_lock = RLock()  # tracing sets a flag of the process
_Known = dict[int, Trace | Untraceable]  # by the number of points
_traces: weakref.WeakKeyDictionary[Any, dict[Any, _Known]] = weakref.WeakKeyDictionary()


def trace_map(fn: Callable[[Tensor], Tensor], z: Tensor, check: Check) -> Trace:
    """Return the trace of fn for inputs like z, from the cache if nothing has changed since.

    A trace is made outside all transforms of `torch.func`. What depends on wrapped or fake tensors is never kept.

    Args:
        fn: a map (N, d) -> (N, ...).
        z: an input (N, d).
        check: what is said against a new trace of fn at an input, None if nothing is.

    Raises:
        Untraceable: fn decides by values of z, PyTorch cannot trace it, a transform follows its weights, or the check
            says something against its trace.
        ValueError: fn draws random numbers, or its result is detached from z.

    """
    if widening.get():
        raise Untraceable("it is called in another precision than its own, by a map that is traced")
    owner, token, mark, plain, wrapped = identity(fn)
    if wrapped:
        raise Untraceable("a transform of torch.func follows its weights")
    z = unwrapped(z)
    with outside_transforms(z), _lock:
        return _known_or_new(fn, z, owner, (token, mark), plain, check)


def _known_or_new(fn: Callable[[Tensor], Tensor], z: Tensor, owner: Any, mark: Any, plain: bool, check: Check) -> Trace:
    key, n = (mark, tuple(z.shape[1:]), z.dtype, z.device), z.shape[0]
    plain = plain and is_plain(z)
    try:
        kept = _traces.setdefault(owner, {}) if plain else {}
    except TypeError:
        kept = {}
    while key not in kept and len(kept) >= KEPT:
        kept.pop(next(iter(kept)))
    known = kept.setdefault(key, {})
    if any(isinstance(x, Trace) and x.read and x.outdated for x in known.values()):
        known.clear()
    if n not in known:
        while len(known) >= KEPT:
            known.pop(list(known)[BASES])
        found = inferred_trace(n, ((count, x) for count, x in known.items() if isinstance(x, Trace)))
        try:
            known[n] = found or _checked(fn, z, check if plain else None)
        except Untraceable as reason:
            known[n] = reason
    result = known[n]
    if isinstance(result, Untraceable):
        raise result
    return result


def _checked(fn: Callable[[Tensor], Tensor], z: Tensor, check: Check | None) -> Trace:
    """Return the trace that the check says nothing against: functions of autograd run under `no_grad` too."""
    modules = list(modules_of(fn))
    reason: str | None = None
    if any(x.is_inference() and x.requires_grad for x in tensors_met(fn)):
        return build_trace(fn, z, modules, False)  # PyTorch has no derivatives to compare with
    for blocks in (True, False):
        try:
            found = build_trace(fn, z, modules, blocks)
        except ValueError:
            if blocks and _requires_grad(fn, z):
                continue
            raise
        reason = check(found, fn, z) if check is not None else None
        if reason is None:
            return found
    raise Untraceable(reason)


def _requires_grad(fn: Callable[[Tensor], Tensor], z: Tensor) -> bool:
    with torch.inference_mode(False), torch.enable_grad():
        return fn(z.detach().clone().requires_grad_()).requires_grad


def build_trace(fn: Callable[[Tensor], Tensor], z: Tensor, modules: list[nn.Module], blocks: bool) -> Trace:
    read: list[Tensor] = []
    traced = _traced(fn, z, read, blocks)
    if any(_mutates(node) for node in traced.graph.nodes):
        traced = _traced(torch.func.functionalize(fn), z, read, blocks)
        if any(_mutates(node) for node in traced.graph.nodes):
            raise Untraceable("it changes tensors in place in a way that cannot be undone")
    traced.graph.eliminate_dead_code()
    sources: dict[int, Source] = {id(x): Fixed(x) for x in tensors_met(fn)}
    for module in modules:
        held = weakref.ref(module)
        sources.update((id(x), Weight(held, name)) for name, x in tensors_of(module))
    values = tuple((sources[id(x)], x.detach().clone()) for x in read if id(x) in sources)
    return read_graph(traced, sources, values, torch.ops.lsgen.constant.default)


def _traced(fn: Callable[[Tensor], Tensor], z: Tensor, read: list[Tensor], blocks: bool) -> GraphModule:
    def noting(x: Tensor) -> Tensor:
        with _Reading(read):
            return fn(x)

    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        mode = torch.enable_grad if blocks else torch.no_grad
        with torch.inference_mode(False), mode(), sdpa_kernel(SDPBackend.MATH), _Detaching(read, blocks):
            module: GraphModule = make_fx(noting)(z.detach().clone())
        _replace_harmless_mutations(module.graph)
        return module
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        with torch.no_grad():
            fn(z)
        raise Untraceable(str(error).split("\n")[0]) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _replace_harmless_mutations(graph: Graph) -> None:
    """Write x.add_(y) as x.add(y), and so on, where x is fresh and nothing else reads it."""
    for node in graph.nodes:
        if not _mutates(node):
            continue
        x, plain = node.args[0], out_of_place(node.target)
        if is_fresh(x.target) and len(x.users) == 1 and plain is not None:
            node.target = plain


def _mutates(node: Node) -> bool:
    schema = schema_of(node.target)
    return bool(schema is not None and schema.is_mutable and not _inference_norm(node))


def _inference_norm(node: Node) -> bool:
    """Normalisations declare running statistics mutable, and leave them alone in eval mode."""
    return "norm" in str(node.target) and (True not in node.args or node.args[3] is None)
