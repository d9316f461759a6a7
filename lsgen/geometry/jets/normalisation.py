r"""Softmax and normalisations: rules for Taylor expansions, and compositions with third derivatives in PyTorch.

With y = softmax(x), a tangent a and its centred form a' = a - <y, a>,

    dy[a] = y a',            d^2y[a, b] = y (a' b' - <y, a' b'>),
    d logsumexp[a] = <y, a>,  d^2 logsumexp[a, b] = <y, a' b'>,     log_softmax = x - logsumexp.

A normalisation over the dimensions S is x -> c s with c = x - mean_S(x) and s = (mean_S(c^2) + eps)^(-1/2); the
derivatives of the variance are 2 mean_S(c c_i) and 2 mean_S(c c_ij + c_i c_j). Batch normalisation in eval mode is
affine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lsgen.geometry.jets.arithmetic import add, multiply, subtract, where
from lsgen.geometry.jets.elementwise import rsqrt
from lsgen.geometry.jets.linear import mean, view
from lsgen.geometry.jets.taylor import Frame, NoRule, Rule, Taylor, chain, pair_products, product

__all__ = ["NORMALISATION_RULES", "composed_instance_norm", "composed_layer_norm"]

aten = torch.ops.aten


def _second(frame: Frame, t: Tensor, curved: bool, block: Callable[[int, slice], Tensor]) -> Tensor:
    """Return t with block(i, slice of the j) added to its second derivatives, or appended if it has none."""
    if frame.order == 1:
        return t
    blocks = torch.cat([block(i, slice(j, frame.d)) for i, j, _, _ in frame.blocks])
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
    return out if keepdim else out.map(lambda v: v.squeeze(tuple(dims)), lambda t: t.squeeze(tuple(over)))


def _log_cumulative_sum_exp(x: Taylor, dim: int) -> Taylor:
    """Return the logsumexp of all entries up to each one along a dimension."""
    last, n = dim % x.ndim, x.shape[dim]
    rows = x.map(lambda v: v.movedim(last, -1).unsqueeze(-2), lambda t: t.movedim(last + 1, -1).unsqueeze(-2))
    past = torch.ones(n, n, dtype=torch.bool, device=x.t.device).tril()
    pairs = where(past, rows, x.t.new_full((), -torch.inf))
    out = _log_sum_exp(pairs, [-1], keepdim=False)
    return out.map(lambda v: v.movedim(-1, last), lambda t: t.movedim(-1, last + 1))


def _log_softmax(x: Taylor, dim: int, *_: Any) -> Any:
    return subtract(x, _log_sum_exp(x, [dim]))


def _logsumexp(x: Taylor, dim: Any, keepdim: bool = False) -> Taylor:
    return _log_sum_exp(x, [dim] if isinstance(dim, int) else dim, keepdim)


def _normalised(x: Any, dims: Sequence[int], eps: float) -> tuple[Any, Any, Any]:
    """Normalise over the given dimensions; return also the mean and the inverse standard deviation.

    Args:
        x: an expansion or a tensor.
        dims: the dimensions S, counted from the front.
        eps: what is added to the variance.

    """
    dims = list(dims)
    if isinstance(x, Taylor):
        average = mean(x, dims, True)
        c = subtract(x, average)
        variance = _variance(c, dims, eps)
        scale = chain(variance, *rsqrt(variance.v))
    else:
        average = x.mean(dims, True)
        c = x - average
        scale = (c.square().mean(dims, True) + eps).rsqrt()
    return multiply(c, scale), average, scale


def _variance(c: Taylor, dims: list[int], eps: float) -> Taylor:
    """Return mean_S(c^2) + eps of centred values."""
    frame, over = c.frame, [d + 1 for d in dims]
    t = (c.t * c.v).mean(over, True) * 2
    if frame.order == 2:
        last = tuple(range(-len(over), 0))
        pairs = pair_products(frame, c.j.movedim(over, last).flatten(-len(over)))
        size = prod(c.shape[d] for d in dims)
        pairs = pairs.unflatten(-1, [1] * len(over)).movedim(last, over) * (2 / size)
        t = torch.cat([t[: frame.d], t[frame.d :] + pairs if c.curved else pairs])
    return Taylor(frame, (c.v * c.v).mean(dims, True) + eps, t)


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    """Return weight x + bias of an expansion or a tensor."""
    if isinstance(x, Taylor) and any(isinstance(parameter, Taylor) for parameter in (weight, bias)):
        raise NoRule("a normalisation whose weight or bias depends on z")
    x = x if weight is None else multiply(x, weight)
    return x if bias is None else add(x, bias)


def _layer_norm(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    out, average, scale = _normalised(x, range(x.ndim - len(shape), x.ndim), eps)
    return _affine(out, weight, bias), average, scale


def _group_norm(
    x: Taylor, weight: Any, bias: Any, n: int, channels: int, size: int, groups: int, eps: float
) -> tuple[Taylor, Taylor, Taylor]:
    shape = x.shape
    out, average, scale = _normalised(view(x, [n, groups, channels // groups * size]), [2], eps)
    out = _affine(view(out, list(shape)), _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
    return out, view(average, [n, groups]), view(scale, [n, groups])


def _per_channel(parameter: Any, ndim: int) -> Any:
    return parameter.reshape(-1, *[1] * (ndim - 2)) if isinstance(parameter, Tensor) else parameter


def _batch_norm(
    x: Taylor, weight: Any, bias: Any, centre: Any, variance: Any, training: bool, momentum: float, eps: float
) -> tuple[Taylor, None, None]:
    weight, bias = _per_channel(weight, x.ndim), _per_channel(bias, x.ndim)
    if not training:
        scale = (_per_channel(variance, x.ndim) + eps).rsqrt()
        out = multiply(subtract(x, _per_channel(centre, x.ndim)), scale)
        return _affine(out, weight, bias), None, None
    if x.shape[0] > 1:
        raise ValueError(
            "expected a map that treats every point by itself, got one with batch statistics (a BatchNorm without "
            "running statistics): track running statistics and call .eval()"
        )
    dims = [0, *range(2, x.ndim)]
    return _affine(_normalised(x, dims, eps)[0], weight, bias), None, None


def _cudnn_batch_norm(
    x: Taylor, weight: Any, bias: Any, centre: Any, variance: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, ...]:
    return (*_batch_norm(x, weight, bias, centre, variance, training, momentum, eps), None)


def _no_training(
    x: Taylor, weight: Any, bias: Any, centre: Any, variance: Any, momentum: float, eps: float
) -> tuple[Any, ...]:
    return _batch_norm(x, weight, bias, centre, variance, False, momentum, eps)


def _rms_norm(x: Taylor, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> tuple[Taylor, Taylor]:
    eps = torch.finfo(x.t.dtype).eps if eps is None else eps
    over = list(range(-len(shape), 0))
    shifted: Taylor = add(mean(multiply(x, x), over, True), eps)
    root = chain(shifted, *rsqrt(shifted.v))
    return _affine(product(x, root), weight, None), root


def composed_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    """Return `torch.nn.functional.layer_norm` as a composition of elementary operations."""
    out: Tensor = _layer_norm(input, normalized_shape, weight, bias, eps)[0]
    return out


def composed_instance_norm(
    input: Tensor,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return `torch.nn.functional.instance_norm` as a composition of elementary operations."""
    if not use_input_stats:
        return F.instance_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    out = _normalised(input, range(2, input.ndim), eps)[0]
    affine: Tensor = _affine(out, _per_channel(weight, input.ndim), _per_channel(bias, input.ndim))
    return affine


NORMALISATION_RULES: dict[Any, Rule] = {
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
