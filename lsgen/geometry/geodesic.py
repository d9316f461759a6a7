r"""Shortest paths between codes: a whole batch of boundary value problems at once.

A curve of n segments z_0, ..., z_n has the discrete energy and, at interior points, its gradient

    E = n sum_i <D_i, D_i>,    D_i = f(z_{i+1}) - f(z_i),    dE/dz_i = -2n J_i^T (D_i - D_{i-1}).

Gauss and Newton replace D_i by its linearisation: a step solves the block-tridiagonal system

    (2 g_i) s_i - (J_i^T J_{i-1}) s_{i-1} - (J_i^T J_{i+1}) s_{i+1} = J_i^T (D_i - D_{i-1}),

and is halved until the energy falls, for each curve by itself. In a space with negative signs J_i^T J_{i+1} may make
the system indefinite; there it is replaced by (g_i + g_{i+1}) / 2 and the gradient stays exact. Differences of
neighbours are taken in a frame that an isometry moves to one of them (`FlatLikelihood.embed`).

A curve has converged where the tangential acceleration max_i n^2 |g^-1 J^T (D_i - D_{i-1})|_g / L is small and the
length on the grid with midpoints added agrees within 1 %. The length adds the leading error of chords,
(1/24) sum <D_i - D_{i-1}, D_i - D_{i-1}> / |D_i|, which makes it fourth order; the energy is second order. A local
minimum bounds the distance from above.

Reference: Arvanitidis, Hansen & Hauberg (2018), https://arxiv.org/abs/1710.11379, for the energy of latent curves;
Nocedal & Wright, "Numerical Optimization" (2006), chapter 10, for Gauss-Newton.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.chunks import automatic
from lsgen.geometry.immersion import Immersion, SpaceMap
from lsgen.geometry.metric import check_definite, inner
from lsgen.geometry.tensors import full_rank, inverse_metric
from lsgen.latent import paths
from lsgen.likelihoods import FlatLikelihood

__all__ = ["Geodesic", "distance", "geodesic", "log_map"]


class Geodesic(NamedTuple):
    """Points (B, N, d), length (B,), energy (B,), whether each converged (B,), residual (B,) and iterations taken."""

    points: Tensor
    length: Tensor
    energy: Tensor
    converged: Tensor
    residual: Tensor
    iterations: int


def geodesic(
    im: Immersion,
    start: Tensor,
    end: Tensor,
    points: int = 33,
    *,
    initial: Tensor | None = None,
    max_iterations: int = 100,
    tol: float = 1e-4,
    chunk_size: int | None = None,
) -> Geodesic:
    r"""Return a geodesic between each pair of codes, by Gauss-Newton on the discrete energy.

        minimise n sum_i |f(z_{i+1}) - f(z_i)|^2    over the interior points

    Args:
        im: the immersion.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N >= 3 on each curve, ends included.
        initial: curves (B, N, d) to start from, whose ends are replaced; straight segments where they are not given.
        max_iterations: bound on Gauss-Newton iterations.
        tol: bound on the residual of a converged curve, where rounding admits it.
        chunk_size: number of curves to work on at once.

    Returns:
        Geodesic(points (B, N, d), length (B,), energy (B,), converged (B,), residual (B,), iterations). A curve that
        did not converge has converged = False; its points are the best found.

    Raises:
        TypeError: im is no `Immersion`, or see `jet`.
        ValueError: shapes differ, fewer than 3 points, or see `jet`.

    """
    if not isinstance(im, Immersion):
        raise TypeError(f"expected an Immersion, got {type(im).__name__}: a metric alone has no chords to measure")
    a, b = check_codes(im.fn, im.dim, start), check_codes(im.fn, im.dim, end)
    if start.shape != end.shape or start.dtype != end.dtype:
        raise ValueError(f"expected two ends of one shape and dtype, got {_what(start)} and {_what(end)}")
    if points < 3:
        raise ValueError(f"expected at least 3 points, got {points}")
    batch, d = start.shape[:-1], im.dim
    curves = paths.linear(a, b, points)
    if initial is not None:
        check_codes(im.fn, im.dim, initial)
        if initial.shape != (*batch, points, d):
            raise ValueError(f"expected initial curves {(*batch, points, d)}, got {tuple(initial.shape)}")
        curves = torch.cat([a[:, None], initial.reshape(-1, points, d)[:, 1:-1], b[:, None]], 1)
    with torch.no_grad():
        size = chunk_size or max(1, automatic(im, a, 1) // points) if len(a) else 1
        parts = [_solved(im, part.detach(), max_iterations, tol) for part in curves.split(size)] if len(a) else []
    if not parts:
        empty = a.new_zeros(batch)
        return Geodesic(curves.reshape(*batch, points, d), empty, empty, empty > 0, empty, 0)
    found, length, energy, converged, residual = (torch.cat(column) for column in list(zip(*parts, strict=True))[:5])
    return Geodesic(
        found.reshape(*batch, points, d),
        length.reshape(batch),
        energy.reshape(batch),
        converged.reshape(batch),
        residual.reshape(batch),
        max(int(part[5]) for part in parts),
    )


def distance(im: Immersion, start: Tensor, end: Tensor, points: int = 33, **options: int | float) -> Tensor:
    r"""Return the geodesic distance of codes, differentiable in both ends and in the weights.

        d/db dist(a, b) = g(b) c'(1) / |c'(1)|

    By the envelope theorem the curve itself need not be differentiated.

    Args:
        im: the immersion.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points on each curve.
        options: see `geodesic`.

    Returns:
        A tensor (B,); NaN for a pair whose geodesic did not converge.

    Raises:
        TypeError, ValueError: see `geodesic`.

    """
    found = geodesic(im, start, end, points, **options)  # type: ignore[arg-type]
    curves = found.points.reshape(-1, points, im.dim)
    live = torch.cat([start.reshape(-1, 1, im.dim), curves[:, 1:-1], end.reshape(-1, 1, im.dim)], 1)
    forward, _ = chords(im, live)
    root = ((points - 1) * dot(im, forward, forward).sum(-1)).clamp(min=0)
    positive = root > 0
    root = torch.where(positive, torch.where(positive, root, torch.ones_like(root)).sqrt(), root).reshape(
        found.length.shape
    )
    value = found.length + (root - root.detach())
    return torch.where(found.converged, value, torch.nan)


def log_map(im: Immersion, start: Tensor, end: Tensor, points: int = 33, **options: int | float) -> Tensor:
    r"""Return the logarithmic map: the initial velocity of the geodesic that reaches the end at time 1.

        exp_a(log_a(b)) = b,    |log_a(b)|_g = dist(a, b)

    Args:
        im: the immersion.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points on each curve.
        options: see `geodesic`.

    Returns:
        Tangent vectors (B, d) at the start; NaN for a pair whose geodesic did not converge.

    Raises:
        TypeError, ValueError: see `geodesic`.

    """
    found = geodesic(im, start, end, points, **options)  # type: ignore[arg-type]
    curves = found.points.reshape(-1, points, im.dim)
    first = curves[:, 0]
    forward, _ = chords(im, curves[:, :2])
    j = im.expansion(first, 1).t.movedim(0, 1)
    g = inner(im, j)
    v = torch.einsum("nij,nj->ni", inverse_metric(g.double(), g.dtype).to(g), dot(im, j, forward))
    norm = torch.einsum("ni,nij,nj->n", v, g, v).clamp(min=0).sqrt()
    scale = found.length.reshape(-1) / torch.where(norm > 0, norm, torch.ones_like(norm))
    v = torch.where(found.converged.reshape(-1, 1), v * scale[:, None], torch.nan)
    return v.reshape(start.shape)


def chords(im: Immersion, curves: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(z_{i+1}) - f(z_i) of curves (B, N, d), in the frame of z_i and in that of z_{i+1}; each (B, N-1, m)."""
    b, n, d = curves.shape
    if not isinstance(im.local, SpaceMap) or not im.local.local:
        f = im.fn(im.lifted(curves.reshape(-1, d))).reshape(b, n, -1)
        difference = f[:, 1:] - f[:, :-1]
        return difference, difference
    h = im.local.decoder(im.lifted(curves.reshape(-1, d)))
    h = h.reshape(b, n, *h.shape[1:])
    likelihood = im.local.likelihood
    assert isinstance(likelihood, FlatLikelihood)
    left, right = h[:, :-1], h[:, 1:]
    in_left = likelihood.embed(right, at=left.detach()) - likelihood.embed(left, at=left.detach())
    in_right = likelihood.embed(right, at=right.detach()) - likelihood.embed(left, at=right.detach())
    return in_left, in_right


def dot(im: Immersion, a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product over the last dimension, with broadcasting."""
    product = a * b
    return (product if im.signature is None else product * im.signature.to(product)).sum(-1)


def _what(z: Tensor) -> str:
    return f"{str(z.dtype).removeprefix('torch.')} {tuple(z.shape)}"


def _energy(im: Immersion, curves: Tensor) -> Tensor:
    forward, _ = chords(im, curves)
    return (curves.shape[1] - 1) * dot(im, forward, forward).sum(-1)


def _length(im: Immersion, curves: Tensor) -> Tensor:
    """Return the fourth-order length of curves of nearly constant speed."""
    forward, backward = chords(im, curves)
    chord = dot(im, forward, forward).clamp(min=0).sqrt()
    second = forward[:, 1:] - backward[:, :-1]
    square = dot(im, second, second)
    square = torch.cat([square[:, :1], (square[:, 1:] + square[:, :-1]) / 2, square[:, -1:]], 1)
    return (chord + square / (24 * torch.where(chord > 0, chord, torch.ones_like(chord)))).sum(-1)


class _System(NamedTuple):
    """Metric (B, N-2, d, d) inside, coupling to the next (B, N-3, d, d), J^T of second differences, which full rank."""

    g: Tensor
    next: Tensor
    force: Tensor
    full: Tensor


def _system(im: Immersion, curves: Tensor) -> _System:
    b, n, d = curves.shape
    inside = curves[:, 1:-1]
    j = im.expansion(inside.reshape(-1, d), 1).t.movedim(0, 1)
    g = inner(im, j)
    check_definite(im, g)
    full = full_rank(g.double(), g.dtype).reshape(b, n - 2)
    forward, backward = chords(im, curves)
    second = forward[:, 1:] - backward[:, :-1]
    j, g = j.reshape(b, n - 2, d, -1), g.reshape(b, n - 2, d, d)
    force = dot(im, j, second.unsqueeze(-2))
    coupling = j[:, :-1] @ j[:, 1:].mT if im.signature is None else (g[:, 1:] + g[:, :-1]) / 2
    return _System(g, coupling, force, full)


def _residual(system: _System, n: int, length: Tensor) -> Tensor:
    """Return max_i n^2 |g^-1 J^T (D_i - D_{i-1})|_g / L; inf where the metric is rank deficient on the curve."""
    inverse = inverse_metric(system.g.double().flatten(0, 1), system.g.dtype).reshape(system.g.shape)
    force = system.force.double()
    square = torch.einsum("bni,bnij,bnj->bn", force, inverse, force).clamp(min=0)
    found = n**2 * square.sqrt().amax(-1) / length.double().clamp(min=torch.finfo(length.dtype).tiny)
    return torch.where(system.full.all(-1) & torch.isfinite(found), found, torch.inf).to(length)


def _direction(system: _System) -> Tensor:
    """Solve the block-tridiagonal system by elimination from first to last point, in float64."""
    diagonal, coupling, force = 2 * system.g.double(), -system.next.double(), system.force.double()
    tiny = torch.finfo(torch.float64).eps * diagonal.diagonal(dim1=-2, dim2=-1).amax(-1)
    pivots: list[Tensor] = []
    sides: list[Tensor] = []
    for i in range(force.shape[1]):
        block, side = diagonal[:, i], force[:, i]
        if i:
            carried = torch.linalg.solve(pivots[-1], torch.cat([coupling[:, i - 1], sides[-1][..., None]], -1))
            block = block - coupling[:, i - 1].mT @ carried[..., :-1]
            side = side - (coupling[:, i - 1].mT @ carried[..., -1:]).squeeze(-1)
        singular = ~(torch.linalg.det(block).abs() > tiny[:, i] ** block.shape[-1])
        eye = torch.eye(block.shape[-1], dtype=block.dtype, device=block.device)
        pivots.append(torch.where(singular[:, None, None], eye, block))
        sides.append(torch.where(singular[:, None], torch.zeros_like(side), side))
    steps = [torch.linalg.solve(pivots[-1], sides[-1])]
    for i in range(len(pivots) - 2, -1, -1):
        right = sides[i] - torch.einsum("bij,bj->bi", coupling[:, i], steps[-1])
        steps.append(torch.linalg.solve(pivots[i], right))
    return torch.stack(steps[::-1], 1).to(system.g)


def _searched(
    im: Immersion, curves: Tensor, step: Tensor, energy: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return curves and energies after the longest of the steps 1, 1/2, ... that lowers the energy, and which moved."""
    moved = torch.zeros_like(active)
    scale = 1.0
    for _ in range(16):
        trial = curves.clone()
        trial[:, 1:-1] += scale * step
        value = _energy(im, trial)
        take = active & ~moved & torch.isfinite(value) & (value < energy)
        curves = torch.where(take[:, None, None], trial, curves)
        energy = torch.where(take, value, energy)
        moved = moved | take
        if bool((moved | ~active).all()):
            break
        scale /= 2
    return curves, energy, moved


def _solved(im: Immersion, curves: Tensor, max_iterations: int, tol: float) -> tuple[Tensor, ...]:
    n = curves.shape[1] - 1
    energy = _energy(im, curves)
    active = torch.isfinite(energy)
    done = 0
    for iteration in range(max_iterations):
        system = _system(im, curves)
        floor = _floor(im, curves, system, tol)
        active = active & (_residual(system, n, energy.clamp(min=0).sqrt()) > floor / 10)
        if not bool(active.any()):
            break
        step = _direction(system)
        active = active & torch.isfinite(step).flatten(1).all(-1)
        curves, energy, moved = _searched(im, curves, step, energy, active)
        active = active & moved
        done = iteration + 1
    length = _length(im, curves)
    system = _system(im, curves)
    floor = _floor(im, curves, system, tol)
    residual = _residual(system, n, length)
    middle = (curves[:, 1:] + curves[:, :-1]) / 2
    finer = torch.stack([curves[:, :-1], middle], 2).flatten(1, 2)
    finer = _energy_free_length(im, torch.cat([finer, curves[:, -1:]], 1))
    same = length == 0
    agrees = (finer - length).abs() <= 0.01 * length
    converged = (residual <= floor) & agrees | same & (curves[:, 0] == curves[:, -1]).all(-1)
    residual = torch.where(same, torch.zeros_like(residual), residual)
    return curves, length, energy, converged, residual, torch.as_tensor(done)


def _energy_free_length(im: Immersion, curves: Tensor) -> Tensor:
    """Return the sum of chords."""
    forward, _ = chords(im, curves)
    return dot(im, forward, forward).clamp(min=0).sqrt().sum(-1)


def _floor(im: Immersion, curves: Tensor, system: _System, tol: float) -> Tensor:
    """Return the residual that rounding admits: max(tol, c eps n^2 |f| / L) with c = 10.

    Rounding of the codes moves the image by eps |J| |z|, which |f| here includes.
    """
    n = curves.shape[1] - 1
    forward, _ = chords(im, curves)
    if im.signature is None:
        f = im.fn(im.lifted(curves[:, ::n].reshape(-1, curves.shape[-1])))
        size = f.reshape(len(curves), 2, -1).norm(dim=-1).amax(-1)
    else:
        size = torch.full_like(curves[:, 0, 0], len(im.signature) ** 0.5)
    slope = system.g.diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=0).sqrt().amax(-1)
    size = size + slope * curves.norm(dim=-1).amax(-1)
    length = dot(im, forward, forward).clamp(min=0).sqrt().sum(-1)
    eps, tiny = torch.finfo(curves.dtype).eps, torch.finfo(curves.dtype).tiny
    return (10 * eps * n**2 * size / length.clamp(min=tiny)).clamp(min=tol)
