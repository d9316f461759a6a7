r"""Second-order Taylor expansions of a tensor along many directions at once.

Let x depend on a parameter s in R^d. Beside its value x the propagation carries the first derivatives
J_i = dx/ds_i and the second derivatives H_ij = d^2 x/ds_i ds_j, i <= j. Through y = f(x) they become

    J_i <- f'(x) J_i,        H_ij <- f'(x) H_ij + f''(x)[J_i, J_j],

so the d first derivatives are shared by all d(d+1)/2 pairs, and a linear f acts on all of them as on one
larger batch. `Taylor` stores J and H in one tensor t of shape (K, *x.shape): K = d where every H_ij is zero (or
not asked for) and K = d + d(d+1)/2 otherwise, the pairs in the order (0,0), (0,1), ..., (0,d-1), (1,1), ... A frame
may also be split into two sets of directions, whose second derivatives are H_ij with i in the first set and j in the
second: all H_ij of many directions come in tiles of bounded size that way.

Reference: Griewank & Walther, "Evaluating Derivatives" (2008), chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.compat import is_plain

__all__ = [
    "Frame",
    "NoRule",
    "Rule",
    "Taylor",
    "chain",
    "derivatives",
    "matrix_product",
    "only_first",
    "pair_products",
    "product",
    "replaceable",
    "value_of",
    "with_second_order",
]

Rule = Callable[..., Any]
"""How an operation acts: it takes the operation's arguments, some of them `Taylor`, and returns its result."""


class NoRule(Exception):
    """The rule of an operation does not cover these arguments; the reason is the message."""


class Frame:
    """The directions along which a map is expanded, and the order of the expansion.

    Args:
        d: number of directions.
        order: 1 for first derivatives only, 2 for both.
        split: the number s of directions in the first of two sets, whose pairs are i < s <= j; 0 for all pairs i <= j.

    Attributes:
        pairs: number of pairs, d(d + 1) / 2 or s(d - s).
        blocks: i and the first j with the range start, stop of the pairs (i, j), (i, j+1), ..., (i, d-1), for every i.

    """

    def __init__(self, d: int, order: int, split: int = 0) -> None:
        self.d, self.order, self.split = d, order, split
        self.pairs = split * (d - split) if split else d * (d + 1) // 2
        self.blocks = []
        start = 0
        for i in range(split or d):
            first = split or i
            self.blocks.append((i, first, start, start + d - first))
            start += d - first

    def indices(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the members i and j of every pair, each of shape (pairs,)."""
        if self.split:
            i, j = torch.cartesian_prod(*torch.arange(self.d, device=device).tensor_split([self.split])).unbind(1)
            return i, j
        i, j = torch.triu_indices(self.d, self.d, device=device).unbind(0)
        return i, j

    def places(self, device: torch.device) -> Tensor:
        """Return the symmetric matrix (d, d) of the indices of the pairs (i, j)."""
        i, j = self.indices(device)
        place = torch.empty(self.d, self.d, dtype=torch.long, device=device)
        place[i, j] = place[j, i] = torch.arange(self.pairs, device=device)
        return place


class Lazy:
    """A tensor that is computed when it is first needed."""

    __slots__ = ("make", "value")

    def __init__(self, make: Callable[[], Tensor] | None = None, value: Tensor | None = None) -> None:
        self.make, self.value = make, value

    def get(self) -> Tensor:
        """Return the tensor."""
        if self.value is None:
            assert self.make is not None
            self.value, self.make = self.make(), None
        return self.value


class Taylor:
    """A tensor with its first and second derivatives along the directions of a frame.

    Args:
        frame: the directions.
        value: the tensor, or how to compute it.
        t: its derivatives (K, *shape), see the module.
        replaceable: whether nothing else uses t, so that its memory may be used for other derivatives.

    """

    __slots__ = ("frame", "lazy", "replaceable", "t")

    def __init__(self, frame: Frame, value: Tensor | Lazy, t: Tensor, replaceable: bool = False) -> None:
        self.frame, self.t, self.replaceable = frame, t, replaceable
        self.lazy = value if isinstance(value, Lazy) else Lazy(value=value)

    @property
    def v(self) -> Tensor:
        """The value."""
        return self.lazy.get()

    @property
    def curved(self) -> bool:
        """Whether second derivatives are stored; otherwise they are zero."""
        return self.t.shape[0] > self.frame.d

    @property
    def j(self) -> Tensor:
        """First derivatives (d, *shape)."""
        return self.t[: self.frame.d]

    @property
    def ndim(self) -> int:
        """Number of dimensions of the value."""
        return self.t.ndim - 1

    @property
    def shape(self) -> torch.Size:
        """Shape of the value."""
        return self.t.shape[1:]

    def broadcastable(self, ndim: int) -> Tensor:
        """Return t with dimensions of size one after its first, so that it broadcasts against `ndim` dimensions."""
        missing = ndim - self.ndim
        return self.t if missing <= 0 else self.t.reshape(self.t.shape[0], *[1] * missing, *self.shape)

    def map(self, on_value: Callable[[Tensor], Tensor], on_t: Callable[[Tensor], Tensor]) -> Taylor:
        """Return the image under an affine map.

        Args:
            on_value: the map.
            on_t: its linear part, for derivatives (K, *shape).

        """
        lazy = self.lazy
        return Taylor(self.frame, Lazy(lambda: on_value(lazy.get())), on_t(self.t))


def only_first(name: str, others: Iterable[Any]) -> None:
    """Refuse arguments that depend on z other than the first.

    Raises:
        NoRule: one of the others does.

    """
    if any(isinstance(a, Taylor) for a in others):
        raise NoRule(f"{name} with more than one argument that depends on z")


def value_of(x: Any) -> Any:
    """Return the value of an expansion, and anything else as it is."""
    return x.v if isinstance(x, Taylor) else x


def derivatives(x: Any, like: Taylor, size: int) -> Tensor:
    """Return the derivatives (size, *shape) of an expansion, or zeros for a constant tensor."""
    if not isinstance(x, Taylor):
        return like.t.new_zeros(()).expand(size, *x.shape)
    return x.t if x.t.shape[0] == size else with_second_order(x).t


def with_second_order(x: Taylor) -> Taylor:
    """Return x with second derivatives stored, as zeros if it had none."""
    if x.curved or x.frame.order == 1:
        return x
    return Taylor(x.frame, x.lazy, torch.cat([x.t, x.t.new_zeros(x.frame.pairs, *x.shape)]))


def replaceable(x: Taylor) -> Taylor:
    """Return x with derivatives that may be overwritten, unless they are followed by autograd or share numbers."""
    kept = x.t.requires_grad or 0 in x.t.stride() or not is_plain(x.t)
    return x if kept else Taylor(x.frame, x.lazy, x.t, True)


def chain(x: Taylor, f: Tensor, f1: Tensor, second: Callable[[], Tensor] | None) -> Taylor:
    """Return the expansion of an elementwise function f of x by the chain rule.

    Args:
        x: the expansion of its argument.
        f: f(x).
        f1: f'(x).
        second: a function that returns f''(x), None if that is zero.

    """
    frame = x.frame
    in_place = x.replaceable and is_plain(f1) and not f1.requires_grad
    if second is None or frame.order == 1:
        return Taylor(frame, f, x.t.mul_(f1) if in_place else x.t * f1)
    f2 = second()
    if not x.curved:
        return Taylor(frame, f, torch.cat([x.t * f1, *((f2 * x.t[i]) * x.t[j:] for i, j, _, _ in frame.blocks)]))
    if in_place:
        t, h = x.t, x.t[frame.d :].mul_(f1)
    else:
        t = x.t * f1
        h = t[frame.d :]
    for i, j, start, stop in frame.blocks:
        h[start:stop].addcmul_(x.t[j : frame.d], f2 * x.t[i])
    if in_place:
        x.j.mul_(f1)
    return Taylor(frame, f, t)


def product(a: Taylor, b: Taylor) -> Taylor:
    """Return the elementwise product of two expansions, with broadcasting."""
    frame = a.frame
    if a.curved != b.curved:
        a, b = with_second_order(a), with_second_order(b)
    ndim = max(a.ndim, b.ndim)
    a_t, b_t = a.broadcastable(ndim), b.broadcastable(ndim)
    t = torch.addcmul(b_t * a.v, a_t, b.v)
    if frame.order == 2:
        h = t[frame.d :]
        blocks = []
        for i, j, start, stop in frame.blocks:
            a_i, b_i, a_j, b_j = a_t[i], b_t[i], a_t[j : frame.d], b_t[j : frame.d]
            if a.curved:
                h[start:stop].addcmul_(a_i, b_j).addcmul_(b_i, a_j)
            else:
                blocks.append(torch.addcmul(a_i * b_j, b_i, a_j))
        t = t if a.curved else torch.cat([t, *blocks])
    return Taylor(frame, a.v * b.v, t)


def matrix_product(a: Taylor, b: Taylor) -> Taylor:
    """Return the matrix products of two expansions (N, p, q) and (N, q, r).

    One direction is computed at a time, so that the sums of up to four products stay in cache.
    """
    frame = a.frame
    slabs = [_slab(a, b, k) for k in range(max(a.t.shape[0], b.t.shape[0]))]
    if frame.order == 2:
        slabs += [torch.zeros_like(slabs[0]) for _ in range(frame.d + frame.pairs - len(slabs))]
        for i, first, start, stop in frame.blocks:
            for j, k in zip(range(first, frame.d), range(start, stop), strict=True):
                slabs[frame.d + k].baddbmm_(a.t[i], b.t[j], alpha=2 if i == j else 1)
                if i != j:
                    slabs[frame.d + k].baddbmm_(a.t[j], b.t[i])
    return Taylor(frame, torch.bmm(a.v, b.v), torch.stack(slabs))


def _slab(a: Taylor, b: Taylor, k: int) -> Tensor:
    """Return the terms a_k b + a b_k of the product's derivative k."""
    if k >= a.t.shape[0]:
        return torch.bmm(a.v, b.t[k])
    slab = torch.bmm(a.t[k], b.v)
    return slab.baddbmm_(a.v, b.t[k]) if k < b.t.shape[0] else slab


def pair_products(frame: Frame, x: Tensor) -> Tensor:
    """Return <x_i, x_j> over the last dimension of first derivatives (d, ..., m), of shape (pairs, ..., 1)."""
    flat = x.flatten(1, -2).transpose(0, 1)
    gram = flat @ flat.mT
    i, j = frame.indices(x.device)
    return gram[:, i, j].transpose(0, 1).reshape(frame.pairs, *x.shape[1:-1], 1)
