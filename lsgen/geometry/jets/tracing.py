r"""Tracing of maps z -> f(z) into lists of aten operations, and the cache of their traces.

A trace is kept until its owner, a module or function, is deleted. Its key holds everything that would change the
operations: shape, dtype and device of z, and the fingerprint of the map (a replaced submodule, a changed attribute, a
hook, weights tied or untied, train or eval mode). Values of weights are not part of the key: they are read at every
propagation. After traces for two numbers of points, those for any other number follow without tracing
(`lsgen.geometry.jets.batch_sizes`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.overrides import TorchFunctionMode

from lsgen.geometry.compat import (
    TorchDispatchMode,
    is_fresh,
    is_plain,
    is_view,
    make_fx,
    math_attention,
    one_thread,
    out_of_place,
    outside_transforms,
    schema_of,
    tree_map_only,
    unwrapped,
)
from lsgen.geometry.jets.batch_sizes import inferred_trace
from lsgen.geometry.jets.fingerprint import Fingerprint, all_tensors, fingerprint_of, modules_of, named_tensors
from lsgen.geometry.jets.randomness import draws_numbers
from lsgen.geometry.jets.trace import Fixed, Source, Trace, Untraceable, Weight, read_graph

__all__ = ["trace_map", "widening"]

KEPT, BASES = 16, 3


@torch.library.custom_op("lsgen::constant", mutates_args=())
def constant(x: Tensor) -> Tensor:
    """Return a copy of x whose derivatives are zero; it stands for `detach` in a trace."""
    return x.clone()


@constant.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class _RecordDetached(TorchFunctionMode):
    """Records where a map itself stops differentiation: by `detach`, by `data` or in blocks under `no_grad`.

    Plain `detach` operations in a trace cannot show this, because PyTorch's own formulas contain them too.

    Args:
        read: the list to add tensors to that the map converts to lists or arrays.
        blocks: whether results of blocks under `no_grad` are taken as constant.

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
        """Return a new floating-point result as a constant; views stay as they are, since they share their values."""
        shared = is_view(x) or any(x is a for a in args)
        return x if shared or not x.is_floating_point() else constant(x)


class _RecordRead(TorchDispatchMode):
    """Records the tensors whose values a map reads as Python numbers, since its operations may depend on them.

    Args:
        read: the list to add them to.

    """

    def __init__(self, read: list[Tensor]) -> None:
        super().__init__()
        self.read = read

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.data_dependent_output in func.tags:
            self.read.extend(a for a in args if isinstance(a, Tensor))
        return func(*args, **(kwargs or {}))


widening: ContextVar[bool] = ContextVar("widening", default=False)
"""Whether a map is being called in a precision that is not its own; such a call is not traced."""
Check = Callable[[Trace, Callable[[Tensor], Tensor], Tensor], str | None]
_BySize = dict[int, Trace | Untraceable]  # by the number of points
_traces: weakref.WeakKeyDictionary[Any, dict[Any, _BySize]] = weakref.WeakKeyDictionary()


def trace_map(fn: Callable[[Tensor], Tensor], z: Tensor, check: Check) -> Trace:
    """Return the trace of fn for inputs like z, from the cache if neither fn nor what it refers to has changed.

    The map is traced outside all transforms of `torch.func`. Traces that hold wrapped or fake tensors are not kept.

    Args:
        fn: a map (N, d) -> (N, ...).
        z: an input (N, d).
        check: a function of a new trace, fn and z that returns what is wrong with the trace, None if nothing is.

    Raises:
        Untraceable: fn branches on values of z, PyTorch cannot trace it, a transform follows its weights, or the check
            finds a fault.
        ValueError: fn draws random numbers, or its result is detached from z.

    """
    if widening.get():
        raise Untraceable("it is called in another precision than its own, by a map that is traced")
    found = fingerprint_of(fn)
    if found.wrapped:
        raise Untraceable("a transform of torch.func follows its weights")
    z = unwrapped(z)
    with outside_transforms(z), one_thread:
        return _cached_trace(fn, z, found, check)


def _cached_trace(fn: Callable[[Tensor], Tensor], z: Tensor, found: Fingerprint, check: Check) -> Trace:
    key, n = (found.member, found.state, tuple(z.shape[1:]), z.dtype, z.device), z.shape[0]
    plain = found.plain and is_plain(z)
    try:
        kept = _traces.setdefault(found.owner, {}) if plain else {}
    except TypeError:  # the owner cannot be referred to weakly
        kept = {}
    while key not in kept and len(kept) >= KEPT:
        kept.pop(next(iter(kept)))
    known = kept.setdefault(key, {})
    if any(isinstance(x, Trace) and x.read and x.outdated for x in known.values()):
        known.clear()
    if n not in known:
        while len(known) >= KEPT:
            known.pop(list(known)[BASES])
        inferred = inferred_trace(n, ((count, x) for count, x in known.items() if count and isinstance(x, Trace)))
        try:
            known[n] = inferred or _accepted_trace(fn, z, check if plain else None)
        except Untraceable as reason:
            known[n] = reason
    result = known[n]
    if isinstance(result, Untraceable):
        raise result
    return result


def _accepted_trace(fn: Callable[[Tensor], Tensor], z: Tensor, check: Check | None) -> Trace:
    """Return a trace that passes the check.

    Results of blocks under `no_grad` are taken as constant at first. If the check fails then, they are not: functions
    of autograd run under `no_grad` as well, and their results do depend on z.
    """
    modules = list(modules_of(fn))
    reason: str | None = None
    if any(x.is_inference() and x.requires_grad for x in all_tensors(fn)):
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
    """Return a new trace of fn at z.

    Args:
        fn: the map.
        z: an input (N, d).
        modules: the modules that fn refers to.
        blocks: whether results of blocks under `no_grad` are taken as constant.

    Raises:
        Untraceable, TypeError, ValueError: see `trace_map` and `read_graph`.

    """
    read: list[Tensor] = []
    captured = _captured_graph(fn, z, read, blocks)
    if any(_mutates(node) for node in captured.graph.nodes):
        captured = _captured_graph(torch.func.functionalize(fn), z, read, blocks)
        if any(_mutates(node) for node in captured.graph.nodes):
            raise Untraceable("it changes tensors in place in a way that cannot be undone")
    captured.graph.eliminate_dead_code(lambda x: x.is_impure() and not draws_numbers(x.target, x.args, x.kwargs))
    sources: dict[int, Source] = {id(x): Fixed(x) for x in all_tensors(fn)}
    for module in modules:
        held = weakref.ref(module)
        sources.update((id(x), Weight(held, name)) for name, x in named_tensors(module))
    values = tuple((sources[id(x)], x.detach().clone()) for x in read if id(x) in sources)
    return read_graph(captured, sources, values, torch.ops.lsgen.constant.default)


def _captured_graph(fn: Callable[[Tensor], Tensor], z: Tensor, read: list[Tensor], blocks: bool) -> GraphModule:
    def recorded(x: Tensor) -> Tensor:
        with _RecordRead(read):
            return fn(x)

    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        mode = torch.enable_grad if blocks else torch.no_grad
        with torch.inference_mode(False), mode(), math_attention(), _RecordDetached(read, blocks):
            module: GraphModule = make_fx(recorded)(z.detach().clone())
        _replace_harmless_mutations(module.graph)
        return module
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        with torch.no_grad():
            fn(z)
        raise Untraceable(str(error).split("\n")[0]) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _replace_harmless_mutations(graph: Graph) -> None:
    """Replace x.add_(y) by x.add(y), and so on, if x is a new tensor that no later step uses.

    Steps before it may have used x, if their results do not share its values.
    """
    for node in graph.nodes:
        if not _mutates(node):
            continue
        x, plain = node.args[0], out_of_place(node.target)
        before = all(other is node or (other < node and is_fresh(other.target)) for other in x.users)
        if is_fresh(x.target) and before and plain is not None:
            node.target = plain


def _mutates(node: Node) -> bool:
    schema = schema_of(node.target)
    return bool(schema is not None and schema.is_mutable and not _inference_norm(node))


def _inference_norm(node: Node) -> bool:
    """Whether a step is a normalisation in eval mode, whose schema says wrongly that it changes its statistics."""
    return "norm" in str(node.target) and (True not in node.args or node.args[3] is None)
