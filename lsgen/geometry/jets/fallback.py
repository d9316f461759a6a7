r"""Second-order expansions of functions without a rule, by nested automatic differentiation.

    J_i = Dg(x)[x_i],        H_ij = D( y -> Dg(y)[x_i] )(x)[x_j] + Dg(x)[x_ij].

The inner derivative is the reverse mode applied twice, Dg(x)[u] = D_w( Dg(x)^T w )^T u. The outer one is the forward
mode, if PyTorch has it for g and the result is not differentiated again, and otherwise the reverse mode applied twice.
Forward over forward mode is not used: PyTorch's is wrong for layer_norm, det, solve and others
(pytorch/pytorch#198017), because rules written for the first derivative drop terms of the second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jvp, vjp
from torch.overrides import TorchFunctionMode

from lsgen.geometry.compat import is_transformed
from lsgen.geometry.jets.normalisation import composed_instance_norm, composed_layer_norm
from lsgen.geometry.jets.taylor import Frame, Taylor, with_second_order

__all__ = ["expand_by_autograd"]

log = logging.getLogger(__name__)
Map = Callable[..., tuple[Tensor, ...]]
Push = Callable[[Map, tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


def expand_by_autograd(g: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Return the expansion of g(*arguments) by automatic differentiation.

    Args:
        g: a function of tensors that returns a tensor or a tuple of tensors.
        arguments: its arguments.

    Returns:
        A `Taylor` for each floating-point result, and the other results as they are.

    """
    places = [n for n, a in enumerate(arguments) if isinstance(a, Taylor)]
    frame = arguments[places[0]].frame
    inputs = [arguments[n] for n in places]
    if any(x.curved for x in inputs):
        inputs = [with_second_order(x) for x in inputs]
    graded = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        values = tuple(_usable(x.v) for x in inputs)
        derivatives = tuple(_usable(x.t) for x in inputs)
        whole = _completed(g, arguments, places)
        results = whole(*values)
        several = not isinstance(results, Tensor)
        outputs = tuple(results) if several else (results,)
        smooth = [n for n, y in enumerate(outputs) if isinstance(y, Tensor) and y.is_floating_point()]
        followed = graded or is_transformed()
        final = not is_transformed() and not (graded and any(y.requires_grad for y in outputs))
        tangents = _expanded(_restricted(whole, several, smooth), frame, values, derivatives, final)
    answer: list[Any] = list(outputs)
    for n, t in zip(smooth, tangents, strict=True):
        answer[n] = Taylor(frame, outputs[n], t) if followed else Taylor(frame, _detached(outputs[n]), _detached(t))
    return tuple(answer) if several else answer[0]


def _usable(x: Tensor) -> Tensor:
    return x.clone() if x.is_inference() else x


def _detached(x: Tensor) -> Tensor:
    """Return x cut off from the graph of autograd by an operation that a trace does not take for the map's own."""
    return torch.ops.aten.detach.default(x)


def _completed(g: Callable[..., Any], arguments: Sequence[Any], places: Sequence[int]) -> Callable[..., Any]:
    fixed = [None if isinstance(a, Taylor) else a for a in arguments]

    def whole(*values: Tensor) -> Any:
        filled = list(fixed)
        for n, value in zip(places, values, strict=True):
            filled[n] = value
        with _Composed():
            return g(*filled)

    return whole


class _Composed(TorchFunctionMode):
    """Replaces functions whose third derivatives lack terms in PyTorch: normalisations over their own statistics."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _COMPOSED.get(func, func)(*args, **(kwargs or {}))


_COMPOSED: dict[Any, Callable[..., Tensor]] = {
    F.layer_norm: composed_layer_norm,
    torch.layer_norm: composed_layer_norm,
    F.instance_norm: composed_instance_norm,
}


def _restricted(whole: Callable[..., Any], several: bool, keep: Sequence[int]) -> Map:
    def kept(*values: Tensor) -> tuple[Tensor, ...]:
        results = whole(*values)
        return tuple(results[n] for n in keep) if several else (results,)

    return kept


def _expanded(
    g: Map, frame: Frame, values: tuple[Tensor, ...], t: tuple[Tensor, ...], final: bool
) -> tuple[Tensor, ...]:
    """Return the derivatives of g; `final` says that they are not differentiated again."""
    failure: Exception | None = None
    for inner, outer, over in _WAYS if final else _WAYS[1:]:
        try:
            return _attempt(g, frame, values, t, inner, outer, over)
        except (RuntimeError, NotImplementedError) as error:
            log.info("nested differentiation by %s, %s failed: %s", outer.__name__, over.__name__, error)
            failure = failure or error
    assert failure is not None
    raise failure


def _attempt(
    g: Map,
    frame: Frame,
    values: tuple[Tensor, ...],
    t: tuple[Tensor, ...],
    inner: Push,
    outer: Push,
    over: Callable[..., Any],
) -> tuple[Tensor, ...]:
    d, count = frame.d, len(values)
    first = over(lambda *u: outer(g, values, u))(*(x[:d] for x in t))
    if frame.order == 1:
        return tuple(first)
    i, j = frame.indices(values[0].device)

    def pushed(*point: Tensor) -> tuple[Tensor, ...]:
        return inner(g, point[:count], point[count:])

    def second(*triple: Tensor) -> tuple[Tensor, ...]:
        u, w, h = triple[:count], triple[count : 2 * count], triple[2 * count :]
        return outer(pushed, (*values, *u), (*w, *h))

    curved = tuple(x[d:] if x.shape[0] > d else torch.zeros_like(x[:1]).expand(frame.pairs, *x.shape[1:]) for x in t)
    pairs = over(second)(*(x[i] for x in t), *(x[j] for x in t), *curved)
    return tuple(torch.cat([a, b]) for a, b in zip(first, pairs, strict=True))


def _loop(f: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Tensor, ...]]:
    def mapped(*stacks: Tensor) -> tuple[Tensor, ...]:
        results = [f(*(x[n] for x in stacks)) for n in range(stacks[0].shape[0])]
        return tuple(torch.stack(column) for column in zip(*results, strict=True))

    return mapped


def _forward(g: Map, x: tuple[Tensor, ...], u: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    tangents: tuple[Tensor, ...] = jvp(g, x, u)[1]
    return tangents


def _twice_reversed(g: Map, x: tuple[Tensor, ...], u: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    outputs, pull = vjp(g, *x)[:2]
    back = vjp(lambda *w: pull(tuple(w)), *(torch.zeros_like(y) for y in outputs))[1]
    tangents: tuple[Tensor, ...] = back(tuple(u))
    return tangents


def _by_graph(g: Map, x: tuple[Tensor, ...], u: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Apply the reverse mode twice by autograd's graph, for functions that do not support `torch.func`."""
    at = tuple(v if v.requires_grad else v.detach().requires_grad_() for v in x)
    outputs = g(*at)
    kept = [n for n, y in enumerate(outputs) if y.requires_grad]
    weights = [torch.zeros_like(outputs[n]).requires_grad_() for n in kept]
    results = [torch.zeros_like(y) for y in outputs]
    if kept:
        pulled = torch.autograd.grad([outputs[n] for n in kept], at, weights, create_graph=True, materialize_grads=True)
        used = [n for n, p in enumerate(pulled) if p.requires_grad]
        tangents = torch.autograd.grad(
            [pulled[n] for n in used], weights, [u[n] for n in used], create_graph=True, materialize_grads=True
        )
        for n, tangent in zip(kept, tangents, strict=True):
            results[n] = tangent
    return tuple(results)


_WAYS: list[tuple[Push, Push, Callable[..., Any]]] = [
    (_twice_reversed, _forward, torch.vmap),
    (_twice_reversed, _twice_reversed, torch.vmap),
    (_twice_reversed, _twice_reversed, _loop),
    (_by_graph, _by_graph, _loop),
]
