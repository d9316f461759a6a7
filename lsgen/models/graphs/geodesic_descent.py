r"""Stochastic gradient descent along geodesics, from link to link, on a CPU.

For each link (u, v) with negatives v_k, the targets being t_0 = v and t_k = v_k at distances d_k from u,

    p_k ~ exp(-d_k / T),    g_k = (delta_k0 - p_k) / T,
    u <- exp_u( rate sum_k g_k e_k ),    t_k <- exp_(t_k)( rate g_k e'_k ),

where the unit vectors e_k at u and e'_k at t_k point along the geodesic to the other, against which a distance grows
fastest. It is the step of `RiemannianSGD` for the loss of one link. In a product the squares of the distances of the
parts add up, and the unit vectors are those of the parts times their share of the distance.

Vectors are in the frames of `Manifold.displacement` and `Manifold.shift`, whose formulas stand here once more, as
loops; see `lsgen.latent.manifolds`. A code stays where a step would leave the reach of double precision.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from lsgen.latent import Euclidean, Lorentz, Manifold, PoincareBall, ProductManifold, Sphere

__all__ = ["descend_links", "known_parts"]

_KINDS: dict[type[Manifold], int] = {Euclidean: 0, Sphere: 1, PoincareBall: 2, Lorentz: 3}
_FLAT, _SPHERE, _BALL = 0, 1, 2


def known_parts(manifold: Manifold, dim: int) -> tuple[Any, Any] | None:
    """Return kind, first coordinate and end of each part of a manifold, int64 (P, 3), and the roots of curvatures (P,).

    None where a part is of no constant curvature.
    """
    product = isinstance(manifold, ProductManifold)
    parts, sizes = (manifold.parts, manifold.sizes) if product else ((manifold,), (dim,))  # type: ignore[attr-defined]
    if any(type(part) not in _KINDS for part in parts):
        return None
    ends = np.cumsum(sizes)
    rows = [(_KINDS[type(part)], end - size, end) for part, size, end in zip(parts, sizes, ends, strict=True)]
    return np.array(rows, np.int64), np.array([getattr(part, "curvature", 1.0) ** 0.5 for part in parts])


@numba.njit(cache=True, nogil=True)
def _dot(a: Any, b: Any) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@numba.njit(cache=True, nogil=True)
def _towards(kind: int, root: float, x: Any, y: Any, e: Any, back: Any) -> float:
    """Return the distance, and put the unit vectors at x to y and at y to x into e and back; 0 where it is 0."""
    size = len(x)
    square, product, a, b = 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        square += (y[i] - x[i]) ** 2
        product += x[i] * y[i]
        a += x[i] * x[i]
        b += y[i] * y[i]
    if kind == _FLAT:
        length = math.sqrt(square)
        for i in range(size):
            e[i] = y[i] - x[i]
            back[i] = -e[i]
    elif kind == _SPHERE:
        other = 2 * (1 + product)
        length = 2 * math.atan2(math.sqrt(square), math.sqrt(max(other, 0.0)))
        for i in range(size):
            e[i] = y[i] - x[i] + square / 2 * x[i]
            back[i] = x[i] - y[i] + square / 2 * y[i]
    elif kind == _BALL:
        c = root * root
        s, end = 1 - c * a, 1 - c * b
        length = 2 * math.asinh(root * math.sqrt(square / (s * end))) / root
        for i in range(size):
            e[i] = y[i] - x[i] - x[i] * (c * square / s)
            back[i] = x[i] - y[i] - y[i] * (c * square / end)
    else:
        length = _across_hyperboloid(root, x, y, e, back)
    _normalise(e)
    _normalise(back)
    return length


@numba.njit(cache=True, nogil=True)
def _across_hyperboloid(root: float, x: Any, y: Any, e: Any, back: Any) -> float:
    c, size = root * root, len(x)
    a, b = c * _dot(x[1:], x[1:]), c * _dot(y[1:], y[1:])
    time, other = math.sqrt(1 + a), math.sqrt(1 + b)
    product, total, along = 0.0, 0.0, 0.0
    for i in range(1, size):
        product += c * x[i] * y[i]
        total += c * (x[i] + y[i]) ** 2
        along += c * (y[i] - x[i]) * (x[i] + y[i])
    if product < 0:
        square = 2 * (a + b + a * b) / (1 + time * other) - 2 * product
    else:
        share, across = along / total if total > 0 else 0.0, 0.0
        for i in range(1, size):
            across += c * (y[i] - x[i] - share * (x[i] + y[i])) ** 2
        straight = across * (time + other) ** 2 + 4 * share * share * total
        square = straight / (2 + 2 * time * other + 2 * product + across)
    e[0] = back[0] = 0.0
    for i in range(1, size):
        e[i] = y[i] - x[i] - square / 2 * x[i]
        back[i] = x[i] - y[i] - square / 2 * y[i]
    here, there = c * _dot(x[1:], e[1:]) / (time * (1 + time)), c * _dot(y[1:], back[1:]) / (other * (1 + other))
    for i in range(1, size):
        e[i] -= here * x[i]
        back[i] -= there * y[i]
    return 2 * math.asinh(math.sqrt(square) / 2) / root


@numba.njit(cache=True, nogil=True)
def _normalise(e: Any) -> None:
    length = math.sqrt(_dot(e, e))
    if length > 0:
        for i in range(len(e)):
            e[i] /= length


@numba.njit(cache=True, nogil=True)
def _move(kind: int, root: float, limit: float, x: Any, e: Any, made: Any) -> bool:
    """Put where the geodesic from x along e arrives into made, and return whether that is within reach."""
    size, length = len(x), math.sqrt(_dot(e, e))
    if length == 0:
        made[:] = x
        return True
    if kind == _FLAT:
        made[:] = x + e
    elif kind == _SPHERE:
        cosine, sine = math.cos(length), math.sin(length) / length
        for i in range(size):
            made[i] = cosine * x[i] + sine * e[i]
        _normalise(made)
    elif kind == _BALL:
        t, w = math.tanh(root * length / 2), 2 / (1 + math.exp(root * length))
        s, square = 1 - root * root * _dot(x, x), 0.0
        for i in range(size):
            made[i] = e[i] / length
            square += (root * x[i] + made[i]) ** 2
        d = w * w + t * (square + w * s)
        for i in range(size):
            made[i] = x[i] + s * (t * t * x[i] + t * made[i] / root) / d
        return s * w * (1 + t) / d >= limit
    else:
        time = math.sqrt(1 + root * root * _dot(x[1:], x[1:]))
        share = root * root * _dot(x[1:], e[1:]) / (1 + time)
        sinh = math.sinh(root * length) / (root * length)
        for i in range(1, size):
            made[i] = math.cosh(root * length) * x[i] + sinh * (e[i] + share * x[i])
        made[0] = math.sqrt(1 / (root * root) + _dot(made[1:], made[1:]))
        return made[0] * root <= 2 / limit
    return True


@numba.njit(cache=True, nogil=True)
def _step(parts: Any, roots: Any, limit: float, z: Any, e: Any, made: Any) -> None:
    """Move a code along a vector, or leave it where that would lead too far."""
    for p in range(len(parts)):
        kind, i, j = parts[p]
        if not _move(kind, roots[p], limit, z[i:j], e[i:j], made[i:j]):
            return
    z[:] = made


@numba.njit(cache=True, nogil=True)
def _spread(parts: Any, roots: Any, u: Any, w: Any, there: Any, back: Any) -> float:
    """Return the distance of codes, and put the vectors that lead from each to the other into there and back."""
    square = 0.0
    for p in range(len(parts)):
        kind, i, j = parts[p]
        own = _towards(kind, roots[p], u[i:j], w[i:j], there[i:j], back[i:j])
        there[i:j] *= own
        back[i:j] *= own
        square += own * own
    return math.sqrt(square)


@numba.njit(cache=True, nogil=True)
def descend_links(
    links: Any, negatives: Any, weights: Any, codes: Any, parts: Any, roots: Any, temperature: float, rate: float,
) -> float:  # fmt: skip
    """Change codes in place by a step for each link, and return the sum of the losses, each before its step.

    Args:
        links: numbers of nodes (B, 2).
        negatives: numbers of nodes (B, K).
        weights: by which losses are multiplied, (B,); 0 for a link that is left out.
        codes: (N, d), float64.
        parts: see `known_parts`.
        roots: see there.
        temperature: T.
        rate: of learning.

    """
    limit, count, size, total = 8 * 2.0**-52, negatives.shape[1] + 1, codes.shape[1], 0.0
    there, back, length = np.zeros((count, size)), np.zeros((count, size)), np.zeros(count)
    pull, made, targets = np.zeros(size), np.zeros(size), np.zeros(count, np.int64)
    for row in range(len(links)):
        if weights[row] == 0:
            continue
        u, targets[0] = codes[links[row, 0]], links[row, 1]
        targets[1:] = negatives[row]
        for k in range(count):
            length[k] = _spread(parts, roots, u, codes[targets[k]], there[k], back[k])
        shares = np.exp((length.min() - length) / temperature)
        normaliser = shares.sum()
        total += weights[row] * (math.log(normaliser) + (length[0] - length.min()) / temperature)
        pull[:] = 0
        for k in range(count):
            if length[k] > 0:
                excess = (1.0 if k == 0 else 0.0) - shares[k] / normaliser
                factor = weights[row] * rate * excess / (temperature * length[k])
                for i in range(size):
                    pull[i] += factor * there[k, i]
                    back[k, i] *= factor
                _step(parts, roots, limit, codes[targets[k]], back[k], made)
        _step(parts, roots, limit, u, pull, made)
    return total
