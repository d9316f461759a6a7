r"""The Laplace-Beltrami operator between functions on finitely many nodes, as two sparse symmetric matrices.

    int <grad u, grad v> dvol = u^T S v,    int u v dvol = u^T M v,    -Delta u = lambda u  <->  S u = lambda M u

S is the stiffness matrix and M the mass matrix. Both are made by finite elements or from a graph of codes. A constant
function has S u = 0, exactly, on each connected component.

Reference: Rosenberg, "The Laplacian on a Riemannian Manifold" (1997), chapter 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from torch import Tensor

__all__ = ["LaplaceBeltrami", "heat_flow"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LaplaceBeltrami:
    """The Laplace-Beltrami operator on the free ones of n nodes.

    Attributes:
        stiffness: S (m, m), a sparse array of scipy in float64, for m free nodes.
        mass: M (m, m), likewise; diagonal if it comes from a graph.
        free: which of the n nodes are free (n,); the others have the value `elsewhere`.
        elsewhere: 0 for nodes of a boundary held at 0, NaN for codes that the kernel joins to no other.
        held: which free nodes have a neighbour that is held at 0 (m,): constants of their component are not free.
        mass_floor: lower bound of the eigenvalues of M relative to its row sums; 1 if it is diagonal.
        bandwidths: h_i^2 (m,) of a graph, corrected for the truncation of its kernel; 0 for finite elements.
        device: device of the results.

    """

    stiffness: Any
    mass: Any
    free: Array
    elsewhere: float
    held: Array
    mass_floor: float
    bandwidths: Array
    device: torch.device

    @cached_property
    def labels(self) -> Array:
        """The number of the connected component of each free node (m,)."""
        labels: Array = connected_components(abs(self.stiffness) + abs(self.mass), directed=False)[1]
        return labels

    @property
    def nodes(self) -> int:
        """Number n of nodes, free or not."""
        return len(self.free)

    @property
    def components(self) -> int:
        """Number of connected components of the free nodes."""
        return int(self.labels.max()) + 1

    @property
    def node_volumes(self) -> Array:
        """Volume of each free node (m,), the row sums of M."""
        return np.asarray(self.mass.sum(1)).ravel()

    @property
    def volume(self) -> float:
        """Volume of the manifold, without what belongs to nodes held at 0."""
        return float(self.mass.sum())

    def constants(self) -> Array:
        """Return an M-orthonormal basis (m, c) of the functions with S u = 0, the constants of components."""
        free = np.setdiff1d(np.arange(self.components), self.labels[self.held])
        made = (self.labels[:, None] == free).astype(np.float64)
        return made / np.sqrt(self.node_volumes @ made) if len(free) else made

    def filled(self, values: Array) -> Tensor:
        """Return values (m, ...) at free nodes as a tensor (n, ...) over all nodes, in float64."""
        made = np.full((self.nodes, *values.shape[1:]), self.elsewhere)
        made[self.free] = values
        return torch.as_tensor(made, device=self.device)


def heat_flow(operator: LaplaceBeltrami, u: Tensor, time: float, steps: int = 32) -> Tensor:
    r"""Return functions after some time of the heat equation, by implicit steps of second order.

        du/dt = Delta u

    An L-stable Runge-Kutta method of two stages with one factorisation, (M + a dt S) k = -S u, a = 1 - 1/sqrt 2. Total
    heat stays what it is to rounding unless nodes are held at 0.

    Args:
        operator: the Laplace-Beltrami operator.
        u: functions at time 0, (n,) or (n, k), over all nodes; values at nodes that are not free are not read.
        time: how long heat flows, in squared length.
        steps: number of time steps.

    Returns:
        A tensor of the shape of u, in float64.

    Raises:
        ValueError: u has another shape or values that are not finite, time or steps are not positive, or a step is so
            long that the mass is lost beside it in rounding.

    Reference:
        Hairer & Wanner, "Solving Ordinary Differential Equations II" (1996), section IV.6, table 6.4.

    """
    if u.ndim not in (1, 2) or len(u) != operator.nodes:
        raise ValueError(f"expected functions ({operator.nodes},) or ({operator.nodes}, k), got {tuple(u.shape)}")
    if not 0 < time < float("inf") or steps < 1:
        raise ValueError(f"expected a positive time and at least 1 step, got {time} and {steps}")
    now = u.detach().double().cpu().numpy()[operator.free]
    if not np.isfinite(now).all():
        raise ValueError("expected finite functions, got values that are not")
    a, dt = 1 - 1 / sqrt(2), time / steps
    try:
        factor = splu((operator.mass + a * dt * operator.stiffness).tocsc())
    except RuntimeError as error:
        raise ValueError(f"expected a time in which heat has not long settled, got {time}") from error
    constants = operator.constants()
    settled = constants.T @ (operator.mass @ now)
    for _ in range(steps):
        first = factor.solve(-(operator.stiffness @ now))
        second = factor.solve(-(operator.stiffness @ (now + (1 - a) * dt * first)))
        now = now + dt * ((1 - a) * first + a * second)
        now = now + constants @ (settled - constants.T @ (operator.mass @ now))
    return operator.filled(now)
