r"""The discrete energy of curves, Newton systems from interpolated metrics, and the residual of the geodesic equation.

    E = n sum_i e(z_i, z_{i+1}),    F_i = -(1/2n) dE/dz_i    at interior points of curves of n segments

How a segment is measured, its force and its Newton system are those of the metric (`RiemannianMetric`): by chords of an
immersion, by the metric at its middle of a metric given directly.

Reference: Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379, for the energy of latent curves;
Nocedal & Wright, "Numerical Optimization" (2006), chapter 10, for Gauss-Newton.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.factorisation import cholesky, full_rank
from lsgen.geometry.riemannian import Blocks, NewtonSystem, RiemannianMetric, positive_model

__all__ = ["interpolated_system", "raw_energy", "residual", "segments"]

KNOTS = 5


def raw_energy(im: RiemannianMetric, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the discrete energy (B,) of curves (B, N, d), whose segment data may be given."""
    return (curves.shape[1] - 1) * segments(im, curves, known).sum(-1)


def segments(im: RiemannianMetric, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the squared length of every segment (B, N-1) of curves (B, N, d), whose segment data may be given."""
    return im.segment_energies(curves, im.segment_data(curves) if known is None else known)


def interpolated_system(
    im: RiemannianMetric, curves: Tensor, force: Tensor, within: float | None = None
) -> NewtonSystem:
    """Return a Newton system from the metric at KNOTS points of each curve (B, N, d), interpolated linearly.

    Args:
        im: the metric.
        curves: curves (B, N, d).
        force: F_i (B, N-2, d).
        within: error to which g is to be known. The knots of a curve are halved until g at new ones differs from what
            the others tell by no more, as |L^-1 g L^-T - 1| where L L^T is the guess, or every point is one. What
            is left between is about a quarter of that.

    """
    b, n = curves.shape[:2]
    places = torch.linspace(0, n - 1, min(n, KNOTS), device=curves.device).round().long()
    knots = _metrics(im, curves[:, places])
    g, rows = _between(knots, places, n), torch.arange(b, device=curves.device)
    while within is not None and len(places) < n and len(rows):
        more = (places[1:] + places[:-1]) // 2
        more = more[more > places[:-1]]
        exact = _metrics(im, curves[rows][:, more])
        unlike = ~_alike(g[rows][:, more], exact, within)
        places, order = torch.cat([places, more]).sort()
        knots = torch.cat([knots, exact], 1)[:, order]
        g[rows] = _between(knots, places, n)
        rows, knots = rows[unlike], knots[unlike]
    safe, g = positive_model(g), g[:, 1:-1]
    full = full_rank(g.flatten(0, 1), curves.dtype, products=g.dtype).reshape(g.shape[:2])
    return NewtonSystem(g, Blocks(2 * g, -(g[:, 1:] + g[:, :-1]) / 2), safe, force, full)


def _metrics(im: RiemannianMetric, curves: Tensor) -> Tensor:
    """Return the metric along curves (B, N, d), of shape (B, N, d, d), accumulated in float64."""
    g = im.gram(curves.flatten(0, 1), wide=True)
    im.check_definite(g, curves.flatten(0, 1))
    return g.unflatten(0, curves.shape[:2])


def _between(knots: Tensor, places: Tensor, n: int) -> Tensor:
    """Interpolate matrices (B, K, d, d) at places (K,) linearly to the places 0, ..., n-1."""
    at = torch.arange(n, device=places.device)
    after = torch.searchsorted(places, at).clamp(min=1)
    first, last = places[after - 1], places[after]
    part = ((at - first) / (last - first)).to(knots)[:, None, None]
    return torch.lerp(knots[:, after - 1], knots[:, after], part)


def _alike(guess: Tensor, exact: Tensor, within: float) -> Tensor:
    """Return which curves have interpolated metrics (B, K, d, d) that all agree with the exact ones within an error."""
    root, info = torch.linalg.cholesky_ex(guess)
    half = torch.linalg.solve_triangular(root, exact, upper=False)
    ratio = torch.linalg.solve_triangular(root, half.mT, upper=False)
    error = (ratio - torch.eye(guess.shape[-1], dtype=ratio.dtype, device=ratio.device)).square().sum((-2, -1)).sqrt()
    return ((info == 0) & (error <= within)).all(-1)


def residual(found: NewtonSystem, n: int, length: Tensor) -> Tensor:
    r"""Return the tangential acceleration of curves of n segments in units of their length; inf at deficient rank.

    max_i n^2 |g_i^-1 F_i|_g / L
    """
    full, force = found.full.flatten(), found.force.double().flatten(0, 1)[..., None]
    root = cholesky(found.g.double().flatten(0, 1), full)
    square = (force * torch.cholesky_solve(force, root)).sum((-2, -1)).clamp(min=0).reshape(found.full.shape)
    value = n**2 * square.sqrt().amax(-1) / length.double().clamp(min=torch.finfo(length.dtype).tiny)
    return torch.where(found.full.all(-1) & torch.isfinite(value), value, torch.inf).to(length)
