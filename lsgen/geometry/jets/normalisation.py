r"""Rules for softmax and for the normalisations.

With y = softmax(x), a tangent a and its centred form a' = a - <y, a>,

    dy[a] = y a',            d^2y[a, b] = y (a' b' - <y, a' b'>),
    d logsumexp[a] = <y, a>,  d^2 logsumexp[a, b] = <y, a' b'>,     log_softmax = x - logsumexp.

A normalisation over the dimensions S is x -> c (mean_S(c^2) + eps)^(-1/2), c = x - mean_S(x). Batch
normalisation in eval mode is affine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.jets.elementwise import ELEMENTWISE
from lsgen.geometry.jets.operations import RULES, NoRule
from lsgen.geometry.jets.taylor import Frame, Taylor, chain, pair_products, product

__all__: list[str] = []

aten = torch.ops.aten


def _second(frame: Frame, t: Tensor, curved: bool, block: Callable[[int, slice], Tensor]) -> Tensor:
    """Return t with block(i, directions j >= i) added to its pairs, or appended where it had none."""
    if frame.order == 1:
        return t
    blocks = torch.cat([block(i, slice(i, frame.d)) for i in range(frame.d)])
    return torch.cat([t[: frame.d], t[frame.d :] + blocks if curved else blocks])


def _softmax(x: Taylor, dim: int, *_: Any) -> Taylor:
    dim, d = dim % x.ndim, x.frame.d
    y = x.v.softmax(dim)
    t = x.t * y
    mean = t.sum(dim + 1, keepdim=True)
    centred = x.j - mean[:d]
    t = torch.addcmul(t, mean, y, value=-1)

    def block(i: int, j: slice) -> Tensor:
        both = t[i] * centred[j]
        return torch.addcmul(both, both.sum(dim + 1, keepdim=True), y, value=-1)

    return Taylor(x.frame, y, _second(x.frame, t, x.curved, block))


def _log_sum_exp(x: Taylor, dims: Sequence[int], keepdim: bool = True) -> Taylor:
    dims = [d % x.ndim for d in dims]
    over = [d + 1 for d in dims]
    value = x.v.logsumexp(dims, keepdim=True)
    y = (x.v - value).exp()
    t = (x.t * y).sum(over, keepdim=True)
    centred = x.j - t[: x.frame.d]

    def block(i: int, j: slice) -> Tensor:
        return (y * centred[i] * centred[j]).sum(over, keepdim=True)

    out = Taylor(x.frame, value, _second(x.frame, t, x.curved, block))
    return out if keepdim else out.map(lambda v: _squeezed(v, dims), lambda t: _squeezed(t, over))


def _log_cumulative_sum_exp(x: Taylor, dim: int) -> Taylor:
    """Return the logsumexp of the entries up to each one, from all pairs of an entry and one up to it."""
    last, n = dim % x.ndim, x.shape[dim]
    rows = x.map(lambda v: v.movedim(last, -1).unsqueeze(-2), lambda t: t.movedim(last + 1, -1).unsqueeze(-2))
    past = torch.ones(n, n, dtype=torch.bool, device=x.t.device).tril()
    pairs: Taylor = RULES[aten.where](past, rows, x.t.new_full((), -torch.inf))
    out = _log_sum_exp(pairs, [-1], keepdim=False)
    return out.map(lambda v: v.movedim(-1, last), lambda t: t.movedim(-1, last + 1))


def _squeezed(x: Tensor, dims: Sequence[int]) -> Tensor:
    return x.squeeze(tuple(dims))


def _log_softmax(x: Taylor, dim: int, *_: Any) -> Taylor:
    out: Taylor = RULES[aten.sub](x, _log_sum_exp(x, [dim]))
    return out


def _logsumexp(x: Taylor, dim: Any, keepdim: bool = False) -> Taylor:
    return _log_sum_exp(x, [dim] if isinstance(dim, int) else dim, keepdim)


def _normalised(x: Taylor, dims: list[int], eps: float) -> tuple[Taylor, Taylor, Taylor]:
    """Normalise over the given dimensions; return also the mean and the inverse standard deviation."""
    over = [d + 1 for d in dims]
    mean = x.map(lambda v: v.mean(dims, True), lambda t: t.mean(over, True))
    c: Taylor = RULES[aten.sub](x, mean)
    t = (c.t * c.v).mean(over, True) * 2
    if x.frame.order == 2:
        last = tuple(range(-len(over), 0))
        pairs = pair_products(x.frame, c.j.movedim(over, last).flatten(-len(over)))
        size = prod(x.shape[d] for d in dims)
        pairs = pairs.unflatten(-1, [1] * len(over)).movedim(last, over) * (2 / size)
        t = torch.cat([t[: x.frame.d], t[x.frame.d :] + pairs if x.curved else pairs])
    variance = Taylor(x.frame, (c.v * c.v).mean(dims, True) + eps, t)
    scale = chain(variance, *ELEMENTWISE[aten.rsqrt](variance.v))
    return product(c, scale), mean, scale


def _affine(x: Taylor, weight: Any, bias: Any) -> Taylor:
    for parameter in (weight, bias):
        if isinstance(parameter, Taylor):
            raise NoRule("a normalisation whose weight or bias depends on z")
    x = x if weight is None else RULES[aten.mul](x, weight)
    return x if bias is None else RULES[aten.add](x, bias)


def _layer_norm(x: Taylor, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> tuple[Taylor, Taylor, Taylor]:
    out, mean, scale = _normalised(x, list(range(x.ndim - len(shape), x.ndim)), eps)
    return _affine(out, weight, bias), mean, scale


def _group_norm(
    x: Taylor, weight: Any, bias: Any, n: int, channels: int, size: int, groups: int, eps: float
) -> tuple[Taylor, Taylor, Taylor]:
    shape, view = x.shape, RULES[aten.view]
    out, mean, scale = _normalised(view(x, [n, groups, channels // groups * size]), [2], eps)
    out = _affine(view(out, list(shape)), _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
    return out, view(mean, [n, groups]), view(scale, [n, groups])


def _per_channel(parameter: Any, ndim: int) -> Any:
    return parameter.reshape(-1, *[1] * (ndim - 2)) if isinstance(parameter, Tensor) else parameter


def _batch_norm(
    x: Taylor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float
) -> tuple[Taylor, None, None]:
    weight, bias = _per_channel(weight, x.ndim), _per_channel(bias, x.ndim)
    if not training:
        scale = (_per_channel(variance, x.ndim) + eps).rsqrt()
        out: Taylor = RULES[aten.mul](RULES[aten.sub](x, _per_channel(mean, x.ndim)), scale)
        return _affine(out, weight, bias), None, None
    if x.shape[0] > 1:
        raise ValueError(
            "expected a map that treats every point by itself, got one with batch statistics (a BatchNorm without "
            "running statistics): track running statistics and call .eval()"
        )
    dims = [0, *range(2, x.ndim)]
    return _affine(_normalised(x, dims, eps)[0], weight, bias), None, None


def _cudnn_batch_norm(
    x: Taylor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, ...]:
    return (*_batch_norm(x, weight, bias, mean, variance, training, momentum, eps), None)


def _no_training(
    x: Taylor, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> tuple[Any, ...]:
    return _batch_norm(x, weight, bias, mean, variance, False, momentum, eps)


def _rms_norm(x: Taylor, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> tuple[Taylor, Taylor]:
    eps = torch.finfo(x.t.dtype).eps if eps is None else eps
    over = list(range(-len(shape), 0))
    square: Taylor = RULES[aten.mean](RULES[aten.mul](x, x), over, True)
    shifted: Taylor = RULES[aten.add](square, eps)
    root = chain(shifted, *ELEMENTWISE[aten.rsqrt](shifted.v))
    return _affine(product(x, root), weight, None), root


RULES |= {
    aten._softmax: _softmax,
    aten._safe_softmax: _softmax,
    aten._log_softmax: _log_softmax,
    aten.logsumexp: _logsumexp,
    aten.logcumsumexp: _log_cumulative_sum_exp,
    aten.native_layer_norm: _layer_norm,
    aten.native_group_norm: _group_norm,
    aten.native_batch_norm: _batch_norm,
    aten.cudnn_batch_norm: _cudnn_batch_norm,
    aten.miopen_batch_norm: _cudnn_batch_norm,
    aten._native_batch_norm_legit_no_training: _no_training,
    aten._fused_rms_norm: _rms_norm,
}
