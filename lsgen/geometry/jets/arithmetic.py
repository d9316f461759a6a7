r"""Rules for arithmetic: sums, products, quotients, selections, matrix products and convolutions.

(a + b)_ij = a_ij + b_ij,        (a b)_ij = a_ij b + a_i b_j + a_j b_i + a b_ij,        a / b = a (1 / b)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.jets.elementwise import log_sigmoid, power, reciprocal, sigmoid
from lsgen.geometry.jets.linear import expand, fold, select, split, summed, unsqueeze
from lsgen.geometry.jets.taylor import (
    NoRule,
    Rule,
    Taylor,
    chain,
    derivatives,
    matrix_product,
    only_first,
    product,
    value_of,
    with_second_order,
)

__all__ = ["ARITHMETIC_RULES", "add", "multiply", "subtract", "where"]

aten = torch.ops.aten


def add(a: Any, b: Any, *, alpha: float = 1) -> Any:
    """Return a + alpha b; either may be an expansion, a tensor or a number."""
    if isinstance(a, Taylor) and isinstance(b, Taylor):
        if a.curved != b.curved:
            a, b = with_second_order(a), with_second_order(b)
        ndim = max(a.ndim, b.ndim)
        return Taylor(
            a.frame,
            torch.add(a.v, b.v, alpha=alpha),
            torch.add(a.broadcastable(ndim), b.broadcastable(ndim), alpha=alpha),
        )
    if isinstance(a, Taylor):
        shape = torch.broadcast_shapes(a.shape, b.shape) if isinstance(b, Tensor) else a.shape
        return expand(a.map(lambda v: torch.add(v, b, alpha=alpha), lambda t: t), shape)
    if isinstance(b, Taylor):
        return add(b if alpha == 1 else _scale(b, alpha), a)
    return torch.add(a, b, alpha=alpha)


def subtract(a: Any, b: Any, *, alpha: float = 1) -> Any:
    """Return a - alpha b; either may be an expansion, a tensor or a number."""
    return add(a, b, alpha=-alpha)


def _rsub(a: Any, b: Any, *, alpha: float = 1) -> Any:
    return add(b, a, alpha=-alpha)


def _scale(x: Taylor, c: Any) -> Taylor:
    """Multiply by a constant number or tensor."""
    ndim = c.ndim if isinstance(c, Tensor) else 0
    return Taylor(x.frame, x.map(lambda v: v * c, lambda t: t[:0]).lazy, x.broadcastable(ndim) * c)


def multiply(a: Any, b: Any) -> Any:
    """Return the elementwise product a b; either may be an expansion, a tensor or a number."""
    if isinstance(a, Taylor) and isinstance(b, Taylor):
        return chain(a, *power(a.v, 2)) if a is b else product(a, b)
    if isinstance(a, Taylor):
        return _scale(a, b)
    return _scale(b, a) if isinstance(b, Taylor) else a * b


def _div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is not None:
        return torch.div(value_of(a), value_of(b), rounding_mode=rounding_mode)
    if isinstance(b, Taylor):
        return multiply(a, chain(b, *reciprocal(b.v)))
    ndim = b.ndim if isinstance(b, Tensor) else 0
    return Taylor(a.frame, a.map(lambda v: v / b, lambda t: t[:0]).lazy, a.broadcastable(ndim) / b)


def _pow(x: Any, exponent: Any) -> Taylor:
    if isinstance(x, Taylor) and isinstance(exponent, int | float):
        return chain(x, *power(x.v, exponent))
    raise NoRule("pow with a tensor as exponent")


def where(mask: Any, a: Any, b: Any) -> Taylor:
    """Return a where the mask holds and b elsewhere; at least one of them is an expansion."""
    like = a if isinstance(a, Taylor) else b
    mask, size = value_of(mask), max(x.t.shape[0] for x in (a, b) if isinstance(x, Taylor))
    ndim = max(mask.ndim, _ndim(a), _ndim(b))
    zero = like.t.new_zeros(())
    a_t, b_t = (_broadcastable(derivatives(x, like, size), ndim) if isinstance(x, Taylor) else zero for x in (a, b))
    value = torch.where(mask, value_of(a), value_of(b))
    return Taylor(like.frame, value, torch.where(mask, a_t, b_t).expand(size, *value.shape))


def _ndim(x: Any) -> int:
    return x.ndim if isinstance(x, Tensor | Taylor) else 0


def _broadcastable(t: Tensor, ndim: int) -> Tensor:
    return t.reshape(t.shape[0], *[1] * max(0, ndim - t.ndim + 1), *t.shape[1:])


def _masked_fill(x: Any, mask: Tensor, value: Any) -> Taylor:
    if isinstance(mask, Taylor) or not isinstance(x, Taylor):
        raise NoRule("masked_fill with a value that depends on z")
    return where(mask, value if isinstance(value, Taylor) else x.t.new_full((), float(value)), x)


def _maximum(a: Any, b: Any) -> Taylor:
    return where(value_of(a) >= value_of(b), a, b)


def _minimum(a: Any, b: Any) -> Taylor:
    return where(value_of(a) <= value_of(b), a, b)


def _matmul(a: Any, b: Any) -> Taylor:
    if isinstance(a, Taylor) and isinstance(b, Taylor):
        if a.ndim == b.ndim == 3:
            return matrix_product(a, b)
        if a.ndim == b.ndim == 2:
            return select(matrix_product(unsqueeze(a, 0), unsqueeze(b, 0)), 0, 0)
        raise NoRule(f"a product of {a.ndim}-d and {b.ndim}-d arrays that both depend on z")
    if isinstance(a, Taylor):
        return a.map(lambda v: torch.matmul(v, b), lambda t: _rows(t, b))
    return b.map(lambda v: torch.matmul(a, v), lambda t: torch.matmul(a, t))


def _rows(t: Tensor, b: Tensor) -> Tensor:
    """Return t @ b; if all points share one row of derivatives, as at the start, it is multiplied once."""
    if t.ndim == 3 and b.ndim == 2 and t.stride(1) == 0:
        return (t[:, :1] @ b).expand(-1, t.shape[1], -1)
    return t @ b


def _addmm(bias: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Taylor:
    if (
        beta == alpha == 1
        and isinstance(a, Taylor)
        and isinstance(b, Tensor)
        and isinstance(bias, Tensor)
        and b.ndim == 2
    ):
        return a.map(lambda v: torch.addmm(bias, v, b), lambda t: _rows(t, b))
    both = _matmul(a, b) if isinstance(a, Taylor) or isinstance(b, Taylor) else a @ b
    return add(bias if beta == 1 else multiply(bias, beta), both, alpha=alpha)


def _convolution(x: Any, weight: Any, bias: Any, *geometry: Any) -> Taylor:
    if isinstance(weight, Taylor) or isinstance(bias, Taylor):
        raise NoRule("convolution with weights that depend on z")
    return x.map(
        lambda v: aten.convolution(v, weight, bias, *geometry),
        lambda t: fold(lambda s: aten.convolution(s, weight, None, *geometry), t),
    )


def _max_pool(x: Taylor, *args: Any, **kwargs: Any) -> tuple[Taylor, Tensor]:
    value, index = aten.max_pool2d_with_indices(x.v, *args, **kwargs)
    flat = index.flatten(-2).expand(x.t.shape[0], *index.flatten(-2).shape)
    return Taylor(x.frame, value, x.t.flatten(-2).gather(-1, flat).unflatten(-1, index.shape[-2:])), index


def _prelu(x: Any, weight: Any) -> Taylor:
    only_first("prelu", [weight])
    slope = torch.where(x.v > 0, torch.ones_like(x.v), weight)
    return chain(x, x.v * slope, slope, None)


def _log_sigmoid(x: Taylor) -> tuple[Taylor, None]:
    return chain(x, *log_sigmoid(x.v)), None


def _glu(x: Taylor, dim: int = -1) -> Taylor:
    a, gate = split(x, x.shape[dim] // 2, dim)
    return product(a, chain(gate, *sigmoid(gate.v)))


def _vector_norm(x: Taylor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Taylor:
    if ord != 2:
        raise NoRule(f"vector norm of order {ord}")
    square = summed(multiply(x, x), dim, keepdim)
    norm, zero = square.v.sqrt(), square.v == 0
    f1 = (0.5 / norm).masked_fill(zero, 0)
    return chain(square, norm, f1, lambda: (-0.5 * f1 / square.v).masked_fill(zero, 0))


def _lerp(a: Any, b: Any, weight: Any) -> Taylor:
    return add(a, multiply(weight, subtract(b, a)))


def _addcmul(x: Any, a: Any, b: Any, *, value: float = 1) -> Taylor:
    return add(x, multiply(a, b), alpha=value)


ARITHMETIC_RULES: dict[Any, Rule] = {
    aten.add: add,
    aten.sub: subtract,
    aten.rsub: _rsub,
    aten.mul: multiply,
    aten.div: _div,
    aten.pow: _pow,
    aten.square: lambda x: multiply(x, x),
    aten.neg: lambda x: _scale(x, -1),
    aten.where: where,
    aten.masked_fill: _masked_fill,
    aten.maximum: _maximum,
    aten.minimum: _minimum,
    aten.mm: _matmul,
    aten.bmm: _matmul,
    aten.addmm: _addmm,
    aten.baddbmm: _addmm,
    aten.mv: _matmul,
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _max_pool,
    aten._prelu_kernel: _prelu,
    aten.log_sigmoid_forward: _log_sigmoid,
    aten.glu: _glu,
    aten.linalg_vector_norm: _vector_norm,
    aten.lerp: _lerp,
    aten.addcmul: _addcmul,
}
