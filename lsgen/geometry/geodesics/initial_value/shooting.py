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
from lsgen.geometry.geodesics.initial_value.runge_kutta import integrate
from lsgen.geometry.geodesics.initial_value.variational import hidden_steps, symplectic_steps
from lsgen.geometry.geodesics.precision import more_exact_metrics
from lsgen.geometry.jets import unchanged
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import Manifold

__all__ = ["Exponential", "exp_map", "on_manifold"]

FAR = 0.01


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
        tol: error of a step in position and velocity, relative to |v| plus what they have come to, z(t) - z and z'(t),
            that the adaptive method admits; 1e-9 in float64 and 1e-5 in float32 where it is not given.
        max_steps: bound on the number of adaptive steps tried.
        steps: number of symplectic steps.

    Returns:
        Exponential(point (B, d), velocity (B, d), converged (B,)). A curve whose adaptive steps did not reach time 1,
        or whose symplectic equations were not solved or changed its squared speed by 2 %, has converged = False, alone.

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
        found = Exponential(*integrate(im.acceleration, flat, vectors, bound, max_steps))
        hidden = ~found.converged & (torch.finfo(z.dtype).eps * flat.norm(dim=-1) > FAR * bound * vectors.norm(dim=-1))
    else:
        found = Exponential(*symplectic_steps(im, flat, vectors, steps))
        hidden = hidden_steps(im, flat, vectors, steps)
    rows = hidden.nonzero().flatten()
    for other in more_exact_metrics(im, flat) if len(rows) else ():
        part = flat[rows].double(), vectors[rows].double()
        if method == "adaptive":
            news = Exponential(*integrate(other.acceleration, *part, bound, max_steps))
            left = ~news.converged
        else:
            news = Exponential(*symplectic_steps(other, *part, steps))
            left = hidden_steps(other, *part, steps)
        found = Exponential(*(x.index_copy(0, rows, y.to(x)) for x, y in zip(found, news, strict=True)))
        rows = rows[left]
        if not len(rows):
            break
    found = found._replace(converged=found.converged.index_fill(0, rows, False))
    return codes.restored(on_manifold(im.manifold, found))


def on_manifold(manifold: Manifold, found: Exponential) -> Exponential:
    """Return ends on the manifold of the codes, with tangent velocities; what has left it did not converge."""
    point = manifold.retraction(found.point)
    inside = manifold.conformal_factor(point).isfinite().all(-1)
    return Exponential(point, manifold.tangent(point, found.velocity), found.converged & inside)
