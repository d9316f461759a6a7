r"""Curves of least expected energy, where the energy is drawn anew at every evaluation.

    minimise E_xi [ E(z_0, ..., z_n; xi) ]    over curves z(t) = (1-t) a + t b + sum_k c_k sin(k pi t) / k

by stochastic gradients on the coefficients c: sines over their frequency make a step of one size for every number of
points, since |z'|^2 is then a sum of squares of c. The result is the mean of the iterates of the second half, which
converges where single iterates keep wandering.

What is minimised depends on n where the draws of neighbouring points are independent. For decoders with mean m and
covariance S at every code, members drawn independently at every point have

    E[n sum_i |f_i(z_i) - f'_{i+1}(z_{i+1})|^2] = n sum_i |m(z_{i+1}) - m(z_i)|^2 + n sum_i tr(S(z_i) + S(z_{i+1})),

and the second sum grows as 2 n^2 int tr S dt: with many points its minimiser is the curve through the least variance,
whatever its length. A member drawn once for a whole curve has no such term; nor has the immersion (f_1, ..., f_M) /
sqrt(M) of fixed members, which `geodesic` takes.

Reference: Polyak & Juditsky, "Acceleration of stochastic approximation by averaging" (1992); Kingma & Ba (2015), Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.latent import paths

__all__ = ["StochasticGeodesic", "stochastic_geodesic"]


class StochasticGeodesic(NamedTuple):
    """Curves of least expected energy, with the standard error of that energy.

    Attributes:
        points: curves (B, N, d), ends included.
        energy: mean energy of the curve over fresh draws (B,).
        error: standard error of that mean (B,).
        straight: mean energy of the straight segment over the same number of draws (B,).
        drift: how far the curve moved between the third and the last quarter of the steps, over |b - a| (B,).

    """

    points: Tensor
    energy: Tensor
    error: Tensor
    straight: Tensor
    drift: Tensor


def stochastic_geodesic(
    energy: Callable[[Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    points: int = 33,
    *,
    modes: int = 8,
    steps: int = 500,
    lr: float = 0.03,
    draws: int = 64,
    initial: Tensor | None = None,
) -> StochasticGeodesic:
    r"""Return curves of least expected energy between codes, for an energy that is drawn anew at every call.

        minimise E_xi [ energy(z; xi) ]

    Args:
        energy: maps curves (B, N, d) to energies (B,), differentiably, with fresh randomness at every call.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N >= 3 on each curve, ends included; the minimiser depends on it where the draws of
            neighbouring points are independent.
        modes: number of sines, at most N - 2.
        steps: number of gradient steps.
        lr: size of a step in units of |b - a|.
        draws: number of draws that measure the energy of the result.
        initial: curves (B, N, d) to start from; straight segments where they are not given.

    Returns:
        `StochasticGeodesic`.

    Raises:
        TypeError: the codes are no floating-point tensors.
        ValueError: shapes differ, a number is out of range, or the energy is not one finite number a curve.

    """
    _check(start, end, points, modes, steps, draws, lr)
    a, b = start.reshape(-1, start.shape[-1]).detach(), end.reshape(-1, end.shape[-1]).detach()
    straight, sines = paths.linear(a, b, points), _sines(points, modes, a)
    size = (b - a).norm(dim=-1)[:, None, None]
    unit = torch.where(size > 0, size, torch.ones_like(size))
    found = torch.zeros(len(a), modes, a.shape[-1], dtype=a.dtype, device=a.device)
    if initial is not None:
        if initial.shape != (*start.shape[:-1], *straight.shape[1:]):
            wanted = (*start.shape[:-1], *straight.shape[1:])
            raise ValueError(f"expected initial curves {wanted}, got {tuple(initial.shape)}")
        found = torch.linalg.pinv(sines) @ ((initial.reshape(straight.shape).to(a) - straight) / unit)

    def curve(c: Tensor) -> Tensor:
        return straight + size * (sines @ c)

    third, last = _averages(lambda c: _energies(energy, curve(c)), found, steps, lr)
    mean = curve((third + last) / 2)
    with torch.no_grad():
        values = torch.stack([_energies(energy, mean) for _ in range(draws)])
        other = torch.stack([_energies(energy, straight) for _ in range(draws)]).mean(0)
    drift = (sines @ (third - last)).norm(dim=-1).amax(-1)
    batch = start.shape[:-1]
    return StochasticGeodesic(
        mean.reshape(*batch, *mean.shape[1:]),
        values.mean(0).reshape(batch),
        (values.std(0) / draws**0.5).reshape(batch),
        other.reshape(batch),
        drift.reshape(batch),
    )


def _averages(loss: Callable[[Tensor], Tensor], at: Tensor, steps: int, lr: float) -> tuple[Tensor, Tensor]:
    """Return the means of the iterates over the third and the last quarter of the steps."""
    c = at.clone().requires_grad_()
    optimiser = torch.optim.Adam([c], lr=lr)
    quarter = max(1, steps // 4)
    means = [torch.zeros_like(at), torch.zeros_like(at)]
    for step in range(steps):
        optimiser.zero_grad()
        with torch.enable_grad():
            value = loss(c)
            (c.grad,) = torch.autograd.grad((value / value.detach().clamp(min=1e-30)).sum(), c)
        optimiser.step()
        left = steps - 1 - step
        if left < 2 * quarter:
            means[int(left < quarter)] += c.detach() / quarter
    return means[0], means[1]


def _energies(energy: Callable[[Tensor], Tensor], curves: Tensor) -> Tensor:
    values = energy(curves)
    if not isinstance(values, Tensor) or values.shape != curves.shape[:1] or not bool(torch.isfinite(values).all()):
        got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"expected finite energies ({len(curves)},), one a curve, got {got} or infinite values")
    return values


def _sines(points: int, modes: int, like: Tensor) -> Tensor:
    t = torch.linspace(0, 1, points, dtype=like.dtype, device=like.device)
    k = torch.arange(1, modes + 1, dtype=like.dtype, device=like.device)
    return torch.sin(pi * k * t[:, None]) / k


def _check(start: Tensor, end: Tensor, points: int, modes: int, steps: int, draws: int, lr: float) -> None:
    if not (isinstance(start, Tensor) and isinstance(end, Tensor) and start.is_floating_point()):
        raise TypeError(f"expected codes as floating-point tensors, got {type(start).__name__}, {type(end).__name__}")
    if start.shape != end.shape or start.dtype != end.dtype or start.ndim < 1:
        raise ValueError(f"expected two ends of one shape and dtype, got {tuple(start.shape)} and {tuple(end.shape)}")
    if points < 3 or not 1 <= modes <= points - 2:
        raise ValueError(f"expected at least 3 points and 1 to points - 2 modes, got {points} and {modes}")
    if steps < 4 or draws < 2 or not lr > 0:
        raise ValueError(f"expected at least 4 steps, 2 draws and a positive lr, got {steps}, {draws} and {lr}")
