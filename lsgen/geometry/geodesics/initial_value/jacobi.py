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

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.chunks import in_chunks
from lsgen.geometry.factorisation import norm
from lsgen.geometry.metric_tensor import metric, orthonormal_frames
from lsgen.geometry.riemannian import JacobiOperator, RiemannianMetric

__all__ = ["ConjugatePoints", "JacobiFields", "conjugate_points", "jacobi_fields"]


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


def jacobi_fields(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int = 32) -> JacobiFields:
    r"""Return the Jacobi fields that vanish at the start of a geodesic, from time 0 to 1.

        J'' + R(J, c') c' = 0,    J(0) = 0,    J'(0) = E(0) w

    Classical Runge-Kutta steps of fourth order for the geodesic, its frame and the fields together. Each takes the
    curvature of the planes that contain the velocity alone (`RiemannianMetric.jacobi_operator`): memory grows with d
    times the dimension m of the flat space, not with the d^4 numbers of the Riemann tensor.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: initial velocities (B, d).
        steps: number n of steps.

    Returns:
        `JacobiFields`; NaN from where the metric is rank deficient or the geodesic leaves the range of numbers.

    Raises:
        TypeError, ValueError: see `metric`; also for vectors of another shape or dtype, or no step.

    """
    return _followed(im, z, v, steps, False)[0]


def fields_and_hessian(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int) -> tuple[JacobiFields, Tensor]:
    r"""Return the Jacobi fields, and the Hessian at z of half the squared distance to x = exp_z(v).

        Hess (1/2) dist(., x)^2 = S = A(1)^-1 B(1),    B'' = -K B,    B(0) = 1,    B'(0) = 0

    It tells how the logarithm turns when its base moves, D log_z(x) = -S, and is 1 where space is flat.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: initial velocities (B, d).
        steps: number of steps.

    Returns:
        `JacobiFields`, and S (B, d, d) in the frame at z; 1 where x is conjugate to z or not reached.

    """
    found, other = _followed(im, z, v, steps, True)
    made = torch.linalg.solve_ex(found.fields[..., -1, :, :].double(), other.double())[0]
    ok = torch.isfinite(made).all(-1, keepdim=True).all(-2, keepdim=True)
    return found, torch.where(ok, (made + made.mT) / 2, torch.eye(im.dim).to(made)).to(z.dtype)


def _followed(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int, both: bool) -> tuple[JacobiFields, Tensor]:
    """Integrate the fields A, and the field B at the end if both are asked for (else A again)."""
    codes = flat_codes(im, z, {"v": v}, smooth=True)
    flat, vectors = codes.z.detach(), codes.vectors[0].detach()
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    with torch.no_grad():
        states = [_start(im, flat, vectors, both)]
        for _ in range(steps):
            states.append(_stepped(im, states[-1], 1 / steps))
    z_t, v_t, e, a, b = (torch.stack(column, 1) for column in zip(*states, strict=True))
    other, a, b = a[:, -1, :, -im.dim :], a[..., : im.dim], b[..., : im.dim]
    t = torch.linspace(0, 1, steps + 1, dtype=z.dtype, device=z.device)
    volume = torch.linalg.slogdet(a.double())[1] - im.dim * t.double().log()
    volume = torch.where(t == 0, 0, volume).to(z.dtype)
    return codes.restored((JacobiFields(z_t, v_t, e, a, b, volume), other))


def conjugate_points(im: RiemannianMetric, z: Tensor, v: Tensor, steps: int = 32) -> ConjugatePoints:
    r"""Return the first conjugate point of the geodesic from z with velocity v, up to time 1.

        distance = t |v|_g for the least t > 0 with det A(t) = 0

    A geodesic of Morse index above 0 is no shortest path, whatever solver returned it. The least distance over
    directions bounds the injectivity radius at z from above; geodesics may also meet without being neighbours, as on a
    cylinder, which no Jacobi field tells.

    Args:
        im: the immersion, or the metric itself.
        z: codes (B, d).
        v: initial velocities (B, d), whose length is how far the geodesic is followed.
        steps: number of steps; the distance is found to fourth order in their length.

    Returns:
        ConjugatePoints(distance (B,), morse_index (B,)); NaN and -1 where the fields are not finite, up to the end.

    Raises:
        TypeError, ValueError: see `jacobi_fields`.

    """
    found = jacobi_fields(im, z, v, steps)
    flat = v.detach().reshape(-1, im.dim)
    g = metric(im, z.detach().reshape(-1, im.dim)).detach()
    distance, index = first_conjugate(found, norm(g, flat))
    return ConjugatePoints(distance.to(z.dtype).reshape(z.shape[:-1]), index.reshape(z.shape[:-1]))


def first_conjugate(found: JacobiFields, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance to the first conjugate point and the Morse index of geodesics of given speed, each (N,)."""
    speed = speed.double()
    a, b, ok = _sound(found, speed)
    passed = _passages(*_neighbours(a, b))
    first = (passed > 0).to(torch.uint8).argmax(-1)
    distance = torch.where(passed.any(-1), _located(a, b, first, speed.clamp(min=1)) * speed, torch.inf)
    return torch.where(ok, distance, torch.nan), torch.where(ok, passed.sum(-1), -1)


def before_conjugate(found: JacobiFields) -> Tensor:
    """Return whether no point of each geodesic is conjugate to its start (B,); False where fields are not finite."""
    a, b, ok = _sound(found, torch.ones_like(found.log_volume[..., 0].flatten()).double())
    return (ok & (_passages(*_neighbours(a, b)) == 0).all(-1)).reshape(found.log_volume.shape[:-1])


def _sound(found: JacobiFields, speed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return max(speed, 1) A and A' (N, n + 1, d, d), and which geodesics have finite ones (N,); identity elsewhere."""
    a, b = (x.reshape(-1, *x.shape[-3:]).double() for x in (found.fields, found.rates))
    ok = torch.isfinite(a).flatten(1).all(-1) & torch.isfinite(b).flatten(1).all(-1)
    a, b = (torch.where(ok[:, None, None, None], x, torch.eye(x.shape[-1]).to(x)) for x in (a, b))
    return a * speed.clamp(min=1)[:, None, None, None], b, ok


def _neighbours(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenphases before and after every step but the first."""
    phases = _phases(a[:, 1:], b[:, 1:])
    return phases[:, :-1], phases[:, 1:]


def _start(im: RiemannianMetric, z: Tensor, v: Tensor, both: bool) -> tuple[Tensor, ...]:
    """Return c, c', E, A and A' at time 0; A has the columns of B too if both are asked for."""
    frame = orthonormal_frames(im, z)
    eye = torch.eye(im.dim, dtype=z.dtype, device=z.device).expand_as(frame)
    zero = torch.zeros_like(eye)
    if both:
        return z, v, frame, torch.cat([zero, eye], -1), torch.cat([eye, zero], -1)
    return z, v, frame, zero, eye


def _rates(im: RiemannianMetric, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the time derivatives of c, c', E, A and A'; NaN where the code is not finite."""
    z, v, frame, a, b = state
    ok = torch.isfinite(z).all(-1)
    base = torch.where(ok[:, None], z, 0)
    along, turn, across = jacobi_operator(im, base, v, frame)
    rates = v, -along, -turn, b, -across @ a
    return tuple(torch.where(ok.reshape(-1, *[1] * (x.ndim - 1)), x, torch.nan) for x in rates)


def _stepped(im: RiemannianMetric, state: tuple[Tensor, ...], h: float) -> tuple[Tensor, ...]:
    """Take one classical Runge-Kutta step."""

    def moved(rates: tuple[Tensor, ...], by: float) -> tuple[Tensor, ...]:
        return tuple(x + by * k for x, k in zip(state, rates, strict=True))

    k1 = _rates(im, state)
    k2 = _rates(im, moved(k1, h / 2))
    k3 = _rates(im, moved(k2, h / 2))
    k4 = _rates(im, moved(k3, h))
    mean = tuple((p + 2 * q + 2 * r + s) / 6 for p, q, r, s in zip(k1, k2, k3, k4, strict=True))
    return moved(mean, h)


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


def _located(a: Tensor, b: Tensor, first: Tensor, scale: Tensor) -> Tensor:
    """Return the time of the first passage, which lies in step first + 1, by bisection of Hermite's cubic."""
    rows, h = torch.arange(len(a), device=a.device), 1 / (a.shape[1] - 1)
    left, right = (a[rows, first + k] for k in (1, 2))
    left_rate, right_rate = (h * scale[:, None, None] * b[rows, first + k] for k in (1, 2))
    start = _phases(left, b[rows, first + 1])
    low, high = torch.zeros_like(scale), torch.ones_like(scale)
    for _ in range(40):
        s = ((low + high) / 2)[:, None, None]
        value = (1 + 2 * s) * (1 - s) ** 2 * left + s**2 * (3 - 2 * s) * right
        value = value + s * (1 - s) ** 2 * left_rate - s**2 * (1 - s) * right_rate
        rate = 6 * s * (1 - s) * (right - left)
        rate = rate + (1 - s) * (1 - 3 * s) * left_rate - s * (2 - 3 * s) * right_rate
        passed = _passages(start, _phases(value, rate / (h * scale[:, None, None]))) > 0
        low, high = torch.where(passed, low, (low + high) / 2), torch.where(passed, (low + high) / 2, high)
    return h * (first + 1 + (low + high) / 2)
