r"""Jacobi fields, conjugate points, and the volume of the exponential map.

Along a geodesic c with c(0) = z, c'(0) = v and an orthonormal frame E(t) carried along it, a Jacobi field that vanishes
at 0 is J(t) = E(t) A(t) w, with

    A'' = -K A,    K_ab = R(e_a, c', e_b, c'),    A(0) = 0,    A'(0) = 1,

and is the derivative of the exponential map, J(t) = D exp_z(t v)[t E(0) w]. So the volume of exp at t v in units of
that of the tangent space is

    det( A(t) / t ) .

A point c(t) is conjugate to z where A(t) is singular: neighbouring geodesics meet there, and beyond the first such
point the geodesic is no longer a shortest path. With the eigenphases 0 <= phi_j < pi of (A' + i A)(A' - i A)^-1 =
exp(2 i phi), each passage of a phase through pi is one conjugate point; phases pass it upwards only, so all are
counted, double ones too, which the sign of det A misses. Their number up to t is the Morse index of the geodesic.

The unit sphere has A = sin(t |v|) / |v| across the geodesic: conjugate points at distances pi, 2 pi, ...

Reference: do Carmo, "Riemannian Geometry" (1992), chapters 5 and 11; Milnor, "Morse Theory" (1963), sections 14, 15;
Arnold, "The Sturm theorems and symplectic geometry" (1985), for the phases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.factorisation import norm
from lsgen.geometry.geodesics.initial_value.runge_kutta import follow
from lsgen.geometry.jets import unchanged
from lsgen.geometry.metric_tensor import metric, orthonormal_frames
from lsgen.geometry.riemannian import JacobiOperator, RiemannianMetric

__all__ = ["ConjugatePoints", "JacobiFields", "conjugate_points", "jacobi_fields"]


TOL, MOST = {torch.float64: 1e-7, torch.float32: 1e-4}, 1024
QUINTIC = torch.tensor(  # powers of s in Hermite's polynomials of values, slopes and second derivatives at 0 and at 1
    [
        [1.0, 0.0, 0.0, -10.0, 15.0, -6.0],
        [0.0, 1.0, 0.0, -6.0, 8.0, -3.0],
        [0.0, 0.0, 0.5, -1.5, 1.5, -0.5],
        [0.0, 0.0, 0.0, 10.0, -15.0, 6.0],
        [0.0, 0.0, 0.0, -4.0, 7.0, -3.0],
        [0.0, 0.0, 0.0, 0.5, -1.0, 0.5],
    ],
    dtype=torch.float64,
)


class JacobiFields(NamedTuple):
    """A geodesic and the fields along it that vanish at its start.

    Attributes:
        points: c(t) at t = 0, 1/n, ..., 1 (B, n + 1, d).
        velocities: c'(t) (B, n + 1, d).
        frame: orthonormal vectors E(t) carried along, in the columns (B, n + 1, d, d).
        fields: A(t) (B, n + 1, d, d), in that frame.
        rates: A'(t) (B, n + 1, d, d).
        log_volume: log |det(A(t) / t)|, the logarithm of the volume of exp (B, n + 1); 0 at t = 0.

    """

    points: Tensor
    velocities: Tensor
    frame: Tensor
    fields: Tensor
    rates: Tensor
    log_volume: Tensor


class ConjugatePoints(NamedTuple):
    """Distance to the first conjugate point (B,), inf without one, and the Morse index of the geodesic (B,)."""

    distance: Tensor
    morse_index: Tensor


def jacobi_operator(im: RiemannianMetric, z: Tensor, v: Tensor, frame: Tensor) -> JacobiOperator:
    """Return the connection and the curvature along a geodesic: Gamma(v, v), Gamma(v, e_a) and R(e_a, v, e_b, v).

    Args:
        im: the metric.
        z: codes (N, d).
        v: velocities (N, d).
        frame: bases of the tangent spaces, in the columns (N, d, d), well conditioned in the metric.

    Returns:
        `JacobiOperator`; NaN where the frame is.

    """
    return JacobiOperator(*in_chunks(im.jacobi_operator, im, z, None, order=2, beside=(v, frame)))


def jacobi_fields(
    im: RiemannianMetric, z: Tensor, v: Tensor, steps: int = 32, *, tol: float | None = None
) -> JacobiFields:
    r"""Return the Jacobi fields that vanish at the start of a geodesic, from time 0 to 1.

        J'' + R(J, c') c' = 0,    J(0) = 0,    J'(0) = E(0) w

    An adaptive Runge-Kutta pair takes the geodesic, its frame and the fields together, each geodesic by steps of its
    own. A step takes the curvature of the planes that contain the velocity alone (`RiemannianMetric.jacobi_operator`):
    memory grows with d times the dimension m of the flat space, not with the d^4 numbers of the Riemann tensor.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: initial velocities (B, d).
        steps: number n of equal parts of the geodesic, at whose ends the fields are returned.
        tol: error of a step that is admitted, relative to the size of each of position, velocity, frame, A and A';
            1e-7 in float64 and 1e-4 in float32 where it is not given.

    Returns:
        `JacobiFields`; NaN from where the metric is rank deficient, the geodesic leaves its chart or the range of
        numbers, which its steps tell by growing too short or too many (1024).

    Raises:
        TypeError, ValueError: see `metric`; also for vectors of another shape or dtype, no part, or a tol that is
            not positive.

    """
    return _followed(im, z, v, steps, tol, False)[0]


def fields_and_hessian(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> tuple[JacobiFields, Tensor]:
    r"""Return the Jacobi fields, and the Hessian at z of half the squared distance to x = exp_z(v).

        Hess (1/2) dist(., x)^2 = S = A(1)^-1 B(1),    B'' = -K B,    B(0) = 1,    B'(0) = 0

    It tells how the logarithm turns when its base moves, D log_z(x) = -S, and is 1 where space is flat. Steps are of
    one length, so that their error is smooth in z and v.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: initial velocities (B, d).
        steps: number of classical Runge-Kutta steps, of order 4.

    Returns:
        `JacobiFields`, and S (B, d, d) in the frame at z; 1 where x is conjugate to z or not reached.

    """
    found, other = _followed(im, z, v, steps, None, True)
    made = torch.linalg.solve_ex(found.fields[..., -1, :, :].double(), other.double())[0]
    ok = torch.isfinite(made).all(-1, keepdim=True).all(-2, keepdim=True)
    return found, torch.where(ok, (made + made.mT) / 2, torch.eye(im.dim).to(made)).to(z.dtype)


def _followed(
    im: RiemannianMetric, z: Tensor, v: Tensor, steps: int, tol: float | None, both: bool
) -> tuple[JacobiFields, Tensor]:
    """Return the fields A along geodesics, and the field B at their ends if both are asked for (else A again)."""
    codes = flat_codes(im, z, {"v": v}, smooth=True)
    flat, vectors = codes.z.detach(), codes.vectors[0].detach()
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    if tol is not None and not tol > 0:
        raise ValueError(f"expected a positive tol, got {tol}")
    bound, d, width = TOL[z.dtype] if tol is None else tol, im.dim, im.dim * (2 if both else 1)
    parts = (d, d, d * d, d * width, d * width)
    t = torch.linspace(0, 1, steps + 1, dtype=z.dtype, device=z.device)
    with torch.no_grad(), unchanged():
        least = torch.finfo(z.dtype).eps ** 0.5
        start, scale = _start(im, flat, vectors, both)

        def slope(base: Tensor, y: Tensor) -> Tensor:
            return _slope(im, base, y, width)

        if both:
            states = tuple(_in_equal_steps(slope, flat, start, steps).split(parts, -1))
        else:
            states = follow(slope, flat, start, parts, scale, t, bound, MOST, least).states
    w, v_t, e, a, b = states
    e, a, b = e.unflatten(-1, (d, d)), a.unflatten(-1, (d, width)), b.unflatten(-1, (d, width))
    other, a, b = a[:, -1, :, -d:], a[..., :d], b[..., :d]
    volume = torch.linalg.slogdet(a.double())[1] - d * t.double().log()
    volume = torch.where((t == 0) & torch.isfinite(w).all(-1), 0, volume).to(z.dtype)
    return codes.restored((JacobiFields(flat[:, None] + w, v_t, e, a, b, volume), other))


def conjugate_points(
    im: RiemannianMetric, z: Tensor, v: Tensor, steps: int = 32, *, tol: float | None = None
) -> ConjugatePoints:
    r"""Return the first conjugate point of the geodesic from z with velocity v, up to time 1.

        distance = t |v|_g for the least t > 0 with det A(t) = 0

    A geodesic of Morse index above 0 is no shortest path, whatever solver returned it. The least distance over
    directions bounds the injectivity radius at z from above; geodesics may also meet without being neighbours, as on a
    cylinder, which no Jacobi field tells.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: initial velocities (B, d), whose length is how far the geodesic is followed.
        steps: number of parts of the geodesic, in none of which two directions may focus and diverge again.
        tol: see `jacobi_fields`; the distance is found to about ten times that, and to sixth order in the parts.

    Returns:
        ConjugatePoints(distance (B,), morse_index (B,)). The index is -1 where a geodesic could not be followed to its
        end, and the distance is NaN if it was lost before a conjugate point.

    Raises:
        TypeError, ValueError: see `jacobi_fields`.

    """
    flat, at = v.detach().reshape(-1, im.dim), z.detach().reshape(-1, im.dim)
    found = jacobi_fields(im, at, flat, steps, tol=tol)
    with torch.no_grad():
        distance, index = first_conjugate(found, operator_along(im, found), norm(metric(im, at), flat))
    return ConjugatePoints(distance.to(z.dtype).reshape(z.shape[:-1]), index.reshape(z.shape[:-1]))


def first_conjugate(found: JacobiFields, across: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance to the first conjugate point and the Morse index of geodesics of given speed, each (N,).

    Args:
        found: the fields of N geodesics.
        across: R(e_a, c', e_b, c') at their points (N, n + 1, d, d), as `operator_along` returns it.
        speed: |c'|_g (N,).

    """
    speed = speed.double()
    a, b, ok = _sound(found, speed)
    passed = _passages(*_neighbours(a, b))
    first = (passed > 0).to(torch.uint8).argmax(-1)
    distance = _located(a, b, -across.double() @ a, first, speed.clamp(min=1)) * speed
    distance = torch.where(passed.any(-1), distance, torch.where(ok, torch.inf, torch.nan))
    return distance, torch.where(ok, passed.sum(-1), -1)


def operator_along(im: RiemannianMetric, found: JacobiFields) -> Tensor:
    """Return R(e_a, c', e_b, c') at the points of N geodesics (N, n + 1, d, d); 0 where they did not come."""
    at = [x.flatten(0, 1) for x in (found.points, found.velocities, found.frame)]
    sound = torch.isfinite(at[0]).all(-1)
    across = jacobi_operator(im, torch.where(sound[:, None], at[0], 0), at[1], at[2]).across.double()
    across = torch.where(torch.isfinite(across).all(-1, keepdim=True).all(-2, keepdim=True), across, 0)
    return across.unflatten(0, found.points.shape[:2])


def before_conjugate(found: JacobiFields) -> Tensor:
    """Return whether no point of each geodesic is conjugate to its start (B,); False where fields are not finite."""
    a, b, ok = _sound(found, torch.ones_like(found.log_volume[..., 0].flatten()).double())
    return (ok & (_passages(*_neighbours(a, b)) == 0).all(-1)).reshape(found.log_volume.shape[:-1])


def followed_to(found: JacobiFields) -> Tensor:
    """Return the time up to which each geodesic and its fields are finite (N,), on their grid; NaN where never."""
    ok = torch.stack([torch.isfinite(x).flatten(2).all(-1) for x in (found.frame, found.fields, found.rates)]).all(0)
    count = ok.cumprod(-1).sum(-1)
    return torch.where(count > 0, (count - 1) / (ok.shape[-1] - 1), torch.nan)


def _sound(found: JacobiFields, speed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return max(speed, 1) A and A' (N, n + 1, d, d), and which geodesics have finite ones (N,).

    From where they are not finite their last finite values stay; identities if there are none.
    """
    a, b = (x.reshape(-1, *x.shape[-3:]).double() for x in (found.fields, found.rates))
    fine = torch.isfinite(a).flatten(2).all(-1) & torch.isfinite(b).flatten(2).all(-1)
    fine = fine.cumprod(-1).bool()
    last, rows = (fine.sum(-1) - 1).clamp(min=0), torch.arange(len(a), device=a.device)
    stays = [torch.where(fine[..., None, None], x, x[rows, last][:, None]) for x in (a, b)]
    some, eye = fine[:, 0, None, None, None], torch.eye(a.shape[-1]).to(a)
    a, b = (torch.where(some, x, eye) for x in stays)
    return a * speed.clamp(min=1)[:, None, None, None], b, fine.all(-1)


def _neighbours(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenphases at the start and at the end of every part of the geodesics but the first."""
    phases = _phases(a[:, 1:], b[:, 1:])
    return phases[:, :-1], phases[:, 1:]


def _start(im: RiemannianMetric, z: Tensor, v: Tensor, both: bool) -> tuple[Tensor, Tensor]:
    """Return c - z, c', E, A and A' at time 0, as one state, and the sizes that errors of each are related to."""
    frame, (n, d) = orthonormal_frames(im, z), z.shape
    eye = torch.eye(d, dtype=z.dtype, device=z.device).expand_as(frame)
    a, b = torch.zeros_like(eye), eye
    if both:
        a, b = torch.cat([a, eye], -1), torch.cat([b, torch.zeros_like(eye)], -1)
    speed, one = v.norm(dim=-1), z.new_ones(n)
    along = torch.linalg.solve_ex(frame, v[..., None])[0][..., 0].norm(dim=-1).clamp(min=1)  # A is about 1 / |v|_g
    scale = torch.stack([speed, speed, 0 * one, one / along, one], -1)
    return torch.cat([torch.zeros_like(v), v, frame.flatten(1), a.flatten(1), b.flatten(1)], -1), scale


def _slope(im: RiemannianMetric, base: Tensor, y: Tensor, width: int) -> Tensor:
    """Return the time derivatives of c - z, c', E, A and A'; NaN where the code is not finite."""
    d = base.shape[-1]
    w, v, e, a, b = y.split((d, d, d * d, d * width, d * width), -1)
    z, frame, fields = base + w, e.unflatten(-1, (d, d)), a.unflatten(-1, (d, width))
    ok = torch.isfinite(z).all(-1)
    along, turn, across = jacobi_operator(im, torch.where(ok[:, None], z, base), v, frame)
    slope = torch.cat([v, -along, -turn.flatten(1), b, -(across @ fields).flatten(1)], -1)
    return torch.where(ok[:, None], slope, torch.nan)


def _in_equal_steps(slope: Callable[[Tensor, Tensor], Tensor], base: Tensor, y: Tensor, steps: int) -> Tensor:
    """Return the states after 0, 1, ..., n classical Runge-Kutta steps (N, n + 1, K)."""
    states, h = [y], 1 / steps
    for _ in range(steps):
        k1 = slope(base, y)
        k2 = slope(base, y + h / 2 * k1)
        k3 = slope(base, y + h / 2 * k2)
        k4 = slope(base, y + h * k3)
        y = y + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        states.append(y)
    return torch.stack(states, 1)


def _phases(a: Tensor, b: Tensor) -> Tensor:
    """Return the eigenphases in [0, pi) of (B + iA)(B - iA)^-1, sorted, of matrices (..., d, d).

    They depend on the span of the columns of (B, A) alone; of an orthonormal basis of it B - iA is unitary.
    """
    basis = torch.linalg.qr(torch.cat([b, a], -2))[0]
    x = torch.complex(*basis.chunk(2, -2))
    w = torch.linalg.solve_ex(x.conj().mT, x.mT)[0].mT
    return (torch.linalg.eigvals(w).angle() / 2 % torch.pi).sort(-1).values


def _passages(before: Tensor, after: Tensor) -> Tensor:
    """Return how many phases passed pi between two sorted sets (..., d), by the shift that moves them least."""
    d = before.shape[-1]
    moves = [torch.cat([after[..., k:], after[..., :k] + torch.pi], -1) - before for k in range(d + 1)]
    return torch.stack([m.square().sum(-1) for m in moves], -1).argmin(-1)


def _located(a: Tensor, b: Tensor, second: Tensor, first: Tensor, scale: Tensor) -> Tensor:
    """Return the time of the first passage, which lies in part first + 1, by bisection of Hermite's quintic."""
    rows, h = torch.arange(len(a), device=a.device), 1 / (a.shape[1] - 1)
    rise = h * scale[:, None, None]
    ends = [x for k in (1, 2) for x in (a[rows, first + k], rise * b[rows, first + k], h * h * second[rows, first + k])]
    powers = torch.einsum("kp,knij->pnij", QUINTIC.to(a), torch.stack(ends))
    start = _phases(ends[0], b[rows, first + 1])
    low, high = torch.zeros_like(scale), torch.ones_like(scale)
    for _ in range(40):
        s = ((low + high) / 2)[:, None, None]
        value, rate = powers[5], torch.zeros_like(powers[5])
        for power in powers[:5].flip(0):  # Horner's rule, with its derivative
            value, rate = power + s * value, value + s * rate
        passed = _passages(start, _phases(value, rate / rise)) > 0
        low, high = torch.where(passed, low, (low + high) / 2), torch.where(passed, (low + high) / 2, high)
    return h * (first + 1 + (low + high) / 2)
