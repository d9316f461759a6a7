r"""Second-order expansions by nested automatic differentiation: exact, for whatever has no rule.

    J_i = Dg(x)[x_i],        H_ij = D( y -> Dg(y)[x_i] )(x)[x_j] + Dg(x)[x_ij].

The inner derivative is the reverse mode applied twice, Dg(x)[u] = D_w( Dg(x)^T w )^T u, and the outer one forward mode
where there is one: forward over forward mode is wrong in PyTorch for layer_norm, det, solve and others
(pytorch/pytorch#198017), since rules written for the first derivative drop terms of the second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp

from lsgen.geometry.taylor import Frame, Taylor, widened

__all__ = ["expand"]

log = logging.getLogger(__name__)
Map = Callable[..., tuple[Tensor, ...]]
Push = Callable[[Map, tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


def expand(g: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Return g(*arguments), in which some arguments are `Taylor`, as an expansion.

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
        inputs = [widened(x) for x in inputs]
    graded = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        values = tuple(_usable(x.v) for x in inputs)
        derivatives = tuple(_usable(x.t) for x in inputs)
        whole = _completed(g, arguments, places)
        results = whole(*values)
        several = not isinstance(results, Tensor)
        outputs = tuple(results) if several else (results,)
        smooth = [n for n, y in enumerate(outputs) if isinstance(y, Tensor) and y.is_floating_point()]
        tangents = _expanded(_restricted(whole, several, smooth), frame, values, derivatives)
    answer: list[Any] = list(outputs)
    for n, t in zip(smooth, tangents, strict=True):
        value = outputs[n]
        answer[n] = Taylor(frame, value if graded else value.detach(), t if graded else t.detach())
    return tuple(answer) if several else answer[0]


def _usable(x: Tensor) -> Tensor:
    return x.clone() if x.is_inference() else x


def _completed(g: Callable[..., Any], arguments: Sequence[Any], places: Sequence[int]) -> Callable[..., Any]:
    fixed = [None if isinstance(a, Taylor) else a for a in arguments]

    def whole(*values: Tensor) -> Any:
        filled = list(fixed)
        for n, value in zip(places, values, strict=True):
            filled[n] = value
        return g(*filled)

    return whole


def _restricted(whole: Callable[..., Any], several: bool, keep: Sequence[int]) -> Map:
    def kept(*values: Tensor) -> tuple[Tensor, ...]:
        results = whole(*values)
        return tuple(results[n] for n in keep) if several else (results,)

    return kept


def _expanded(g: Map, frame: Frame, values: tuple[Tensor, ...], t: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    failure: Exception | None = None
    for outer, over in ((_forward, torch.vmap), (_twice_reversed, torch.vmap), (_twice_reversed, _loop)):
        try:
            return _attempt(g, frame, values, t, outer, over)
        except (RuntimeError, NotImplementedError) as error:
            log.info("nested differentiation by %s, %s failed: %s", outer.__name__, over.__name__, error)
            failure = failure or error
    assert failure is not None
    raise failure


def _attempt(
    g: Map, frame: Frame, values: tuple[Tensor, ...], t: tuple[Tensor, ...], outer: Push, over: Callable[..., Any]
) -> tuple[Tensor, ...]:
    d, count = frame.d, len(values)
    first = over(lambda *u: outer(g, values, u))(*(x[:d] for x in t))
    if frame.order == 1:
        return tuple(first)
    i, j = frame.indices(values[0].device)

    def inner(*point: Tensor) -> tuple[Tensor, ...]:
        return _twice_reversed(g, point[:count], point[count:])

    def second(*triple: Tensor) -> tuple[Tensor, ...]:
        u, w, h = triple[:count], triple[count : 2 * count], triple[2 * count :]
        return outer(inner, (*values, *u), (*w, *h))

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
