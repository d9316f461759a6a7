"""Derivatives of a potential at points, by automatic differentiation once; solvers trace it instead."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["gradient", "hessian"]

Map = Callable[[Tensor], Tensor]


def gradient(potential: Map, t: Tensor, graph: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Return the points (N, d), values (N,) and derivatives (N, d) of a potential.

    Args:
        potential: (N, d) -> (N,), each row by itself.
        t: points (N, d).
        graph: whether to differentiate again.

    """
    with torch.enable_grad():
        at = t.detach().clone().requires_grad_()
        value = potential(at)
        (slope,) = torch.autograd.grad(value.sum(), at, create_graph=graph)
    return at, value, slope


def hessian(potential: Map, t: Tensor) -> Tensor:
    """Return the second derivatives (N, d, d) of a potential at points (N, d)."""
    at, _, slope = gradient(potential, t, graph=True)
    rows = [torch.autograd.grad(part.sum(), at, retain_graph=True)[0] for part in slope.unbind(1)]
    found = torch.stack(rows, 1).detach()
    return (found + found.mT) / 2
