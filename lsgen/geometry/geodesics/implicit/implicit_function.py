r"""Derivatives of the solution of an equation, by the implicit function theorem.

Where z solves F(z, theta) = 0 and H = -dF/dz is not singular,

    dz = H^-1 dF    at fixed z,    or backwards    v -> (dF/dtheta)^T H^-T v .

So the solution, a constant, gets its derivatives by adding a step that is zero: F is evaluated at the solution as a
function of theta alone, and the linear system is solved when a derivative is asked for, not before.

Reference: Krantz & Parks, "The Implicit Function Theorem" (2002), chapter 3; Griewank & Walther, "Evaluating
Derivatives" (2008), chapter 15, for derivatives of what an iteration solves.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["LinearSystem", "first_derivative", "implicit_step", "without_derivative"]

SECOND = "expected first derivatives of a geodesic or a Frechet mean, got a request for second ones"


class LinearSystem(Protocol):
    """The matrix H = -dF/dz at the solution of an equation."""

    def solve(self, side: Tensor, transposed: bool) -> Tensor:
        """Return H^-1 v or H^-T v for values v (..., *shape of F)."""


class _Solved(torch.autograd.Function):
    """Solves H x = v or H^T x = v; a second derivative, which needs that of H, is refused."""

    @staticmethod
    def forward(side: Tensor, residual: Tensor, system: LinearSystem, transposed: bool) -> Tensor:
        return system.solve(side, transposed)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        raise NotImplementedError(SECOND)

    @staticmethod
    def jvp(ctx: Any, *slopes: Any) -> Any:
        raise NotImplementedError(SECOND)

    @staticmethod
    def vmap(
        info: Any, places: Any, side: Tensor, residual: Tensor, system: LinearSystem, transposed: bool
    ) -> tuple[Tensor, int]:
        return _Solved.apply(side.movedim(places[0], 0), residual, system, transposed), 0


class _Step(torch.autograd.Function):
    """Maps F to zeros whose derivative by F is H^-1."""

    @staticmethod
    def forward(residual: Tensor, system: LinearSystem) -> Tensor:
        return torch.zeros_like(residual)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        residual, ctx.system = inputs
        ctx.save_for_backward(residual)
        ctx.save_for_forward(residual)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return _Solved.apply(slope, *ctx.saved_tensors, ctx.system, True), None

    @staticmethod
    def jvp(ctx: Any, change: Tensor, _: Any) -> Tensor:
        return _Solved.apply(change, *ctx.saved_tensors, ctx.system, False)

    @staticmethod
    def vmap(info: Any, places: Any, residual: Tensor, system: LinearSystem) -> tuple[Tensor, Any]:
        return _Step.apply(residual, system), places[0]


class _Undefined:
    """The system of points that solve no equation: derivatives are NaN, or 0 if the incoming derivative is 0."""

    def solve(self, side: Tensor, transposed: bool) -> Tensor:
        return torch.where(side == 0, 0, torch.nan).to(side)


class _Identity:
    """The identity as a linear system."""

    def solve(self, side: Tensor, transposed: bool) -> Tensor:
        return side.clone()


def implicit_step(residual: Tensor, system: LinearSystem) -> Tensor:
    """Return zeros with the derivatives of the solution of F = 0.

    Args:
        residual: F at the solution (a constant), as a function of all else.
        system: H = -dF/dz.

    """
    step: Tensor = _Step.apply(residual, system)
    return step


def first_derivative(x: Tensor) -> Tensor:
    """Return zeros in the shape of x that have its first derivatives; second ones are refused."""
    return implicit_step(x, _Identity())


def without_derivative(x: Tensor) -> Tensor:
    """Return zeros in the shape of x whose derivative is NaN wherever it is used."""
    return implicit_step(x, _Undefined())
