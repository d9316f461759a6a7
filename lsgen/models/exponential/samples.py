"""Samples of a family of distributions, each with the parameters that it was drawn at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["FamilySamples"]

MOST_NODES = 1024


@dataclass(frozen=True, eq=False)
class FamilySamples:
    """Observations of a family p(x|t) with the parameters of each.

    Where there are at most 1,024 distinct parameters, these are the nodes. Else the box is divided into cells, about as
    many, and a node is the mean of the parameters within one; means over its observations are right up to the third
    derivative of log Z times the variance of the parameters in a cell.

    Args:
        x: observations (N, *shape), taken as float32.
        t: parameters (N, d), taken as float64.

    Attributes:
        nodes: parameters of the nodes, (G, d).
        node: number of the node of each observation, int64 (N,).
        distinct: whether the nodes are all parameters that occur.

    Raises:
        ValueError: numbers of rows differ, there are none, values are not finite, or a parameter has one value alone.

    """

    x: Tensor
    t: Tensor

    def __post_init__(self) -> None:
        if self.t.ndim != 2 or self.x.ndim < 2 or len(self.t) != len(self.x) or not self.t.numel():
            raise ValueError(
                f"expected observations (N, *shape) with parameters (N, d), got {tuple(self.x.shape)} and "
                f"{tuple(self.t.shape)}"
            )
        object.__setattr__(self, "x", self.x.detach().float())
        object.__setattr__(self, "t", self.t.detach().double())
        if not bool(self.t.isfinite().all()) or not bool(self.x.isfinite().all()):
            raise ValueError("expected finite observations and parameters, got infinite ones or NaN")
        if len(self.t) < 2 or not bool((self.high > self.low).all()):
            raise ValueError(f"expected at least 2 values of every parameter, got the box {self.low} to {self.high}")

    @property
    def dim(self) -> int:
        """The number d of parameters."""
        return self.t.shape[1]

    @cached_property
    def low(self) -> Tensor:
        """Least value of each parameter, (d,)."""
        return self.t.amin(0)

    @cached_property
    def high(self) -> Tensor:
        """Greatest value of each parameter, (d,)."""
        return self.t.amax(0)

    @cached_property
    def _grouped(self) -> tuple[Tensor, Tensor, bool]:
        nodes, node = self.t.unique(dim=0, return_inverse=True)
        if len(nodes) <= MOST_NODES:
            return nodes, node, True
        cells = max(2, int(MOST_NODES ** (1 / self.dim)))
        place = ((self.t - self.low) / (self.high - self.low) * cells).long().clamp(max=cells - 1)
        node = place.unique(dim=0, return_inverse=True)[1]
        return _means(self.t, node, int(node.max()) + 1), node, False

    @property
    def nodes(self) -> Tensor:
        """The parameters of the nodes."""
        return self._grouped[0]

    @property
    def node(self) -> Tensor:
        """The number of the node of each observation."""
        return self._grouped[1]

    @property
    def distinct(self) -> bool:
        """Whether every parameter that occurs is a node."""
        return self._grouped[2]

    @cached_property
    def counts(self) -> Tensor:
        """The number of observations at each node, float64 (G,)."""
        return self.node.bincount(minlength=len(self.nodes)).double()

    def mean(self, values: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the means (G, ...) over the observations of each node of values (N, ...), in float64.

        Args:
            values: one for each observation, or for each of the rows.
            rows: the numbers of those that count; a node without any has NaN.

        """
        return _means(values, self.node if rows is None else self.node[rows], len(self.nodes))

    def halves(self, run: int = 1) -> tuple[Tensor, Tensor]:
        """Return the rows of one half of the observations of each node and those of the other, in turns of a length."""
        order = self.node.argsort(stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        first = rank // run % 2 == 0
        return first.nonzero()[:, 0], (~first).nonzero()[:, 0]

    def scaled(self, t: Tensor) -> Tensor:
        """Return parameters (..., d) in units in which the box is [-1, 1]^d."""
        return (2 * t - self.low - self.high) / (self.high - self.low)

    def grid(self, size: int) -> Tensor:
        """Return the nodes of a regular grid over the box, (size^d, d)."""
        return box_grid(self.low, self.high, size)


def _means(values: Tensor, group: Tensor, groups: int) -> Tensor:
    count = group.bincount(minlength=groups).double()
    total = torch.zeros(groups, *values.shape[1:], dtype=torch.float64, device=values.device)
    return total.index_add_(0, group, values.double()) / count.reshape(-1, *[1] * (values.ndim - 1))


def ranked(group: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, one group (N,) after another, and the place of each within its group."""
    order = group.argsort(stable=True)
    counts = group.bincount()
    return order, torch.arange(len(order)) - (counts.cumsum(0) - counts)[group[order]]


def first_of_each(group: Tensor, most: int) -> Tensor:
    """Return the rows of the first so many members of every group (N,), one group after another."""
    order, rank = ranked(group)
    return order[rank < most]


def box_grid(low: Tensor, high: Tensor, size: int) -> Tensor:
    """Return the nodes of a regular grid over a box, (size^d, d)."""
    axes = [torch.linspace(a, b, size, dtype=torch.float64) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    return torch.cartesian_prod(*axes).reshape(-1, len(low))


def check_at(values: Any, low: Tensor, high: Tensor) -> Tensor:
    """Return parameters (..., d) in float64, refused where they lie outside of a box.

    Raises:
        ValueError: the shape is another, or a parameter is not in the box, up to rounding.

    """
    t = torch.as_tensor(values).double()
    if t.ndim < 1 or t.shape[-1] != len(low):
        raise ValueError(f"expected parameters (..., {len(low)}), got {tuple(t.shape)}")
    slack = 1e-9 * (high - low)
    bad = ~((t >= low - slack) & (t <= high + slack)).all(-1)
    if bool(bad.any()):
        raise ValueError(
            f"expected parameters in the box {low.tolist()} to {high.tolist()} that was sampled, got "
            f"{t[bad].reshape(-1, len(low))[0].tolist()}"
        )
    return t
