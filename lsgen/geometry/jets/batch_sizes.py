"""The trace of a map for any number of points, from its traces for two numbers of points.

Sizes are plain numbers in a trace, which therefore holds for the number N of points that it was made with. A map treats
each point by itself, so that each number s in it is constant or proportional to N,

    s(N_1) = s(N_2)    or    s(N_1) / N_1 = s(N_2) / N_2,

and two traces of the same operations determine the trace for any other N. One point is an exception, because PyTorch
treats dimensions of size one differently.

Symbolic sizes would not replace this: Python's `len(z)` turns them into numbers, values of weights cannot be read where
they are used, and a symbolic trace takes as long as two to four plain ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node

from lsgen.geometry.jets.trace import Fixed, Source, Trace

__all__ = ["inferred_trace"]


class _Unlike(Exception):
    """Two traces differ in more than sizes that are proportional to the number of points."""


def inferred_trace(n: int, known: Iterable[tuple[int, Trace]]) -> Trace | None:
    """Return the trace for n points, None if the first two known traces do not determine it.

    Args:
        n: number of points N.
        known: traces of one map, each with its number of points.

    """
    pairs = [(count, found) for count, found in known if count > 1][:2]
    if n < 2 or len(pairs) < 2:
        return None
    (few, a), (many, b) = pairs
    same = ("input", "output", "packets", "widest", "coarsest", "linear", "rearranging")
    if len(a.steps) != len(b.steps) or any(getattr(a, key) != getattr(b, key) for key in same):
        return None
    if not _same_constants(a, b):
        return None

    def sized(x: Any, y: Any) -> Any:
        if isinstance(x, Node) and isinstance(y, Node) and x.name == y.name:
            return x
        if type(x) is not type(y):
            raise _Unlike
        if isinstance(x, list | tuple) and len(x) == len(y):
            return type(x)(sized(u, v) for u, v in zip(x, y, strict=True))
        if x == y:
            return x
        if type(x) is int and x * many == y * few and x % few == 0:
            return x // few * n
        raise _Unlike

    steps = []
    try:
        for s, t in zip(a.steps, b.steps, strict=True):
            if (s.name, s.target, s.free, s.kwargs.keys()) != (t.name, t.target, t.free, t.kwargs.keys()):
                return None
            kwargs = {key: sized(value, t.kwargs[key]) for key, value in s.kwargs.items()}
            steps.append(replace(s, args=sized(s.args, t.args), kwargs=kwargs))
    except _Unlike:
        return None
    return replace(a, steps=tuple(steps))


def _same_constants(a: Trace, b: Trace) -> bool:
    """Whether two traces use the same weights, and fixed tensors that are equal."""
    if [name for name, _ in a.constants] != [name for name, _ in b.constants]:
        return False
    return all(_same(x, y) for (_, x), (_, y) in zip(a.constants, b.constants, strict=True))


def _same(x: Source, y: Source) -> bool:
    if not isinstance(x, Fixed) or not isinstance(y, Fixed):
        return x == y
    u, v = x.tensor, y.tensor
    return u is v or (u.shape == v.shape and u.dtype == v.dtype and torch.equal(u, v))
