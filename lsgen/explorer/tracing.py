"""A decoder as a graph of PyTorch's elementary operations, with everything that no code enters computed beforehand.

The graph is recorded by `make_fx` while the decoder and the mean of its likelihood run on one code: it sees through
modules, distributions and any Python between them, and sizes are numbers. Tracing modules (`torch.fx.symbolic_trace`)
would stop at each layer and at every branch on a shape, and `torch.export` takes seconds to say the same. Where Python
asks for a number that depends on the code, recording fails, and so does what is to be recorded.

Batch normalisation in evaluation mode becomes a product and a sum, spectral normalisation a number: neither is in the
graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node

from lsgen.explorer.compat import TorchDispatchMode, get_decompositions, make_fx, tree_map
from lsgen.latent import LatentSpace

__all__ = ["Recording", "UndecodableError", "name_of", "record", "refuse_random_numbers"]

aten = torch.ops.aten
MOST_OPERATIONS = 2000
_BY_SHAPE = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty", "empty_like")


class UndecodableError(ValueError):
    """A decoder that a page cannot run; the message says why in one sentence."""


@dataclass(frozen=True)
class Recording:
    """The recorded graph of a decoder.

    Attributes:
        graph: the operations, in order.
        values: what each node was on the code that was recorded; of a constant, for every code.
        constants: nodes that no code enters.

    """

    graph: Graph
    values: Mapping[Node, Any]
    constants: frozenset[Node]

    def run(self, z: Tensor) -> Tensor:
        """Return what the graph makes of a code (1, d), with constants rounded to half precision."""
        known = {node: _halved(self.values[node]) for node in self.constants}
        for node in self.graph.nodes:
            if node.op == "placeholder":
                known[node] = z
            elif node.op == "output":
                result: Tensor = known[node.args[0]]
                return result
            elif node not in known:
                known[node] = _call(node, known)
        raise AssertionError("a graph ends in an output")


@torch.no_grad()
def record(space: LatentSpace, z: Tensor, shown: Callable[[Tensor], Tensor]) -> Recording:
    """Record how a decoder maps one code to what is shown of the mean of p(x|z).

    Args:
        space: in evaluation mode, in single precision on the CPU.
        z: a code (1, d).
        shown: mean (1, *shape) -> what is shown of it.

    Raises:
        UndecodableError: it cannot decode a single code, asks for numbers while it runs, draws random numbers, or has
            too many operations.

    """

    def mean(code: Tensor) -> Tensor:
        return shown(space.decode(code).mean)

    refuse_random_numbers(mean, z)
    try:
        module = make_fx(mean, decomposition_table=_decompositions())(z)
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise UndecodableError(f"the decoder cannot be recorded: {str(error).splitlines()[0]}") from error
    module.graph.eliminate_dead_code()
    values, constants = _evaluated(module, z)
    return Recording(module.graph, values, constants)


def refuse_random_numbers(mean: Callable[[Tensor], Tensor], z: Tensor) -> None:
    """Raise an error if a decoder cannot decode a code, draws random numbers, or has too many operations.

    Raises:
        UndecodableError: it does.

    """
    try:
        with _Counter():
            mean(z)
    except UndecodableError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise UndecodableError(f"the decoder cannot decode one code: {str(error).splitlines()[0]}") from error


class _Counter(TorchDispatchMode):
    """Refuses a decoder of more operations than a page can run, such as a sampler of many steps."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        if self.count > MOST_OPERATIONS:
            raise UndecodableError(f"the decoder has more than {MOST_OPERATIONS:,} operations, too many for a page")
        if torch.Tag.nondeterministic_seeded in func.tags and not _undropped(func, args, kwargs or {}):
            raise UndecodableError(
                f"the decoder draws random numbers ({name_of(func)}), so that a code has no one image"
            )
        return func(*args, **(kwargs or {}))


def _undropped(func: Any, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """Return whether an operation draws random numbers for dropout alone, and drops nothing."""
    names = [argument.name for argument in func._schema.arguments]
    if "dropout_p" not in names:
        return False
    place = names.index("dropout_p")
    return not (kwargs.get("dropout_p", args[place] if place < len(args) else 0.0))


def _evaluated(module: nn.Module, z: Tensor) -> tuple[dict[Node, Any], frozenset[Node]]:
    """Return the value of every node, and the nodes on which the code has no influence."""
    values: dict[Node, Any] = {}
    constants = set[Node]()
    for node in module.graph.nodes:  # type: ignore[union-attr]
        if node.op == "placeholder":
            values[node] = z
        elif node.op == "get_attr":
            values[node] = _attribute(module, node.target)
            constants.add(node)
        elif node.op == "call_function":
            values[node] = _call(node, values)
            if set(node.all_input_nodes) <= constants or name_of(node.target) in _BY_SHAPE:
                constants.add(node)
    return values, frozenset(constants)


def _call(node: Node, values: Mapping[Node, Any]) -> Any:
    def value(argument: Any) -> Any:
        return values[argument] if isinstance(argument, Node) else argument

    arguments, options = tree_map(value, node.args), tree_map(value, node.kwargs)
    assert callable(node.target)
    return node.target(*arguments, **options)


def _attribute(module: nn.Module, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _halved(value: Any) -> Any:
    """Return tensors of several floating-point numbers rounded to half precision; a single number stays."""
    several = isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1
    return value.half().to(value.dtype) if several else value


def name_of(target: Any) -> str:
    """Return the name of an operation without that of its overload."""
    return str(getattr(target, "__name__", target)).partition(".")[0]


def _decompositions() -> dict[Any, Any]:
    """Return how rare operations are made of common ones."""
    rare = [aten.addcmul, aten.addcdiv, aten.lerp, aten.logsumexp, aten.linalg_vector_norm, aten.rsub, aten.square]
    rare += [aten.log_sigmoid_forward, aten.hardtanh, aten.hardswish, aten.mish, aten.norm]
    rare += [aten._scaled_dot_product_flash_attention_for_cpu]
    batch_norm = [aten.native_batch_norm.default, aten._native_batch_norm_legit_no_training.default]
    return {**get_decompositions(rare), batch_norm[0]: _batch_norm, batch_norm[1]: _batch_norm_without_training}


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise by running statistics, as one factor and one summand for each channel."""
    if training or mean is None or variance is None:
        raise UndecodableError("the decoder normalises by the statistics of a batch, and a page decodes one code")
    factor = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
    summand = (0 if bias is None else bias) - mean * factor
    shape = (1, -1, *[1] * (x.ndim - 2))
    none = x.new_empty(0)
    return x * factor.view(shape) + summand.view(shape), none, none


def _batch_norm_without_training(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _batch_norm(x, weight, bias, mean, variance, False, momentum, eps)
