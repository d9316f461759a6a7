r"""The angle t between a von Mises-Fisher draw on S^{d-1} and the mean direction: moments and quantiles.

    f(t) = sin^{d-2}(t) e^{-kappa q(t)} / Z,    q(t) = 1 - cos t = 2 sin^2(t/2),    Z = int_0^pi sin^{d-2} e^{-kappa q}

The part of [0, pi] that holds all but e^{-40} of the mass is cut into cells of less than two standard deviations, with
a Gauss-Legendre rule in each. In terms of q rather than cos t no sum cancels, however large kappa is.

The quantile t(u) solves F(t) = u in its cell by Halley's method, kept inside a shrinking bracket, from the guess that
F^{1/(d-1)}, which is proportional to t near 0, is linear over the cell; beyond the median, that log(1 - F) is.
Integrals over part of a cell start at its left end below the median and at its right end above it, so that both tails
keep their digits, and so does the implicit derivative

    dt/dkappa = -(dF/dkappa) / f,    dF/dkappa = int_0^t (E[q] - q) f ds = -int_t^pi (E[q] - q) f ds .

Everything is computed in double precision.

Reference: Figurnov, Mohamed & Mnih, "Implicit reparameterization gradients" (2018), https://arxiv.org/abs/1805.08498.
"""

from __future__ import annotations

from functools import cache
from math import pi
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["AngleTable", "angle_quantile", "angle_table", "largest_concentration", "log_normaliser", "mean_versine"]

_CELLS, _NODES, _BELOW, _ABOVE, _STEPS = 16, 8, 10.5, 18.0, 3


def largest_concentration(dtype: torch.dtype) -> float:
    """Return eps^{-3/2}, 2.4e10 in float32, where the typical angle is still fifty times the rounding of a code."""
    return float(torch.finfo(dtype).eps) ** -1.5


class AngleTable(NamedTuple):
    """Tabulated moments and cumulative probabilities of the angle at concentrations kappa (B,), without gradient.

    Attributes:
        kappa: the concentrations, (B,).
        d: dimension of the space around the sphere.
        log_z: log Z, (B,).
        mean: E[q], (B,), minus the derivative of log Z.
        variance: Var(q), (B,), minus the derivative of the mean.
        edges: ends of the cells, (B, C + 1).
        below: mass below every edge, (B, C + 1).
        above: mass above every edge.
        gained_below: derivative of `below` in kappa.
        gained_above: derivative of `above` in kappa.

    """

    kappa: Tensor
    d: int
    log_z: Tensor
    mean: Tensor
    variance: Tensor
    edges: Tensor
    below: Tensor
    above: Tensor
    gained_below: Tensor
    gained_above: Tensor

    def density(self, start: Tensor, end: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Return q and f at the nodes (K,) between two angles (B, n), both (B, n, K)."""
        s = start.unsqueeze(-1) + (end - start).unsqueeze(-1) * nodes
        q = _versine(s)
        return q, torch.exp((self.d - 2) * _log_sine(s) - self.kappa[:, None, None] * q - self.log_z[:, None, None])


@torch.no_grad()
def angle_table(kappa: Tensor, d: int) -> AngleTable:
    """Return the table for concentrations kappa (B,) >= 0 in d >= 2 dimensions."""
    kappa = kappa.double()
    low, high = _range(kappa, d)
    edges = torch.lerp(
        low[:, None], high[:, None], torch.linspace(0, 1, _CELLS + 1, dtype=kappa.dtype, device=kappa.device)
    )
    nodes, weights = _legendre(kappa.device)
    width = ((high - low) / _CELLS)[:, None, None]
    t = edges[:, :-1, None] + width * nodes[:-1]
    q = _versine(t)
    log_f = (d - 2) * _log_sine(t) - kappa[:, None, None] * q
    peak = log_f.amax((-2, -1), keepdim=True)
    f = torch.exp(log_f - peak) * (width * weights[:-1])
    z = f.sum((-2, -1), keepdim=True)
    f = f / z
    mean = (f * q).sum((-2, -1), keepdim=True)
    gain = f * (mean - q)
    variance = -(gain * q).sum((-2, -1))
    mass, gain = f.sum(-1), gain.sum(-1)
    log_z, mean = (peak + z.log()).flatten(), mean.flatten()
    return AngleTable(kappa, d, log_z, mean, variance, edges, _before(mass), _after(mass), _before(gain), _after(gain))


def log_normaliser(kappa: Tensor, table: AngleTable) -> Tensor:
    """Return log Z, (B,), with its derivative in the concentrations kappa (B,), those of the table."""
    return _known(kappa, table.log_z, -table.mean)


def mean_versine(kappa: Tensor, table: AngleTable) -> Tensor:
    """Return E[q] = 1 - A(kappa), (B,), with its derivative in the concentrations kappa (B,), those of the table."""
    return _known(kappa, table.mean, -table.variance)


def angle_quantile(kappa: Tensor, share: Tensor, table: AngleTable) -> Tensor:
    """Return the angles t with F(t; kappa) = share.

    Args:
        kappa: concentrations (n, B), those of the table; the angles have their derivative in it.
        share: shares of the mass, in (0, 1), (n, B).
        table: the table for the concentrations (B,).

    Returns:
        Angles in [0, pi], (n, B).

    """
    with torch.no_grad():
        t, slope = _solve(table, share.double().mT.contiguous())
    return _known(kappa, t.mT, slope.mT)


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


def _range(kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Return the ends of the angles with all but negligible mass; the mode has kappa sin^2 t = (d - 2) cos t."""
    n = float(d - 2)
    root = torch.sqrt(n**2 + 4 * kappa**2)
    q = (n + n**2 / (root + 2 * kappa)) / (n + root) if n else torch.zeros_like(kappa)
    mode = 2 * torch.asin((q / 2).sqrt())
    deviation = (kappa * (1 - q) + (n / torch.sin(mode).square() if n else 0.0)).rsqrt()
    return (mode - _BELOW * deviation).clamp(min=0.0), (mode + _ABOVE * deviation).clamp(max=pi)


def _solve(table: AngleTable, u: Tensor) -> tuple[Tensor, Tensor]:
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
        bend = newton * ((table.d - 2) / torch.tan(t) - table.kappa[:, None] * torch.sin(t)) / 2
        halley = t - newton / (1 - bend.clamp(max=0.5))
        t = torch.where((halley >= left) & (halley <= right), halley, (left + right) / 2)
    q, f = table.density(start, t, nodes)
    here = (t - start) * (f * (table.mean[:, None, None] - q) * weights).sum(-1)
    there = torch.where(upper, -table.gained_above.gather(-1, cell + 1), table.gained_below.gather(-1, cell))
    return t, torch.where(f[..., -1] > 0, -(there + here) / f[..., -1], 0)


def _guess(table: AngleTable, cell: Tensor, u: Tensor, upper: Tensor) -> Tensor:
    """Return the part of its cell at which t lies if F^{1/(d-1)} or, beyond the median, log(1 - F) is linear there."""
    first, last = (
        torch.where(upper, table.above.gather(-1, edge), table.below.gather(-1, edge)) for edge in (cell, cell + 1)
    )
    rest = torch.where(upper, 1 - u, u)
    exponential = upper & (last > 0)
    a, x, b = (torch.where(exponential, mass.log(), mass ** (1 / (table.d - 1))) for mass in (first, rest, last))
    return ((x - a) / (b - a)).clamp(0, 1)


def _before(x: Tensor) -> Tensor:
    """Return the sums (B, C + 1) over the cells below every edge, of (B, C)."""
    return torch.nn.functional.pad(x.cumsum(-1), (1, 0))


def _after(x: Tensor) -> Tensor:
    """Return the sums (B, C + 1) over the cells above every edge, of (B, C)."""
    return _before(x.flip(-1)).flip(-1)


def _versine(t: Tensor) -> Tensor:
    """Return 1 - cos t."""
    return 2 * torch.sin(t / 2).square()


def _log_sine(t: Tensor) -> Tensor:
    """Return log sin t, finite at 0 and pi."""
    return torch.log(torch.sin(t).clamp(min=torch.finfo(t.dtype).tiny))


@cache
def _legendre(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and weights on [0, 1], and after them the end 1 with weight 0, (K + 1,) each.

    They are kept, since a copy to an accelerator would make every step wait.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(_NODES)
    rule = numpy.stack([[*(nodes + 1) / 2, 1.0], [*weights / 2, 0.0]])
    on_device = torch.tensor(rule, dtype=torch.float64, device=device)
    return on_device[0], on_device[1]
