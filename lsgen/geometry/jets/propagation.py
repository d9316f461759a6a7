r"""Propagation of Taylor expansions through a map: its value and derivatives from one pass over its operations.

With z(s) = z + sum_i s_i v_i, the expansion of f(z(s)) at s = 0 has the derivatives

    J_i = Df(z)[v_i],    H_ij = D^2 f(z)[v_i, v_j].

The expansion of z itself has the value z, the first derivatives v_i and no second ones; the rule of each operation of
the trace turns the expansions of its arguments into that of its result. A map without a trace is differentiated as a
whole.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from lsgen.geometry.compat import math_attention
from lsgen.geometry.dtypes import check_values
from lsgen.geometry.jets.elementwise import PIECEWISE_LINEAR
from lsgen.geometry.jets.fallback import expand_by_autograd
from lsgen.geometry.jets.fingerprint import modules_of
from lsgen.geometry.jets.last_layer import reduced_factor
from lsgen.geometry.jets.operations import apply_operation
from lsgen.geometry.jets.taylor import Frame, Taylor, replaceable, with_second_order
from lsgen.geometry.jets.trace import Trace, Untraceable
from lsgen.geometry.jets.tracing import trace_map

__all__ = ["coarsest_dtype", "kinks", "propagate", "verified_trace", "widest_intermediate"]

log = logging.getLogger(__name__)
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


def propagate(
    fn: Callable[[Tensor], Tensor],
    z: Tensor,
    directions: Tensor,
    order: int,
    isometric: bool = False,
    split: int = 0,
) -> Taylor:
    r"""Return f(z) with its derivatives along the given directions.

        J_i = Df(z)[v_i],    H_ij = D^2 f(z)[v_i, v_j].

    Args:
        fn: a map (N, n) -> (N, ...), each point by itself.
        z: points (N, n).
        directions: vectors (d, n), shared by all points, or (d, N, n).
        order: 1 or 2.
        isometric: whether only inner products of derivatives matter, so that the result may lie in a smaller space
            (`lsgen.geometry.jets.last_layer`).
        split: the number s of directions in the first of two sets, so that H_ij is taken for i < s <= j only.

    Returns:
        The expansion, of value (N, ...).

    """
    frame = Frame(directions.shape[0], order, split)
    seeds = directions[:, None].expand(frame.d, *z.shape) if directions.ndim == 2 else directions
    start = Taylor(frame, z, seeds)
    try:
        operations = verified_trace(fn, z)
    except Untraceable as reason:
        _warn_once(fn, str(reason))
        result: Taylor = expand_by_autograd(_with_checked_values(fn), [start])
        return result
    return _run(operations, start, isometric)


def verified_trace(fn: Callable[[Tensor], Tensor], z: Tensor) -> Trace:
    """Return a trace of fn for inputs like z whose derivatives agree with automatic differentiation.

    Raises:
        Untraceable, ValueError: see `lsgen.geometry.jets.tracing`.

    """
    return trace_map(fn, z, _disagreement)


def widest_intermediate(fn: Callable[[Tensor], Tensor], z: Tensor) -> int | None:
    """Return the number of elements per point of the largest intermediate result of fn, None if fn has no trace."""
    try:
        return verified_trace(fn, z).widest
    except Untraceable:
        return None


def coarsest_dtype(fn: Callable[[Tensor], Tensor], z: Tensor) -> torch.dtype:
    """Return the dtype of least precision in which a map computes at codes like z (N, d).

    It is that of the values where the map has no trace. A map that casts its codes to float32, and its values back to
    float64, is as precise as float32.
    """
    try:
        return verified_trace(fn, z).coarsest
    except Untraceable:
        with torch.no_grad():
            value = fn(z[:1])
        return value.dtype if torch.finfo(value.dtype).eps > torch.finfo(z.dtype).eps else z.dtype


def _disagreement(operations: Trace, fn: Callable[[Tensor], Tensor], z: Tensor) -> str | None:
    """Compare the trace's derivatives along one random direction with reverse-mode ones; return what differs."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.no_grad():
        z = z.clone()
        v = torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
        x = _run(operations, with_second_order(Taylor(Frame(1, 2), z, v[None])), False)
        if x.shape[:1] != z.shape[:1] or not len(z):
            return None  # the caller refuses results without one row per code
        w = torch.randn(x.shape, generator=generator, dtype=x.t.dtype).to(z.device)
        terms = [x.v, *with_second_order(x).t]
        ours = [(t * w).flatten(1).sum(1) for t in terms]
    sizes = [t.flatten(1).norm(dim=1).max() * w.flatten(1).norm(dim=1).max() for t in terms]
    for order, (mine, theirs) in enumerate(zip(ours, _reverse_mode(fn, z, v, w), strict=False)):
        bound = 10 * torch.finfo(z.dtype).eps ** 0.5 * sum(sizes[max(order - 1, 0) : order + 1])
        comparable = mine.isfinite() & theirs.isfinite()
        if bool(((mine - theirs).abs()[comparable] > bound).any()):
            what = f"derivatives of order {order}" if order else "values"
            return f"its {what} do not follow from its operations"
    return None


def _reverse_mode(fn: Callable[[Tensor], Tensor], z: Tensor, v: Tensor, w: Tensor) -> Iterator[Tensor]:
    """Yield <w, fn> at every point, then its first and second derivatives along v if PyTorch can compute them."""
    with torch.inference_mode(False), torch.enable_grad(), math_attention():
        at = z.detach().clone().requires_grad_()
        values, slope = (fn(at) * w).flatten(1).sum(1), at.new_zeros(at.shape)
        value = values.sum()
        yield values.detach()
        try:
            if value.requires_grad:
                (slope,) = torch.autograd.grad(value, at, create_graph=True, materialize_grads=True)
            yield (slope * v).flatten(1).sum(1).detach()
            bend = at.new_zeros(at.shape)
            if slope.requires_grad:
                (bend,) = torch.autograd.grad((slope * v).sum(), at, materialize_grads=True)
            yield (bend * v).flatten(1).sum(1)
        except (RuntimeError, NotImplementedError) as error:
            log.info("the derivatives of %s could not be checked: %s", _name(fn), error)


def kinks(fn: Callable[[Tensor], Tensor], z: Tensor) -> list[str]:
    """Return the names of the piecewise linear activations of a map, from its trace or, without one, its modules."""
    try:
        packets = verified_trace(fn, z).packets
        return sorted({PIECEWISE_LINEAR[p] for p in packets if p in PIECEWISE_LINEAR})
    except Untraceable:
        modules = {type(x).__name__ for x in modules_of(fn)}
        return sorted(modules & set(PIECEWISE_LINEAR.values()))


def _warn_once(fn: Any, reason: str) -> None:
    try:
        if fn in _warned:
            return
        _warned.add(fn)
    except TypeError:
        pass
    log.warning("The map %s is differentiated as a whole, which is several times slower: %s", _name(fn), reason)


def _with_checked_values(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def value(z: Tensor) -> Tensor:
        x = fn(z)
        if not isinstance(x, Tensor):
            raise TypeError(f"expected a map that returns one tensor, got {type(x).__name__}")
        check_values(x.dtype)
        return x

    return value


def _name(fn: Any) -> str:
    return getattr(fn, "__qualname__", type(fn).__name__)


def _run(operations: Trace, start: Taylor, isometric: bool) -> Taylor:
    known: dict[str, Any] = {operations.input: start}
    known.update((name, source()) for name, source in operations.constants)

    def fill(a: Any) -> Any:
        return map_arg(a, lambda node: known[node.name]) if isinstance(a, Node | list | tuple) else a

    reduced = False
    for step in operations.steps:
        args = [known[a.name] if a.__class__ is Node else fill(a) for a in step.args]
        kwargs = {key: fill(a) for key, a in step.kwargs.items()} if step.kwargs else {}
        factor = reduced_factor(args[-1]) if isometric and step.name == operations.linear else None
        if factor is not None:
            reduced = True
            known[step.name] = apply_operation(torch.ops.aten.mm.default, (args[-2], factor), {})
        elif reduced and step.name in operations.rearranging:
            known[step.name] = args[0][0] if isinstance(args[0], list | tuple) else args[0]
        else:
            if step.overwrites and isinstance(args[0], Taylor):
                args[0] = replaceable(args[0])
            known[step.name] = apply_operation(step.target, args, kwargs)
        for name in step.free:
            known.pop(name, None)
    result = known[operations.output]
    if isinstance(result, Taylor):
        return result
    return Taylor(start.frame, result, result.new_zeros(start.frame.d, *result.shape))
