"""Steps of a decoder for the page: the operations of a recorded graph in the words of its interpreter.

Every register holds numbers in row-major order. A step names its kind, its inputs (registers, weights, or numbers) and
its output; sizes are numbers. What only looks at numbers in another order, such as a transposition, is a `strided`
copy, or no step at all where the order stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from lsgen.explorer.tracing import Recording, UndecodableError, name_of

__all__ = ["Assembler"]

aten = torch.ops.aten
Operand = str | float
UNARY = (
    "abs", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "expm1", "floor", "log",
    "log1p", "logical_not", "neg", "reciprocal", "relu", "round", "rsqrt", "sigmoid", "sign", "silu", "sin", "sinh",
    "sqrt", "tan", "tanh",
)  # fmt: skip
WITH_NUMBERS = {"clamp": (None, None), "elu": (1.0, 1.0, 1.0), "leaky_relu": (0.01,), "softplus": (1.0, 20.0)}
BINARY = ("add", "atan2", "bitwise_and", "bitwise_or", "div", "eq", "ge", "gt", "le", "logical_and", "logical_or", "lt",
          "maximum", "minimum", "mul", "ne", "pow", "sub")  # fmt: skip
PRODUCTS = ("bmm", "dot", "mm", "mv")
SAME = ("_to_copy", "alias", "clone", "contiguous", "detach", "lift_fresh", "lift_fresh_copy")
VIEWS = ("_unsafe_view", "expand", "permute", "reshape", "select", "slice", "squeeze", "t", "transpose", "unsqueeze",
         "view")  # fmt: skip
PARTS = ("split", "split_with_sizes", "unbind", "chunk")
REDUCTIONS = {"amax": "max", "amin": "min", "mean": "mean", "sum": "sum"}


class Assembler:
    """Turns a recording into steps and weights.

    Attributes:
        steps: the steps so far.
        weights: their weights by name.
        products: multiplications of one run.

    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.steps: list[dict[str, Any]] = []
        self.weights: dict[str, Tensor] = {}
        self.products = 0
        self._registers: dict[Node, Any] = {}
        self._named: dict[tuple[int, str], str] = {}

    def assemble(self) -> str:
        """Translate the whole graph and return the register of its output.

        Raises:
            UndecodableError: there is no step for an operation.

        """
        for node in self.recording.graph.nodes:
            if node.op == "placeholder":
                self._registers[node] = "z"
            elif node.op == "output":
                return self._register(self.operand(_arguments(node)[0]))
            elif node not in self.recording.constants:
                self._registers[node] = self._translated(node)
        raise AssertionError("a graph ends in an output")

    def _translated(self, node: Node) -> Any:
        name = name_of(node.target).removesuffix("_")
        if name == "getitem":
            return self._registers[_arguments(node)[0]][_arguments(node)[1]]
        handler: Callable[[Node], Any] | None = getattr(self, f"_on_{name.strip('_')}", None)
        if handler is not None:
            return handler(node)
        if name in SAME:
            return self.operand(_arguments(node)[0])
        if name in VIEWS or name in PARTS:
            return self._viewed(node)
        if name in UNARY:
            return self.emit(node, "unary", [_arguments(node)[0]], f=name)
        if name in WITH_NUMBERS:
            numbers = list(_arguments(node)[1:]) + list(WITH_NUMBERS[name])[len(_arguments(node)) - 1 :]
            return self.emit(node, "unary", [_arguments(node)[0]], f=name, numbers=numbers)
        if name in PRODUCTS:
            return self._product(node, *_arguments(node)[:2])
        if name in BINARY:
            return self._binary(node, name)
        if name in REDUCTIONS:
            return self._reduced(node, REDUCTIONS[name])
        raise UndecodableError(f"the page has no step for the operation {node.target}")

    def value(self, node: Any) -> Any:
        """Return what a node was on the code that was recorded, and what is no node as it is."""
        return self.recording.values[node] if isinstance(node, Node) else node

    def shape(self, node: Any) -> list[int]:
        """Return the shape of a node; a number has none."""
        value = self.value(node)
        return list(value.shape) if isinstance(value, Tensor) else []

    def operand(self, node: Any, kind: str = "", prepare: Callable[[Tensor], Tensor] | None = None) -> Operand:
        """Return the register of a node, the name of a constant's weights, or the number that it is.

        Args:
            node: a node or a number.
            kind: which layout of the weights.
            prepare: how they get it.

        """
        if isinstance(node, bool | int | float) and isfinite(node):
            return float(node)
        if node in self._registers:
            found: Operand = self._registers[node]
            return found
        constant = torch.as_tensor(self.value(node))
        if constant.numel() == 1 and isfinite(constant):
            return float(constant)
        key = id(self.value(node)), kind
        if key not in self._named:
            self._named[key] = f"w{len(self.weights)}"
            self.weights[self._named[key]] = constant if prepare is None else prepare(constant).contiguous()
        return self._named[key]

    def emit(self, node: Any, kind: str, nodes: Sequence[Any], shape: Sequence[int] | None = None, **more: Any) -> str:
        """Add a step on nodes, and return the register of its output."""
        return self.step(kind, [self.operand(one) for one in nodes], prod(shape or self.shape(node)), **more)

    def step(self, kind: str, operands: Sequence[Operand], size: int, **more: Any) -> str:
        """Add a step on operands whose output has so many numbers, and return its register."""
        out = f"v{len(self.steps)}"
        self.steps.append({"kind": kind, "in": list(operands), "out": out, "size": size, **more})
        return out

    def strided(self, source: Operand, view: Tensor, size: int) -> Operand:
        """Return the numbers of a register of so many in the order of a view of them; no step where it is the same."""
        dims = [(n, s) for n, s in zip(view.shape, view.stride(), strict=True) if n != 1]
        plain = [s for _, s in dims] == [prod(n for n, _ in dims[i + 1 :]) for i in range(len(dims))]
        if plain and view.numel() == size and view.storage_offset() == 0:
            return source
        shape, strides = [n for n, _ in dims], [s for _, s in dims]
        return self.step("strided", [source], prod(shape), shape=shape, strides=strides, offset=view.storage_offset())

    def _register(self, operand: Operand) -> str:
        """Return a register of what may be a number."""
        if isinstance(operand, str):
            return operand
        return self.step("binary", [operand, 0.0], 1, f="add", shape=[1], strides=[[0], [0]])

    def _viewed(self, node: Node) -> Any:
        """Return the register, or the registers, of views."""
        source, like = _arguments(node)[0], torch.empty(self.shape(_arguments(node)[0]))
        assert callable(node.target)
        seen = node.target(like, *_arguments(node)[1:], **node.kwargs)
        if isinstance(seen, Tensor):
            return self.strided(self.operand(source), seen, like.numel())
        return [self.strided(self.operand(source), part, like.numel()) for part in seen]

    def _binary(self, node: Node, name: str) -> str:
        a, b = _arguments(node)[:2]
        alpha: Any = node.kwargs.get("alpha", 1)
        if node.kwargs.get("rounding_mode") is not None:
            raise UndecodableError(f"the page has no step for the operation {node.target} with rounding")
        first, second = self.operand(a), self.operand(b)
        if alpha != 1:
            second = self.broadcast("binary", [second, float(alpha)], [self.shape(b), []], self.shape(b), f="mul")
        return self.broadcast("binary", [first, second], [self.shape(a), self.shape(b)], self.shape(node), f=name)

    def broadcast(
        self, kind: str, inputs: Sequence[Operand], shapes: Sequence[Sequence[int]], out: Sequence[int], **more: Any
    ) -> str:
        """Add a step on inputs that are expanded to one shape, which dimensions that go together are joined in."""
        strides = [_expanded(shape, out) for shape in shapes]
        shape, strides = _joined(list(out), strides)
        return self.step(kind, inputs, prod(out), shape=shape, strides=strides, **more)

    def _reduced(self, node: Node, f: str) -> str:
        shape = self.shape(_arguments(node)[0])
        given = _arguments(node)[1] if len(_arguments(node)) > 1 else None
        dims = range(len(shape)) if given is None or given == [] else [given] if isinstance(given, int) else given
        over = sorted(int(d) % max(len(shape), 1) for d in dims)
        kept = [d for d in range(len(shape)) if d not in over]
        view = torch.empty(shape).permute(*kept, *over) if shape else torch.empty(shape)
        moved = self.strided(self.operand(_arguments(node)[0]), view, prod(shape))
        return self.step("reduce", [moved], prod(self.shape(node)), f=f, length=prod(shape[d] for d in over))

    def _on_addmm(self, node: Node) -> str:
        bias, x, weight = _arguments(node)[:3]
        if node.kwargs:
            raise UndecodableError(f"the page has no step for the operation {node.target} with factors")
        product = self._product(node, x, weight)
        return self.broadcast("binary", [product, self.operand(bias)], [self.shape(node), self.shape(bias)],
                              self.shape(node), f="add")  # fmt: skip

    def _product(self, node: Node, a: Any, b: Any) -> str:
        """Multiply matrices; a second one that is constant is kept with the numbers of each column side by side."""
        left, right = self.shape(a), self.shape(b)
        batch = left[0] if len(left) == 3 else 1
        inner, columns = (right[-1], 1) if len(right) == 1 else (right[-2], right[-1])
        rows = prod(left) // (batch * inner)
        self.products += batch * rows * inner * columns
        sizes = {"batch": batch, "rows": rows, "inner": inner, "columns": columns}
        columnwise = b in self.recording.constants
        layout = (lambda w: w.mT) if len(right) > 1 else None
        other = self.operand(b, "columns" if columnwise else "", layout if columnwise else None)
        return self.step("matmul", [self.operand(a), other], prod(self.shape(node)), columnwise=columnwise, **sizes)

    def _on_convolution(self, node: Node) -> str:
        x, weight, bias, stride, padding, dilation, transposed, _, groups = _arguments(node)
        shape, kernel, out = self.shape(x), self.shape(weight), self.shape(node)
        if len(shape) not in (3, 4):
            raise UndecodableError(f"the page has no step for convolutions of {len(shape) - 2} dimensions")
        flat = len(shape) == 3
        size: dict[str, Any] = {
            "inputs": shape[1], "outputs": out[1], "groups": groups, "transposed": transposed,
            "from": _two(shape[2:], flat, 1), "to": _two(out[2:], flat, 1), "kernel": _two(kernel[2:], flat, 1),
            "stride": _two(stride, flat, 1), "padding": _two(padding, flat, 0), "dilation": _two(dilation, flat, 1),
        }  # fmt: skip
        place = prod(shape[2:]) if transposed else prod(out[2:])
        self.products += shape[0] * place * prod(kernel)
        parts = [x, weight] if bias is None else [x, weight, bias]
        return self.emit(node, "convolution", parts, batch=shape[0], **size)

    def _on_native_group_norm(self, node: Node) -> list[Any]:
        x, weight, bias, n, channels, _, groups, eps = _arguments(node)
        shape = self.shape(x)
        normal = self.emit(x, "normalise", [x], length=prod(shape) // (n * groups), eps=eps)
        per_channel = [channels, *[1] * (len(shape) - 2)]
        return [self._affine(normal, shape, weight, bias, per_channel), None, None]

    def _on_native_layer_norm(self, node: Node) -> list[Any]:
        x, normalised, weight, bias, eps = _arguments(node)
        normal = self.emit(x, "normalise", [x], length=prod(normalised), eps=eps)
        return [self._affine(normal, self.shape(x), weight, bias, list(normalised)), None, None]

    def _affine(self, register: str, shape: list[int], weight: Any, bias: Any, each: list[int]) -> str:
        for f, part in (("mul", weight), ("add", bias)):
            if part is not None:
                register = self.broadcast("binary", [register, self.operand(part)], [shape, each], shape, f=f)
        return register

    def _on_softmax(self, node: Node) -> Operand:
        return self._softmax(node, log=False)

    def _on_safe_softmax(self, node: Node) -> Operand:  # the same unless all of a row is masked
        return self._softmax(node, log=False)

    def _on_log_softmax(self, node: Node) -> Operand:
        return self._softmax(node, log=True)

    def _softmax(self, node: Node, log: bool) -> Operand:
        x, dim = _arguments(node)[:2]
        shape = self.shape(x)
        moved = torch.empty(shape).movedim(dim, -1)
        source = self.strided(self.operand(x), moved, prod(shape))
        done = self.step("softmax", [source], prod(shape), length=moved.shape[-1], log=log)
        return self.strided(done, torch.empty(moved.shape).movedim(-1, dim), prod(shape))

    def _on_cat(self, node: Node) -> str:
        parts = [part for part in _arguments(node)[0] if self.shape(part) != [0]]
        dim = int(_arguments(node)[1]) if len(_arguments(node)) > 1 else 0
        shapes = [self.shape(part) for part in parts]
        axis = dim % len(shapes[0])
        names = [self._register(self.operand(part)) for part in parts]
        lengths = [prod(shape[axis:]) for shape in shapes]
        return self.step("cat", names, prod(self.shape(node)), lengths=lengths)

    def _on_stack(self, node: Node) -> str:
        parts, shape = _arguments(node)[0], self.shape(node)
        axis = int(_arguments(node)[1]) % len(shape) if len(_arguments(node)) > 1 else 0
        names = [self._register(self.operand(part)) for part in parts]
        return self.step("cat", names, prod(shape), lengths=[prod(shape[axis + 1 :])] * len(names))

    def _on_where(self, node: Node) -> str:
        operands = [self.operand(part) for part in _arguments(node)]
        return self.broadcast("where", operands, [self.shape(part) for part in _arguments(node)], self.shape(node))

    def _on_masked_fill(self, node: Node) -> str:
        x, mask, value = _arguments(node)
        operands, shapes = [self.operand(part) for part in (mask, value, x)], [self.shape(mask), [], self.shape(x)]
        return self.broadcast("where", operands, shapes, self.shape(node))

    def _on_gelu(self, node: Node) -> str:
        f = "gelu_tanh" if node.kwargs.get("approximate") == "tanh" else "gelu"
        return self.emit(node, "unary", [_arguments(node)[0]], f=f)

    def _on_upsample_nearest2d(self, node: Node) -> str:
        return self._resized(node, "nearest")

    def _on_upsample_bilinear2d(self, node: Node) -> str:
        return self._resized(node, "aligned" if _arguments(node)[2] else "bilinear")

    def _resized(self, node: Node, f: str) -> str:
        shape, out = self.shape(_arguments(node)[0]), self.shape(node)
        return self.emit(node, "resize", [_arguments(node)[0]], f=f, **{"from": shape[2:], "to": out[2:]})

    def _on_avg_pool2d(self, node: Node) -> str:
        ceil, padded, divisor = (_arguments(node)[4:] + [False, True, None][len(_arguments(node)[4:]) :])[:3]
        if ceil or not padded or divisor is not None:
            raise UndecodableError("the page has no step for average pooling with these options")
        return self._pooled(node, "mean")

    def _on_max_pool2d_with_indices(self, node: Node) -> list[Any]:
        return [self._pooled(node, "max"), None]

    def _pooled(self, node: Node, f: str) -> str:
        value = self.value(node)
        out = list((value[0] if isinstance(value, tuple) else value).shape)
        kernel = _two(_arguments(node)[1], False, 1)
        stride = _two(_arguments(node)[2] if len(_arguments(node)) > 2 and _arguments(node)[2] else kernel, False, 1)
        padding = _two(_arguments(node)[3] if len(_arguments(node)) > 3 else 0, False, 0)
        sizes = {"from": self.shape(_arguments(node)[0])[2:], "to": out[2:], "kernel": kernel}
        return self.emit(node, "pool", [_arguments(node)[0]], out, f=f, stride=stride, padding=padding, **sizes)


def _arguments(node: Node) -> list[Any]:
    return list(node.args)


def _two(sizes: Any, flat: bool, fill: int) -> list[int]:
    """Return sizes along height and width; one of one dimension lies along the width."""
    many = [int(sizes)] * (1 if flat else 2) if isinstance(sizes, int) else [int(size) for size in sizes]
    many = many * 2 if len(many) == 1 and not flat else many
    return [fill, many[0]] if flat else many


def _expanded(shape: Sequence[int], out: Sequence[int]) -> list[int]:
    """Return the strides with which a row-major array is read as one of another shape; 0 where it repeats."""
    padded = [1] * (len(out) - len(shape)) + list(shape)
    return [0 if n == 1 else prod(padded[i + 1 :]) for i, n in enumerate(padded)]


def _joined(shape: list[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Return the same with neighbouring dimensions joined where every input reads on through both."""
    kept: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for i, n in enumerate(shape):
        if n == 1:
            continue
        if kept and all(mine[-1] == given[i] * n for mine, given in zip(steps, strides, strict=True)):
            kept[-1] *= n
            for mine, given in zip(steps, strides, strict=True):
                mine[-1] = given[i]
            continue
        kept.append(n)
        for mine, given in zip(steps, strides, strict=True):
            mine.append(given[i])
    return (kept, steps) if kept else ([1], [[0] for _ in strides])
