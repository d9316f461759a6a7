r"""The trace of a map z -> f(z): the list of the aten operations that compute it.

A trace is a straight-line program for one shape, dtype and device of z,

    x_0 = z,    x_k = op_k(x_i, ..., w_j, ...)  with i < k,    f(z) = x_K,

whose weights w_j are not stored by value: a trace knows where each of them is found (`Weight`, `Fixed`), so that it
follows an optimiser step, averaged weights or a loaded state.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from lsgen.geometry.dtypes import check_values
from lsgen.geometry.jets.elementwise import ELEMENTWISE_RULES
from lsgen.geometry.jets.last_layer import last_linear
from lsgen.geometry.jets.randomness import draws_numbers, random_sentence

__all__ = ["Fixed", "Source", "Step", "Trace", "Untraceable", "Weight", "read_graph"]

aten = torch.ops.aten
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.convolution}
VIEWS = {aten.view, aten._unsafe_view, aten.reshape, aten.permute, aten.transpose, aten.squeeze, aten.unsqueeze}


class Untraceable(Exception):
    """The map cannot be written as a fixed list of operations; the reason is the message."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """A tensor that belongs to no module, such as one of a closure."""

    tensor: Tensor

    def __call__(self) -> Tensor:
        """Return the tensor."""
        return self.tensor


@dataclass(frozen=True)
class Weight:
    """The tensor that a module holds under a name, whichever tensor that is at the time of the call."""

    module: weakref.ref[nn.Module]
    name: str

    def __call__(self) -> Tensor:
        """Return the tensor that the module holds now."""
        tensor: Tensor = getattr(self.module(), self.name)
        return tensor


Source = Fixed | Weight


@dataclass(frozen=True)
class Step:
    """One operation of a trace.

    Attributes:
        name: the name of its result.
        target: the function to call.
        args, kwargs: its arguments; a `Node` stands for the result of the step of that name.
        free: names of the results that no later step uses.
        overwrites: whether it is an elementwise function of a new tensor that nothing else uses, so that the
            derivatives of the result may take the place of those of the argument.

    """

    name: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    free: tuple[str, ...]
    overwrites: bool


@dataclass(frozen=True)
class Trace:
    """The operations of a map for one shape, dtype and device.

    Attributes:
        input: name of the input.
        constants: name and source of each weight or fixed tensor.
        steps: the operations in order.
        output: name of the result.
        packets: the operations that depend on the input.
        widest: number of elements per point of the largest intermediate result that depends on the input.
        coarsest: the floating-point dtype of least precision among the input and what depends on it.
        read: source of each weight or fixed tensor whose values the operations may depend on, and these values.
        linear: the last linear step, if only steps that rearrange or scale its result follow; otherwise empty.
        rearranging: the steps after it that only rearrange its result.

    """

    input: str
    constants: tuple[tuple[str, Source], ...]
    steps: tuple[Step, ...]
    output: str
    packets: frozenset[Any]
    widest: int
    coarsest: torch.dtype
    read: tuple[tuple[Source, Tensor], ...]
    linear: str
    rearranging: frozenset[str]

    @property
    def outdated(self) -> bool:
        """Whether a tensor whose values the operations may depend on has changed its values."""
        return any(not torch.equal(source(), values) for source, values in self.read)


def read_graph(
    module: GraphModule,
    sources: dict[int, Source],
    read: tuple[tuple[Source, Tensor], ...],
    constant: Any,
) -> Trace:
    """Return the trace that a graph of PyTorch describes.

    Args:
        module: the graph, with the tensors that it refers to.
        sources: where the known tensors are found, by their id; others are taken as fixed.
        read: see `Trace`.
        constant: the operation that stands for `detach` in the graph.

    Raises:
        Untraceable: a step computes with complex numbers.
        TypeError: the map returns something else than one tensor of dtype float32 or float64.
        ValueError: a step draws random numbers, or the result is detached from the input.

    """
    graph = module.graph
    (start,), (end,) = graph.find_nodes(op="placeholder"), graph.find_nodes(op="output")
    result, points = end.args[0], max(1, start.meta["val"].shape[0])
    steps = [node for node in graph.nodes if node.op not in ("placeholder", "get_attr", "output")]
    dependent = _reached(start, steps)
    for node in _needed(result, steps):
        _refuse_random(node)
    for node in dependent:
        if any(x.dtype.is_complex for x in _tensors(node)):
            raise Untraceable(f"it computes with complex numbers ({node.target})")
    names = {start.name, *(node.name for node in dependent)}
    moving = _reached(start, [node for node in steps if node.target is not constant])
    _check_result(result, names, {start.name, *(node.name for node in moving)})
    free = _last_uses(graph, result)
    return Trace(
        start.name,
        tuple((node.name, _source(module, node, sources)) for node in graph.nodes if node.op == "get_attr"),
        tuple(
            Step(x.name, _target(x, constant), x.args, dict(x.kwargs), tuple(free.get(x.name, ())), _overwrites(x))
            for x in steps
        ),
        result.name,
        frozenset(map(_packet, dependent)),
        max([1, *(x.numel() // points for node in dependent for x in _tensors(node))]),
        _coarsest(start, *dependent),
        read,
        *last_linear(result, names, points),
    )


def _reached(start: Node, steps: Iterable[Node]) -> list[Node]:
    """Return the steps whose arguments depend on the start, in order."""
    reached = {start: None}
    for node in steps:
        if any(used in reached for used in node.all_input_nodes):
            reached[node] = None
    return list(reached)[1:]


def _needed(result: Any, steps: list[Node]) -> list[Node]:
    """Return the steps that the result depends on."""
    needed = {result}
    for node in reversed(steps):
        if node in needed:
            needed.update(node.all_input_nodes)
    return [node for node in steps if node in needed]


def _last_uses(graph: Graph, result: Node) -> dict[str, list[str]]:
    """Return the names of the results that each step is the last to use, by the step's name."""
    last = {used.name: node.name for node in graph.nodes for used in node.all_input_nodes}
    free: dict[str, list[str]] = {}
    for used, user in last.items():
        if used != result.name:
            free.setdefault(user, []).append(used)
    return free


def _overwrites(node: Node) -> bool:
    """Whether a step is an elementwise function of a matrix product or convolution, reshaped, used nowhere else."""
    if _packet(node) not in ELEMENTWISE_RULES:
        return False
    x = node.args[0]
    while isinstance(x, Node) and len(x.users) == 1 and _packet(x) in VIEWS:
        x = x.args[0]
    return isinstance(x, Node) and len(x.users) == 1 and _packet(x) in PRODUCTS


def _packet(node: Node) -> Any:
    return getattr(node.target, "overloadpacket", node.target)


def _source(module: GraphModule, node: Node, sources: dict[int, Source]) -> Source:
    tensor = operator.attrgetter(str(node.target))(module)
    return sources.get(id(tensor), Fixed(tensor))


def _target(node: Node, constant: Any) -> Any:
    """Return the function that a step calls, which is `detach` for the operation that stands for it."""
    return Tensor.detach if node.target is constant else node.target


def _tensors(node: Node) -> list[Tensor]:
    value = node.meta.get("val")
    return [x for x in (value if isinstance(value, list | tuple) else [value]) if isinstance(x, Tensor)]


def _coarsest(*nodes: Node) -> torch.dtype:
    dtypes = {x.dtype for node in nodes for x in _tensors(node) if x.is_floating_point()}
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def _check_result(result: Any, dependent: set[str], moving: set[str]) -> None:
    if not isinstance(result, Node):
        raise TypeError(f"expected a map that returns one tensor, got {type(result).__name__}")
    if result.name in dependent and result.name not in moving:
        raise ValueError(
            "expected a map that can be differentiated, got one whose result is detached from its input "
            "(by .detach(), .data or a block under torch.no_grad() or torch.inference_mode())"
        )
    check_values(result.meta["val"].dtype)


def _refuse_random(node: Node) -> None:
    if draws_numbers(node.target, node.args, node.kwargs):
        raise ValueError(random_sentence(node.target))
