r"""Distances t from the centre of a rotationally symmetric distribution on a curved space: moments and quantiles.

    f(t) = g(t)^n e^{-kappa q(t)} / Z,    Z = int_0^end g^n e^{-kappa q},

where g^n is the area of a sphere of radius t over that of the unit sphere, and q grows with t: see `spherical_angles`
and `hyperbolic_radii`. The part that holds all but e^{-40} of the mass is cut into cells of less than two standard
deviations, with a Gauss-Legendre rule in each.

The quantile t(u) solves F(t) = u in its cell by Halley's method, kept inside a shrinking bracket, from the guess that
F^{1/(n+1)}, which is proportional to t near 0, is linear over the cell; beyond the median, that log(1 - F) is.
Integrals over part of a cell start at its left end below the median and at its right end above it, so that both tails
keep their digits, and so does the implicit derivative

    dt/dkappa = -(dF/dkappa) / f,    dF/dkappa = int_0^t (E[q] - q) f ds = -int_t^end (E[q] - q) f ds .

Everything is computed in double precision.

Reference: Figurnov, Mohamed & Mnih, "Implicit reparameterization gradients" (2018), https://arxiv.org/abs/1805.08498.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["RadialLaw", "RadialTable", "log_normaliser", "mean_statistic", "radial_quantile", "radial_table"]

_CELLS, _NODES, _BELOW, _ABOVE, _STEPS = 16, 8, 10.5, 18.0, 3


@dataclass(frozen=True)
class RadialLaw(ABC):
    """Abstract family of densities of a distance; n is the dimension of the spheres around the centre."""

    n: int

    @abstractmethod
    def statistic(self, t: Tensor) -> Tensor:
        """Return q(t)."""

    @abstractmethod
    def log_circumference(self, t: Tensor) -> Tensor:
        """Return log g(t), finite at 0."""

    @abstractmethod
    def slope(self, t: Tensor, kappa: Tensor) -> Tensor:
        """Return the derivative n g'/g - kappa q' of the log density."""

    @abstractmethod
    def mode(self, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the density is greatest, (B,), and the deviation of the normal that it is like there, (B,)."""

    @abstractmethod
    def within(self, t: Tensor) -> Tensor:
        """Return distances, those beyond the end of the space moved to it."""


class RadialTable(NamedTuple):
    """Tabulated moments and cumulative probabilities of the distance at kappa (B,), without gradient.

    Attributes:
        law: the family.
        kappa: the parameters, (B,).
        log_z: log Z, (B,).
        mean: E[q], (B,), minus the derivative of log Z.
        variance: Var(q), (B,), minus the derivative of the mean.
        edges: ends of the cells, (B, C + 1).
        below: mass below every edge, (B, C + 1).
        above: mass above every edge.
        gained_below: derivative of `below` in kappa.
        gained_above: derivative of `above` in kappa.

    """

    law: RadialLaw
    kappa: Tensor
    log_z: Tensor
    mean: Tensor
    variance: Tensor
    edges: Tensor
    below: Tensor
    above: Tensor
    gained_below: Tensor
    gained_above: Tensor

    def density(self, start: Tensor, end: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Return q and f at the nodes (K,) between two distances (B, n), both (B, n, K)."""
        s = start.unsqueeze(-1) + (end - start).unsqueeze(-1) * nodes
        log_f, q = _log_density(self.law, s, self.kappa[:, None, None])
        return q, torch.exp(log_f - self.log_z[:, None, None])


@torch.no_grad()
def radial_table(law: RadialLaw, kappa: Tensor) -> RadialTable:
    """Return the table for parameters kappa (B,)."""
    kappa = kappa.double()
    mode, deviation = law.mode(kappa)
    low, high = (mode - _BELOW * deviation).clamp(min=0.0), law.within(mode + _ABOVE * deviation)
    edges = torch.lerp(
        low[:, None], high[:, None], torch.linspace(0, 1, _CELLS + 1, dtype=kappa.dtype, device=kappa.device)
    )
    nodes, weights = _legendre(kappa.device)
    width = ((high - low) / _CELLS)[:, None, None]
    log_f, q = _log_density(law, edges[:, :-1, None] + width * nodes[:-1], kappa[:, None, None])
    peak = log_f.amax((-2, -1), keepdim=True)
    f = torch.exp(log_f - peak) * (width * weights[:-1])
    z = f.sum((-2, -1), keepdim=True)
    f = f / z
    mean = (f * q).sum((-2, -1), keepdim=True)
    gain = f * (mean - q)
    variance = -(gain * q).sum((-2, -1))
    mass, gain = f.sum(-1), gain.sum(-1)
    log_z, mean = (peak + z.log()).flatten(), mean.flatten()
    sums = _before(mass), _after(mass), _before(gain), _after(gain)
    return RadialTable(law, kappa, log_z, mean, variance, edges, *sums)


def log_normaliser(kappa: Tensor, table: RadialTable) -> Tensor:
    """Return log Z, (B,), with its derivative in the parameters kappa (B,), those of the table."""
    return _known(kappa, table.log_z, -table.mean)


def mean_statistic(kappa: Tensor, table: RadialTable) -> Tensor:
    """Return E[q], (B,), with its derivative in the parameters kappa (B,), those of the table."""
    return _known(kappa, table.mean, -table.variance)


def radial_quantile(kappa: Tensor, share: Tensor, table: RadialTable) -> Tensor:
    """Return the distances t with F(t; kappa) = share.

    Args:
        kappa: parameters (n, B), those of the table; the distances have their derivative in it.
        share: shares of the mass, in (0, 1), (n, B).
        table: the table for the parameters (B,).

    Returns:
        Distances (n, B).

    """
    with torch.no_grad():
        t, slope = _solve(table, share.double().mT.contiguous())
    return _known(kappa, t.mT, slope.mT)


def _log_density(law: RadialLaw, t: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """Return n log g - kappa q, and q."""
    q = law.statistic(t)
    return law.n * law.log_circumference(t) - kappa * q, q


def _known(kappa: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    known: Tensor = _KnownSlope.apply(kappa.double(), value, slope)
    return known


class _KnownSlope(torch.autograd.Function):
    """A function of kappa with a given value and first derivative, and no second derivative."""

    @staticmethod
    def forward(ctx: Any, kappa: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None


def _solve(table: RadialTable, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return t with F(t) = u, and dt/dkappa, for u (B, n)."""
    odds = table.below.log() - table.above.log()
    cell = torch.searchsorted(odds[:, 1:-1].contiguous(), torch.logit(u))
    left, right = table.edges.gather(-1, cell), table.edges.gather(-1, cell + 1)
    upper = u > 0.5
    t = left + (right - left) * _guess(table, cell, u, upper)
    start = torch.where(upper, right, left)
    target = torch.where(upper, table.above.gather(-1, cell + 1) - (1 - u), u - table.below.gather(-1, cell))
    nodes, weights = _legendre(u.device)
    for _ in range(_STEPS):
        _, f = table.density(start, t, nodes)
        error = (t - start) * (f * weights).sum(-1) - target
        left, right = torch.where(error < 0, t, left), torch.where(error > 0, t, right)
        newton = error / f[..., -1]
        bend = newton * table.law.slope(t, table.kappa[:, None]) / 2
        halley = t - newton / (1 - bend.clamp(max=0.5))
        t = torch.where((halley >= left) & (halley <= right), halley, (left + right) / 2)
    q, f = table.density(start, t, nodes)
    here = (t - start) * (f * (table.mean[:, None, None] - q) * weights).sum(-1)
    there = torch.where(upper, -table.gained_above.gather(-1, cell + 1), table.gained_below.gather(-1, cell))
    return t, torch.where(f[..., -1] > 0, -(there + here) / f[..., -1], 0)


def _guess(table: RadialTable, cell: Tensor, u: Tensor, upper: Tensor) -> Tensor:
    """Return the part of its cell at which t lies if F^{1/(n+1)} or, beyond the median, log(1 - F) is linear there."""
    first, last = (
        torch.where(upper, table.above.gather(-1, edge), table.below.gather(-1, edge)) for edge in (cell, cell + 1)
    )
    rest = torch.where(upper, 1 - u, u)
    exponential = upper & (last > 0)
    a, x, b = (torch.where(exponential, mass.log(), mass ** (1 / (table.law.n + 1))) for mass in (first, rest, last))
    return ((x - a) / (b - a)).clamp(0, 1)


def _before(x: Tensor) -> Tensor:
    """Return the sums (B, C + 1) over the cells below every edge, of (B, C)."""
    return torch.nn.functional.pad(x.cumsum(-1), (1, 0))


def _after(x: Tensor) -> Tensor:
    """Return the sums (B, C + 1) over the cells above every edge, of (B, C)."""
    return _before(x.flip(-1)).flip(-1)


@cache
def _legendre(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and weights on [0, 1], and after them the end 1 with weight 0, (K + 1,) each.

    They are kept, since a copy to an accelerator would make every step wait.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(_NODES)
    rule = numpy.stack([[*(nodes + 1) / 2, 1.0], [*weights / 2, 0.0]])
    on_device = torch.tensor(rule, dtype=torch.float64, device=device)
    return on_device[0], on_device[1]
