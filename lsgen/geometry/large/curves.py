r"""Geodesics of large latents: Gauss and Newton's iteration without a d x d block.

    minimise n sum_i <D_i, D_i>,    D_i = f(z_{i+1}) - f(z_i)

The step solves H delta = F with F_i = J_i^T S (D_i - D_{i-1}) and the block-tridiagonal model of the Hessian, which
acts on a field v of vectors along the curve, zero at its ends, by two derivatives:

    (H v)_i = -J_i^T S ( J_{i+1} v_{i+1} - 2 J_i v_i + J_{i-1} v_{i-1} ) .

Frames that differ from point to point (negative signs) admit no such difference; there the form is
sum_i |v_{i+1} - v_i|^2 in the mean metric of each segment, which is positive too. Conjugate gradients are
preconditioned by the second difference alone, H = T (x) g for a constant g: their number depends on the condition of g
and not on the number of points. They stop early while the curve is far from a geodesic.

Reference: Nocedal & Wright, "Numerical Optimization" (2006), chapters 5 and 7.1; Dembo & Steihaug, "Truncated-Newton
algorithms for large-scale unconstrained optimization" (1983).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lsgen.geometry.geodesics.arc_length import AGREES, polygon_length, raw_length, speed_variation
from lsgen.geometry.geodesics.boundary_value import Geodesic, flat_ends
from lsgen.geometry.geodesics.distance_bounds import lower_bounds
from lsgen.geometry.geodesics.energy import raw_energy, segments
from lsgen.geometry.geodesics.rounding import HIDDEN, admitted, is_hidden
from lsgen.geometry.large.operator import MetricOperator
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import paths

__all__ = ["large_geodesic"]

HALVINGS = 16
Operator = Callable[[Tensor], Tensor]


class _State(NamedTuple):
    curves: Tensor
    energy: Tensor
    active: Tensor
    first: Tensor


def large_geodesic(
    im: RiemannianMetric,
    start: Tensor,
    end: Tensor,
    points: int = 33,
    *,
    max_iterations: int = 50,
    products: int = 200,
    tol: float = 1e-4,
    chunk_size: int | None = None,
) -> Geodesic:
    r"""Return a geodesic between each pair of codes, from products with J and J^T alone.

        minimise n sum_i |f(z_{i+1}) - f(z_i)|^2    over the interior points

    Memory is that of the curves' images and of `chunk_size` derivatives; neither J nor g is held. Where d x d blocks
    fit, `geodesic` may be faster: it takes d derivatives a point and iteration, this one two for each product.

    Args:
        im: the metric.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N >= 3 on each curve, ends included.
        max_iterations: bound on Gauss-Newton iterations.
        products: bound on the conjugate gradients of each.
        tol: bound on the residual of a converged curve, where rounding admits it.
        chunk_size: number of derivatives to propagate at once.

    Returns:
        `Geodesic`, started from straight segments. Where the conjugate gradients that measure the residual did not
        converge, which an ill-conditioned metric makes them do, converged is False.

    Raises:
        TypeError, ValueError: see `geodesic` and `MetricOperator`.

    """
    ends = flat_ends(im, start, end, points)
    a, b = ends.z, ends.vectors[0]
    with torch.no_grad():
        state = _begun(im, paths.linear(a.detach(), b.detach(), points))
        done = 0
        while done < max_iterations and bool(state.active.any()):
            state = _iterated(im, state, products, tol, chunk_size)
            done += 1
        found = _judged(im, state, products, tol, chunk_size)
        hidden = found["rounding"] > HIDDEN
        found["lower_bound"] = lower_bounds(im, a, b, hidden).to(found["length"])
    return ends.restored(Geodesic(**found, iterations=done))


def _begun(im: RiemannianMetric, curves: Tensor) -> _State:
    energy = raw_energy(im, curves)
    active = torch.isfinite(energy) & (energy > 0)
    return _State(curves, energy, active, torch.full_like(energy, torch.nan))


def _force(im: RiemannianMetric, curves: Tensor, g: MetricOperator) -> Tensor:
    """Return F_i = -(1/2n) dE/dz_i at interior points (B, N-2, d), in float64, by one pass backwards a chunk."""
    b, n, d = curves.shape
    width = min(n - 1, max(1, g.chunk_size - 1))
    gradient = curves.new_zeros(b, n, d, dtype=torch.float64)
    with torch.inference_mode(False), torch.enable_grad():
        for rows in torch.arange(b, device=curves.device).split(max(1, g.chunk_size // (width + 1))):
            for first in range(0, n - 1, width):
                places = slice(first, min(first + width, n - 1) + 1)
                live = curves[rows, places].clone().requires_grad_()
                (part,) = torch.autograd.grad(segments(im, live).sum(), live)
                gradient[rows, places] += part.double()
    return gradient[:, 1:-1] / -2


def _hessian(g: MetricOperator, v: Tensor) -> Tensor:
    """Return H v for fields v (B, N-2, d)."""
    v = v.to(g.z)
    if g.im.euclidean:
        pushed = pad(g.push(v), (0, 0, 1, 1))
        return -g.pull(pushed.diff(n=2, dim=1)).double()
    steps = pad(v, (0, 0, 1, 1)).diff(dim=1)
    before, after = g(torch.stack([steps[:, :-1], steps[:, 1:]], -2)).double().unbind(-2)
    middle = (after[:, :-1] + before[:, 1:]) / 2
    return -torch.cat([before[:, :1], middle, after[:, -1:]], 1).diff(dim=1)


def _iterated(im: RiemannianMetric, state: _State, products: int, tol: float, chunk_size: int | None) -> _State:
    """Take one truncated Newton step, halved until the energy falls; a curve whose gain is negligible is done.

    The gain n F . delta bounds the squared residual by 4 n^3 gain / E: where H is T (x) g, T is at most 4. A gain
    within rounding is taken once, and is the last.
    """
    curves, n = state.curves, state.curves.shape[1] - 1
    g = MetricOperator(im, curves[:, 1:-1], chunk_size)
    force = _force(im, curves, g)
    inverse = _second_difference(n - 1, force)
    size = (force * _solved(inverse, force)).sum((-2, -1)).clamp(min=0).sqrt()
    first = torch.where(torch.isnan(state.first), size.to(state.first), state.first)
    loose = (size / first.double()).sqrt().clamp(max=0.1)
    step, _ = _conjugate_gradients(
        lambda v: _hessian(g, v), lambda v: _solved(inverse, v), force, loose.clamp(min=1e-6), products
    )
    gain = n * (force * step).sum((-2, -1))
    rounding = 4 * torch.finfo(curves.dtype).eps * state.energy
    fine = gain <= rounding
    active = state.active & torch.isfinite(gain) & (gain > tol**2 * state.energy / (40 * n**3))
    trial = _searched(im, state, step.to(curves), active, torch.where(fine, rounding, 0))
    return trial._replace(first=first, active=trial.active & ~fine)


def _searched(im: RiemannianMetric, state: _State, step: Tensor, active: Tensor, slack: Tensor) -> _State:
    curves, energy, moved, scale = state.curves, state.energy, torch.zeros_like(active), 1.0
    for _ in range(HALVINGS):
        if bool((moved | ~active).all()):
            break
        trial = state.curves.clone()
        trial[:, 1:-1] += scale * step
        value = raw_energy(im, trial)
        take = active & ~moved & ((value < state.energy) | (value < state.energy + slack))
        curves = torch.where(take[:, None, None], trial, curves)
        energy, moved, scale = torch.where(take, value, energy), moved | take, scale / 2
    return _State(curves, energy, moved, state.first)


def _second_difference(n: int, like: Tensor) -> Tensor:
    """Return the Cholesky factor of the matrix (-1, 2, -1) of size n."""
    matrix = 2 * torch.eye(n, dtype=like.dtype, device=like.device)
    beside = torch.full((n - 1,), -1.0, dtype=like.dtype, device=like.device)
    return torch.linalg.cholesky(matrix + torch.diag(beside, 1) + torch.diag(beside, -1))


def _solved(factor: Tensor, v: Tensor) -> Tensor:
    return torch.cholesky_solve(v, factor.expand(len(v), *factor.shape))


def _conjugate_gradients(
    apply: Operator, precondition: Operator, side: Tensor, tol: Tensor, products: int
) -> tuple[Tensor, Tensor]:
    """Solve A x = b for each row of a batch, to a relative tolerance (B,) in the preconditioned norm.

    Returns:
        The solutions, in the shape of b (B, ...), and the relative residuals that remain (B,).

    """
    over = tuple(range(1, side.ndim))
    shape = (-1, *[1] * len(over))
    x, r = torch.zeros_like(side), side
    y = precondition(r)
    p, square = y, (r * y).sum(over)
    scale = square.clamp(min=torch.finfo(side.dtype).tiny)
    active = torch.isfinite(square) & (square > 0)
    for _ in range(products):
        if not bool(active.any()):
            break
        image = apply(p)
        curvature = (p * image).sum(over)
        active = active & (curvature > 0)
        alpha = torch.where(active, square / torch.where(active, curvature, 1), 0).reshape(shape)
        x, r = x + alpha * p, r - alpha * image
        y = precondition(r)
        now = (r * y).sum(over)
        beta = torch.where(active, now / torch.where(active, square, 1), 0).reshape(shape)
        p, square = y + beta * p, torch.where(active, now, square)
        active = active & (square > tol**2 * scale)
    return x, (square / scale).clamp(min=0).sqrt()


def _residual(im: RiemannianMetric, state: _State, g: MetricOperator, length: Tensor, products: int) -> Tensor:
    """Return max_i n^2 |g_i^-1 F_i|_g / L (B,), inf where conjugate gradients do not solve for g^-1 F."""
    force, n = _force(im, state.curves, g), state.curves.shape[1] - 1
    flat = force.flatten(0, 1)

    def apply(v: Tensor) -> Tensor:
        return g(v.to(g.z).reshape(force.shape)).double().reshape(v.shape)

    x, remaining = _conjugate_gradients(apply, lambda v: v, flat, flat.new_full((len(flat),), 1e-2), products)
    square = torch.where(remaining <= 1e-2, (flat * x).sum(-1).clamp(min=0), torch.inf)
    square = torch.where((flat == 0).all(-1), 0, square).reshape(force.shape[:2])
    return n**2 * square.amax(-1).sqrt() / length.double().clamp(min=torch.finfo(length.dtype).tiny)


def _judged(
    im: RiemannianMetric, state: _State, products: int, tol: float, chunk_size: int | None
) -> dict[str, Tensor]:
    """Return the fields of `Geodesic` but for the lower bound and the number of iterations."""
    curves, n = state.curves, state.curves.shape[1] - 1
    g = MetricOperator(im, curves[:, 1:-1], chunk_size)
    length = raw_length(im, curves)
    residual = _residual(im, state, g, length, products)
    halved = torch.stack([curves[:, :-1], (curves[:, 1:] + curves[:, :-1]) / 2], 2).flatten(1, 2)
    finer = polygon_length(im, torch.cat([halved, curves[:, -1:]], 1))
    same = (length == 0) & (curves[:, 0] == curves[:, -1]).all(-1)
    rounding = torch.where(same, 0, torch.finfo(curves.dtype).eps * n * _ratio(im, curves, g, length))
    solved = (residual <= admitted(rounding, n, tol)) & ~is_hidden(rounding, n)
    converged = solved & ((finer - length).abs() <= AGREES * length) | same
    residual = torch.where(same, 0, residual).to(length)
    unknown = torch.full_like(length, torch.nan)
    return {
        "points": curves,
        "length": length,
        "energy": state.energy,
        "converged": converged,
        "residual": residual,
        "speed_variation": speed_variation(im, curves),
        "asymmetry": unknown,
        "spread": unknown,
        "rounding": rounding,
    }


def _ratio(im: RiemannianMetric, curves: Tensor, g: MetricOperator, length: Tensor) -> Tensor:
    """Return 1 + |f| / L, times eps n^2 the residual that rounding admits; |f| includes rounding of z."""
    ones = torch.ones_like(curves[:, 1:-1])
    slope = (ones * g(ones)).sum(-1).clamp(min=0).sqrt()
    moved = (slope * curves[:, 1:-1].norm(dim=-1)).amax(-1)
    size = im.value_norm(im.segment_data(curves[:, [0, -1]])).amax(-1)
    return 1 + (size + moved) / length.clamp(min=torch.finfo(length.dtype).tiny)
