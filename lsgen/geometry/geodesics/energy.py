r"""The discrete energy of curves, its gradient and its Hessian: of an immersion by chords, of a metric by midpoints.

A curve of n segments z_0, ..., z_n with steps d_i = z_{i+1} - z_i and middles m_i has the energy

    immersion    E = n sum_i <D_i, D_i>,        D_i = f(z_{i+1}) - f(z_i)
    metric       E = n sum_i d_i^T g(m_i) d_i

and at interior points the force F_i = -(1/2n) dE/dz_i, in full: the derivative of the metric belongs to it,

    immersion    F_i = J_i^T (D_i - D_{i-1})
    metric       F_i = g(m_i) d_i - g(m_{i-1}) d_{i-1} - (dg(m_i)(d_i, d_i) + dg(m_{i-1})(d_{i-1}, d_{i-1})) / 4 .

Gauss and Newton replace D_i by its linearisation, which makes the Hessian of an immersion block-tridiagonal with 2 g_i
on the diagonal and -J_i^T J_{i+1} beside it. In a space with negative signs that may be indefinite; there the coupling
is replaced by (g_i + g_{i+1}) / 2. A metric has its exact Hessian, from second derivatives of g, and beside it the
model g(m_{i-1}) + g(m_i), -g(m_i), which is positive definite. Differences of neighbours are taken in a frame that an
isometry moves to one of them (`FlatLikelihood.embed`).

Reference: Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379, for the energy of latent curves;
Nocedal & Wright, "Numerical Optimization" (2006), chapter 10, for Gauss-Newton; Marsden & West, "Discrete mechanics and
variational integrators" (2001), for the energy as a discrete action.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.curvature.connection import full_rank
from lsgen.geometry.immersion import Immersion, SpaceMap
from lsgen.geometry.metric_field import MetricField
from lsgen.geometry.metric_tensor import check_definite, cholesky, gram, inner
from lsgen.likelihoods import FlatLikelihood

__all__ = [
    "Blocks",
    "System",
    "chords",
    "differences",
    "dot",
    "framed",
    "image",
    "momenta",
    "raw_energy",
    "residual",
    "segments",
    "sketch",
    "system",
]


KNOTS = 5


class Blocks(NamedTuple):
    """A symmetric block-tridiagonal matrix: diagonal (B, k, d, d) and what couples to the next (B, k-1, d, d)."""

    diagonal: Tensor
    next: Tensor


class System(NamedTuple):
    """One linear system of a Newton iteration.

    Attributes:
        g: metric at interior points (B, N-2, d, d), in float64 where it comes from Jacobians.
        hessian: the Hessian over 2n, or its model.
        safe: a model that is positive definite, where the first may not be.
        force: F_i (B, N-2, d).
        full: whether the metric has full rank at each interior point (B, N-2).

    """

    g: Tensor
    hessian: Blocks
    safe: Blocks | None
    force: Tensor
    full: Tensor


def image(im: Immersion | MetricField, curves: Tensor) -> Tensor:
    """Return what segments of curves (B, N, d) are measured by.

    The values f (B, N, m), or a decoder's outputs where differences are taken in local frames; of a metric, g at the
    middles (B, N-1, d, d).
    """
    b, n, d = curves.shape
    if isinstance(im, MetricField):
        return im.matrices(_middles(curves)).reshape(b, n - 1, d, d)
    z, local = im.lifted(curves.reshape(-1, d)), framed(im)
    if local is None:
        return im.fn(z).reshape(b, n, -1)
    h = local.decoder(z)
    return h.reshape(b, n, *h.shape[1:])


def framed(im: Immersion) -> SpaceMap | None:
    """Return the map whose differences are taken in local frames, None where they are not."""
    return im.local if isinstance(im.local, SpaceMap) and im.local.local else None


def differences(im: Immersion, f: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(z_{i+1}) - f(z_i) of an image, in the frame of z_i and in that of z_{i+1}; each (B, N-1, m)."""
    local = framed(im)
    if local is None:
        difference = f[:, 1:] - f[:, :-1]
        return difference, difference
    assert isinstance(local.likelihood, FlatLikelihood)
    left, right, embed = f[:, :-1], f[:, 1:], local.likelihood.embed
    in_left = embed(right, at=left.detach()) - embed(left, at=left.detach())
    in_right = embed(right, at=right.detach()) - embed(left, at=right.detach())
    return in_left, in_right


def chords(im: Immersion, curves: Tensor) -> tuple[Tensor, Tensor]:
    """Return the `differences` along curves (B, N, d)."""
    return differences(im, image(im, curves))


def dot(im: Immersion, a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product over the last dimension, with broadcasting."""
    return im.signed(a * b).sum(-1)


def segments(im: Immersion | MetricField, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the squared length of every segment, by its chord or by the metric at its middle, of shape (B, N-1).

    Args:
        im: the immersion or the metric.
        curves: curves (B, N, d).
        known: their `image`, where it is known.

    """
    known = image(im, curves) if known is None else known
    if isinstance(im, Immersion):
        forward, _ = differences(im, known)
        return dot(im, forward, forward)
    steps = curves.diff(dim=1)
    return torch.einsum("bni,bnij,bnj->bn", steps, known, steps)


def raw_energy(im: Immersion | MetricField, curves: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the discrete energy (B,) of curves (B, N, d), of a known image or not."""
    return (curves.shape[1] - 1) * segments(im, curves, known).sum(-1)


def system(im: Immersion | MetricField, curves: Tensor, known: Tensor | None = None) -> System:
    """Return what one Newton iteration at curves (B, N, d) solves, in float64 but for the force and a given metric."""
    return _of_immersion(im, curves, known) if isinstance(im, Immersion) else _of_metric(im, curves)


def sketch(im: Immersion, curves: Tensor, force: Tensor, within: float | None = None) -> System:
    """Return a system like `system` from few Jacobians: by g at KNOTS points of each curve (B, N, d), linear between.

    Args:
        im: the immersion.
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
    g = g[:, 1:-1]
    return System(g, Blocks(2 * g, -(g[:, 1:] + g[:, :-1]) / 2), None, force, _full(g, curves.dtype))


def _metrics(im: Immersion, curves: Tensor) -> Tensor:
    """Return the metric along curves (B, N, d), of shape (B, N, d, d), accumulated in float64."""
    g = gram(im, curves.flatten(0, 1), wide=True)
    check_definite(im, g, curves.dtype)
    return g.unflatten(0, curves.shape[:2])


def _between(knots: Tensor, places: Tensor, n: int) -> Tensor:
    """Return what is known at places (K,) as knots (B, K, d, d) at 0, ..., n-1, linear between."""
    at = torch.arange(n, device=places.device)
    after = torch.searchsorted(places, at).clamp(min=1)
    first, last = places[after - 1], places[after]
    part = ((at - first) / (last - first)).to(knots)[:, None, None]
    return torch.lerp(knots[:, after - 1], knots[:, after], part)


def _alike(guess: Tensor, exact: Tensor, within: float) -> Tensor:
    """Return for which curves all guesses (B, K, d, d) are as good as that."""
    root, info = torch.linalg.cholesky_ex(guess)
    half = torch.linalg.solve_triangular(root, exact, upper=False)
    ratio = torch.linalg.solve_triangular(root, half.mT, upper=False)
    error = (ratio - torch.eye(guess.shape[-1], dtype=ratio.dtype, device=ratio.device)).square().sum((-2, -1)).sqrt()
    return ((info == 0) & (error <= within)).all(-1)


def momenta(im: Immersion | MetricField, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return what a segment's energy gives to its ends, and how the first part depends on the end.

        p_0 = -(1/2) dE/dz_0,    p_1 = (1/2) dE/dz_1    for one segment, E = |f(z_1) - f(z_0)|^2 .

    Args:
        im: the immersion or the metric.
        start: codes (N, d).
        end: codes (N, d).

    Returns:
        p_0 (N, d), p_1 (N, d) and dp_0/dz_1 (N, d, d); of a metric up to its second derivatives.

    """
    pair = torch.stack([start, end], 1)
    if isinstance(im, MetricField):
        g, dg = im.jet((start + end) / 2, 1)[:2]
        step = end - start
        along = torch.einsum("nkij,nj->nki", dg, step)
        main, bend = torch.einsum("nij,nj->ni", g, step), torch.einsum("nki,ni->nk", along, step) / 4
        return main - bend, main + bend, g + (along.mT - along) / 2
    forward, backward = chords(im, pair)
    j = im.expansion(pair.flatten(0, 1), 1).t.movedim(0, 1).unflatten(0, (-1, 2))
    p = _pulled(im, j[:, 0], forward[:, 0]), _pulled(im, j[:, 1], backward[:, 0])
    return *p, j[:, 0] @ j[:, 1].mT if im.signature is None else inner(im, j[:, 0])


def _pulled(im: Immersion, j: Tensor, v: Tensor) -> Tensor:
    """Return J^T v of Jacobians (..., d, m) and vectors (..., m)."""
    return (j @ im.signed(v)[..., None])[..., 0]


def _middles(curves: Tensor) -> Tensor:
    return ((curves[:, 1:] + curves[:, :-1]) / 2).flatten(0, 1)


def _of_immersion(im: Immersion, curves: Tensor, known: Tensor | None) -> System:
    b, n, d = curves.shape
    j = im.expansion(curves[:, 1:-1].reshape(-1, d), 1).t.movedim(0, 1).double()
    g = inner(im, j)
    check_definite(im, g, curves.dtype)
    forward, backward = differences(im, image(im, curves) if known is None else known)
    j, g = j.reshape(b, n - 2, d, -1), g.reshape(b, n - 2, d, d)
    force = _pulled(im, j, (forward[:, 1:] - backward[:, :-1]).double()).to(curves)
    coupling = j[:, :-1] @ j[:, 1:].mT if im.signature is None else (g[:, 1:] + g[:, :-1]) / 2
    return System(g, Blocks(2 * g, -coupling), None, force, _full(g, curves.dtype))


def _full(g: Tensor, dtype: torch.dtype) -> Tensor:
    """Return where the metric (B, k, d, d), accumulated in float64 from Jacobians of a dtype, has full rank."""
    return full_rank(g.flatten(0, 1), dtype, products=g.dtype).reshape(g.shape[:2])


def _of_metric(im: MetricField, curves: Tensor) -> System:
    b, n, d = curves.shape
    jet = im.jet(_middles(curves), 2)
    check_definite(im, jet.g)
    assert jet.second is not None
    g, dg = jet.g.reshape(b, n - 1, d, d), jet.first.reshape(b, n - 1, d, d, d)
    ddg, steps = jet.second.reshape(b, n - 1, d, d, d, d), curves.diff(dim=1)
    main = torch.einsum("bnij,bnj->bni", g, steps)
    bend = torch.einsum("bnkij,bni,bnj->bnk", dg, steps, steps) / 4
    force = main[:, 1:] - main[:, :-1] - bend[:, 1:] - bend[:, :-1]
    inside = (g[:, 1:] + g[:, :-1]) / 2
    full = full_rank(inside.double().flatten(0, 1), g.dtype).reshape(b, n - 2)
    g64 = (g + g.mT).double() / 2
    mixed = torch.einsum("bnkij,bni->bnkj", dg, steps).double() / 2
    twice = torch.einsum("bnklij,bni,bnj->bnkl", ddg, steps, steps).double() / 8
    first, second = g64 - mixed - mixed.mT + twice, g64 + mixed + mixed.mT + twice
    exact = Blocks(second[:, :-1] + first[:, 1:], (twice + mixed - mixed.mT - g64)[:, 1:-1])
    safe = Blocks(g64[:, :-1] + g64[:, 1:], -g64[:, 1:-1])
    return System(inside, exact, safe, force, full)


def residual(found: System, n: int, length: Tensor) -> Tensor:
    r"""Return the tangential acceleration of curves of n segments in units of their length; inf at deficient rank.

    max_i n^2 |g_i^-1 F_i|_g / L
    """
    full, force = found.full.flatten(), found.force.double().flatten(0, 1)[..., None]
    root = cholesky(found.g.double().flatten(0, 1), full)
    square = (force * torch.cholesky_solve(force, root)).sum((-2, -1)).clamp(min=0).reshape(found.full.shape)
    value = n**2 * square.sqrt().amax(-1) / length.double().clamp(min=torch.finfo(length.dtype).tiny)
    return torch.where(found.full.all(-1) & torch.isfinite(value), value, torch.inf).to(length)
