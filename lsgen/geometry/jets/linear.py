r"""Rules for linear operations: y = A x has dy = A dx and d^2 y = A d^2 x.

A acts on the value and, with the directions as one more leading dimension (or folded into the batch, if A has one), on
the derivatives.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.jets.taylor import Rule, Taylor, derivatives, only_first, value_of

__all__ = ["LINEAR_RULES", "expand", "fold", "mean", "select", "split", "summed", "unsqueeze", "view"]

aten = torch.ops.aten


def _dim(dim: int) -> int:
    return dim + 1 if dim >= 0 else dim


def _folded(op: Any) -> Rule:
    """Return the rule of an operation that is linear in its first argument, whose first dimension is a batch."""
    name = str(op)

    def rule(x: Taylor, *args: Any, **kwargs: Any) -> Taylor:
        only_first(name, (*args, *kwargs.values()))
        return x.map(lambda v: op(v, *args, **kwargs), lambda t: fold(lambda s: op(s, *args, **kwargs), t))

    return rule


def fold(op: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """Apply a function of a batch to derivatives (K, N, ...) as one batch of K N members."""
    return op(t.flatten(0, 1)).unflatten(0, (t.shape[0], -1))


def _vmapped(op: Any) -> Rule:
    """Return the rule of an operation that is linear in its first argument, whatever its dimensions mean."""
    name = str(op)

    def rule(x: Taylor, *args: Any, **kwargs: Any) -> Taylor:
        only_first(name, (*args, *kwargs.values()))
        return x.map(lambda v: op(v, *args, **kwargs), torch.vmap(lambda s: op(s, *args, **kwargs)))

    return rule


def view(x: Taylor, size: Sequence[int]) -> Taylor:
    """Reshape."""
    return x.map(lambda v: v.reshape(size), lambda t: t.reshape(t.shape[0], *size))


def _transpose(x: Taylor, a: int, b: int) -> Taylor:
    return x.map(lambda v: v.transpose(a, b), lambda t: t.transpose(_dim(a), _dim(b)))


def _t(x: Taylor) -> Taylor:
    return _transpose(x, 0, 1) if x.ndim == 2 else x


def _permute(x: Taylor, dims: Sequence[int]) -> Taylor:
    order = [0, *(d % x.ndim + 1 for d in dims)]
    return x.map(lambda v: v.permute(*dims), lambda t: t.permute(order))


def unsqueeze(x: Taylor, dim: int) -> Taylor:
    """Insert a dimension of size one."""
    return x.map(lambda v: v.unsqueeze(dim), lambda t: t.unsqueeze(_dim(dim)))


def _squeeze(x: Taylor, dim: Any = None) -> Taylor:
    """Remove dimensions of size one among the given ones, among all if none is given."""
    dims = [] if isinstance(dim, list | tuple) and not dim else _dims(x, dim)
    return x.map(lambda v: v.squeeze(dims), lambda t: t.squeeze([d + 1 for d in dims]))


def expand(x: Taylor, size: Sequence[int], **_: Any) -> Taylor:
    """Broadcast to a shape."""
    return x.map(lambda v: v.expand(size), lambda t: x.broadcastable(len(size)).expand(t.shape[0], *size))


def _clone(x: Taylor, *, memory_format: torch.memory_format | None = None) -> Taylor:
    """Copy; each direction gets the memory layout that is asked for, on which folded operations rely."""
    if memory_format is torch.channels_last:
        return x.map(
            lambda v: v.contiguous(memory_format=torch.channels_last),
            lambda t: fold(lambda s: s.contiguous(memory_format=torch.channels_last), t),
        )
    if memory_format is torch.contiguous_format:
        return x.map(lambda v: v.contiguous(), lambda t: t.contiguous())
    return x


def _to_copy(x: Taylor, **kwargs: Any) -> Any:
    options = {key: kwargs[key] for key in ("dtype", "device") if kwargs.get(key) is not None}
    if not options.get("dtype", x.t.dtype).is_floating_point:
        return x.v.to(**options)
    moved: Taylor = x.map(lambda v: v.to(**options), lambda t: t.to(**options)) if options else x
    return _clone(moved, memory_format=kwargs.get("memory_format"))


def select(x: Taylor, dim: int, index: int) -> Taylor:
    """Take one index of a dimension."""
    return x.map(lambda v: v.select(dim, index), lambda t: t.select(_dim(dim), index))


def _slice(x: Taylor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Taylor:
    return x.map(lambda v: aten.slice(v, dim, start, end, step), lambda t: aten.slice(t, _dim(dim), start, end, step))


def split(x: Taylor, size: Any, dim: int = 0) -> list[Taylor]:
    """Split a dimension into parts of one size or of given sizes."""
    parts = x.t.split(size, _dim(dim))
    return [_part(x, dim, n, size, t) for n, t in enumerate(parts)]


def _part(x: Taylor, dim: int, n: int, size: Any, t: Tensor) -> Taylor:
    return Taylor(x.frame, x.map(lambda v: v.split(size, dim)[n], lambda t: t[:0]).lazy, t)


def _unbind(x: Taylor, dim: int = 0) -> list[Taylor]:
    return [select(x, dim, n) for n in range(x.shape[dim])]


def _joined(op: Any) -> Rule:
    """Return the rule of a concatenation, some members of which may be constant."""

    def rule(members: Sequence[Any], dim: int = 0) -> Taylor:
        if op is torch.cat and len(members) == 1:
            whole: Taylor = members[0]
            return whole
        like = next(m for m in members if isinstance(m, Taylor))
        size = max(m.t.shape[0] for m in members if isinstance(m, Taylor))
        wide = [derivatives(m, like, size) for m in members]
        return Taylor(like.frame, op([value_of(m) for m in members], dim), op(wide, _dim(dim)))

    return rule


def _copy(x: Any, source: Any, **_: Any) -> Any:
    """Return the source, broadcast to the shape and cast to the dtype of x, which it overwrites."""
    dtype = value_of(x).dtype
    if not isinstance(source, Taylor):
        return source.to(dtype).expand(x.shape)
    same = value_of(source).dtype == dtype
    return expand(source if same else _to_copy(source, dtype=dtype), list(x.shape))


def _scattered(op: Any) -> Rule:
    """Return the rule of an operation that writes a source into a part of a tensor, and is linear in both."""

    def rule(x: Any, source: Any, dim: int = 0, *args: Any, **kwargs: Any) -> Taylor:
        like = x if isinstance(x, Taylor) else source
        size = max(m.t.shape[0] for m in (x, source) if isinstance(m, Taylor))
        into, what = derivatives(x, like, size), derivatives(source, like, size)
        value = op(value_of(x), value_of(source), dim, *args, **kwargs)
        return Taylor(like.frame, value, op(into, what, _dim(dim), *args, **kwargs))

    return rule


def mean(x: Taylor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Taylor:
    """Average over dimensions, all if none is given."""
    dims = _dims(x, dim)
    return x.map(lambda v: v.mean(dims, keepdim), lambda t: t.mean([d + 1 for d in dims], keepdim))


def summed(x: Taylor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Taylor:
    """Sum over dimensions, all if none is given."""
    dims = _dims(x, dim)
    return x.map(lambda v: v.sum(dims, keepdim), lambda t: t.sum([d + 1 for d in dims], keepdim))


def _dims(x: Taylor, dim: Any) -> list[int]:
    dims = [dim] if isinstance(dim, int) else dim
    return [d % x.ndim for d in dims] if dims else list(range(x.ndim))


def _pad(x: Taylor, pad: Sequence[int], value: float = 0) -> Taylor:
    return x.map(lambda v: aten.constant_pad_nd(v, pad, value), lambda t: aten.constant_pad_nd(t, pad, 0))


def _getitem(x: Any, index: int) -> Any:
    return x[index]


LINEAR_RULES: dict[Any, Rule] = {
    operator.getitem: _getitem,
    aten.view: view,
    aten._unsafe_view: view,
    aten.reshape: view,
    aten.transpose: _transpose,
    aten.t: _t,
    aten.permute: _permute,
    aten.squeeze: _squeeze,
    aten.unsqueeze: unsqueeze,
    aten.expand: expand,
    aten.clone: _clone,
    aten.contiguous: _clone,
    aten.detach: lambda x: x,
    aten.alias: lambda x: x,
    aten._to_copy: _to_copy,
    aten.select: select,
    aten.slice: _slice,
    aten.split: split,
    aten.split_with_sizes: split,
    aten.unbind: _unbind,
    aten.cat: _joined(torch.cat),
    aten.stack: _joined(torch.stack),
    aten.copy: _copy,
    aten.slice_scatter: _scattered(aten.slice_scatter),
    aten.select_scatter: _scattered(aten.select_scatter),
    aten.mean: mean,
    aten.sum: summed,
    aten.constant_pad_nd: _pad,
}
LINEAR_RULES |= {
    op: _folded(op)
    for op in (
        aten.upsample_nearest1d,
        aten.upsample_nearest2d,
        aten.upsample_nearest3d,
        aten._upsample_nearest_exact1d,
        aten._upsample_nearest_exact2d,
        aten.upsample_linear1d,
        aten.upsample_bilinear2d,
        aten.upsample_bicubic2d,
        aten.upsample_trilinear3d,
        aten._upsample_bilinear2d_aa,
        aten._adaptive_avg_pool2d,
        aten.pixel_shuffle,
        aten.pixel_unshuffle,
    )
}
LINEAR_RULES |= {
    op: _vmapped(op)
    for op in (
        aten.flip,
        aten.roll,
        aten.cumsum,
        aten.tril,
        aten.triu,
        aten.diagonal,
        aten.index,
        aten.index_select,
        aten.gather,
        aten.unfold,
        aten.im2col,
        aten.col2im,
        aten.avg_pool1d,
        aten.avg_pool2d,
        aten.avg_pool3d,
        aten.reflection_pad1d,
        aten.reflection_pad2d,
        aten.replication_pad1d,
        aten.replication_pad2d,
        aten.repeat,
        aten.diag_embed,
        aten.grid_sampler_2d,
    )
}
