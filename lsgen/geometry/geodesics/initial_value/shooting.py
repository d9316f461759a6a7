r"""The exponential map, by integration of the geodesic equation from a start and an initial velocity.

    z'' = -Gamma(z)(z', z'),        exp_z(v) = z(1) for z(0) = z, z'(0) = v

Adaptive: an embedded Runge-Kutta pair (`lsgen.geometry.geodesics.initial_value.runge_kutta`). Symplectic: the
variational integrator (`lsgen.geometry.geodesics.initial_value.variational`), raised to order 4.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.factorisation import norm
from lsgen.geometry.geodesics.initial_value.runge_kutta import integrate
from lsgen.geometry.geodesics.initial_value.variational import hidden_steps, symplectic_steps
from lsgen.geometry.geodesics.precision import more_exact_metrics
from lsgen.geometry.jets import unchanged
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import Manifold

__all__ = ["Exponential", "exp_map", "on_manifold"]

FAR, WARNING = 0.01, 0.1
COARSE, COARSER = 1e-2, 32.0


class Exponential(NamedTuple):
    """The end of a geodesic (B, d), its velocity there (B, d), and whether the steps converged (B,)."""

    point: Tensor
    velocity: Tensor
    converged: Tensor


@unchanged()
def exp_map(
    im: RiemannianMetric,
    z: Tensor,
    v: Tensor,
    *,
    method: Literal["adaptive", "symplectic"] = "adaptive",
    tol: float | None = None,
    max_steps: int = 1024,
    steps: int = 64,
) -> Exponential:
    r"""Return the exponential map: where the geodesic from z with initial velocity v is at time 1.

        exp_z(v) = z(1),    z'' = -Gamma(z', z'),    z(0) = z,    z'(0) = v

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: tangent vectors (B, d).
        method: "adaptive", or "symplectic" for long curves.
        tol: error of a step in position and velocity that the adaptive method admits, relative to |v| plus what they
            have come to, z(t) - z and z'(t), and in the metric relative to |v|_g; 1e-9 in float64 and 1e-5 in
            float32 where it is not given.
        max_steps: bound on the number of adaptive steps tried.
        steps: number of symplectic steps.

    Returns:
        Exponential(point (B, d), velocity (B, d), converged (B,)). A curve has converged = False, alone, if its
        adaptive steps did not reach time 1, or would not to 1 % of the length if they were a little coarser, or if
        coordinates in this dtype do not resolve its end to 1 % of the length. Symplectic steps have it if an equation
        was not solved, if the squared speed changed by 2 %, or if half as many steps end more than 10 % of the length
        away, which is about 15 times the error of short steps.

    Raises:
        TypeError, ValueError: see `metric`; also for a metric that is not positive definite at a code, vectors of
            another shape or dtype than the codes, another method, or numbers that are not positive.

    """
    codes = flat_codes(im, z, {"v": v}, moves=True, smooth=True, curved=True)
    flat, (vectors,) = codes.z, codes.vectors
    if method not in ("adaptive", "symplectic"):
        raise ValueError(f'expected method "adaptive" or "symplectic", got {method!r}')
    if steps < 1 or max_steps < 1 or (tol is not None and not tol > 0):
        raise ValueError(f"expected positive tol, max_steps and steps, got {tol}, {max_steps} and {steps}")
    if not im.definite:
        im.check_definite(im.gram(flat, wide=True), flat)
    if method == "adaptive":
        bound = tol if tol is not None else (1e-9 if z.dtype == torch.float64 else 1e-5)
        found = _integrated(im, flat, vectors, bound, max_steps)
        with torch.no_grad():
            length, rounding = norm(im.gram(flat, wide=True), vectors.double()), _rounding(im, found.point)
        hidden = torch.finfo(z.dtype).eps * flat.norm(dim=-1) > FAR * bound * vectors.norm(dim=-1)
        hidden = ~found.converged & (hidden | (rounding > FAR * bound * length))
    else:
        found = _stepped(im, flat, vectors, steps)
        hidden = hidden_steps(im, flat, vectors, steps)
    rows = hidden.nonzero().flatten()
    for other in more_exact_metrics(im, flat) if len(rows) else ():
        part = flat[rows].double(), vectors[rows].double()
        if method == "adaptive":
            news = _integrated(other, *part, bound, max_steps)
            left = ~news.converged
        else:
            news = _stepped(other, *part, steps)
            left = hidden_steps(other, *part, steps)
        found = Exponential(*(x.index_copy(0, rows, y.to(x)) for x, y in zip(found, news, strict=True)))
        rows = rows[left]
        if not len(rows):
            break
    found = found._replace(converged=found.converged.index_fill(0, rows, False) & _resolved(im, flat, vectors, found))
    return codes.restored(on_manifold(im.manifold, found))


def _integrated(im: RiemannianMetric, z: Tensor, v: Tensor, tol: float, max_steps: int) -> Exponential:
    """Return the ends of geodesics by adaptive steps, whose errors are bounded in coordinates and in the metric.

    Errors of steps grow along a geodesic where its neighbours diverge, as in negative curvature. Coarse steps are taken
    too; where their ends differ, so are steps of COARSER times the error, which have to end within 1 % of the length.
    """

    def gram(at: Tensor) -> Tensor:
        return im.gram(at, wide=False)

    found = Exponential(*integrate(im.acceleration, z, v, tol, max_steps, gram))
    with torch.no_grad():
        length, rows = norm(gram(z), v), found.converged.nonzero().flatten()
        for bound, most in ((max(tol, COARSE), WARNING), (COARSER * tol, FAR)):
            if len(rows):
                point, _, arrived = integrate(im.acceleration, z[rows], v[rows], bound, max_steps, gram)
                gap = norm(gram(found.point[rows]), point - found.point[rows])
                rows = rows[~(arrived & (gap <= most * length[rows]))]
    return found._replace(converged=found.converged.index_fill(0, rows, False))


def _stepped(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> Exponential:
    """Return the ends of geodesics by symplectic steps, which half as many steps have to tell roughly."""
    found = Exponential(*symplectic_steps(im, z, v, steps))
    with torch.no_grad():
        point, _, _ = symplectic_steps(im, z, v, (steps + 1) // 2)
        gap = norm(im.gram(found.point, wide=False), point - found.point)
        agrees = gap <= WARNING * norm(im.gram(z, wide=False), v)
    return found._replace(converged=found.converged & agrees)


def _rounding(im: RiemannianMetric, z: Tensor) -> Tensor:
    """Return the length (N,) in the metric of what rounding leaves out of codes (N, d)."""
    g = im.gram(z, wide=True)
    return (
        torch.finfo(z.dtype).eps / 2 * (g.diagonal(dim1=-2, dim2=-1) * z.double().square()).sum(-1).clamp(min=0).sqrt()
    )


def _resolved(im: RiemannianMetric, z: Tensor, v: Tensor, found: Exponential) -> Tensor:
    """Return whether coordinates hold ends to 1 % of the length, or about as well as they hold the starts (N,)."""
    with torch.no_grad():
        left = _rounding(im, found.point)
        return left <= FAR * norm(im.gram(z, wide=True), v.double()) + 2 * _rounding(im, z)


def on_manifold(manifold: Manifold, found: Exponential) -> Exponential:
    """Return ends on the manifold of the codes, with tangent velocities; what has left it did not converge."""
    point = manifold.retraction(found.point)
    inside = manifold.conformal_factor(point).isfinite().all(-1)
    return Exponential(point, manifold.tangent(point, found.velocity), found.converged & inside)
