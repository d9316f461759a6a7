r"""Reference surfaces: immersions whose metric, curvature and distances are known in closed form.

    surface          scalar curvature R = 2 K                         mean curvature |H| = |k1 + k2| / 2
    plane            0                                                0
    sphere(r, n)     n (n - 1) / r^2                                  1 / r
    ellipsoid        2 / (a^2 b^2 c^2 h^4), h^2 = sum x_i^2/a_i^4     (no short form)
    torus(a, b)      2 cos v / (b (a + b cos v))                      (a + 2 b cos v) / (2 b (a + b cos v))
    catenoid         -2 / cosh^4 v                                    0
    helicoid         -2 / (1 + v^2)^2                                 0
    hyperbolic       -1 (of R^{2,1}, through one Gaussian)            1 / sqrt 2
    veronese         2 / 3 (the projective plane in S^4(sqrt 3)...)   1 / sqrt 3
    swiss_roll       0                                                1 / (2 |radius of curvature|)

Reference: do Carmo, "Differential Geometry of Curves and Surfaces" (1976), chapters 2, 3; Veronese: Chern, do Carmo &
Kobayashi, "Minimal submanifolds of a sphere with second fundamental form of constant length" (1970).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from lsgen.geometry.immersion import Immersion, SpaceMap
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Gaussian

__all__ = [
    "Surface",
    "catenoid",
    "ellipsoid",
    "helicoid",
    "hyperbolic",
    "plane",
    "sphere",
    "swiss_roll",
    "torus",
    "veronese",
]


@dataclass(frozen=True)
class Surface:
    """An immersion with its metric, scalar curvature and geodesic distance in closed form.

    Attributes:
        immersion: the surface.
        metric: codes (B, d) -> g (B, d, d).
        scalar: codes (B, d) -> R (B,).
        distance: a pair of codes (B, d) -> their geodesic distance (B,); None where there is no closed form.

    """

    immersion: Immersion
    metric: Callable[[Tensor], Tensor]
    scalar: Callable[[Tensor], Tensor]
    distance: Callable[[Tensor, Tensor], Tensor] | None = None


def _columns(*columns: Tensor) -> Tensor:
    return torch.stack(columns, -1)


def _diagonal(*entries: Tensor) -> Tensor:
    return torch.diag_embed(_columns(*entries))


def _constant(value: float) -> Callable[[Tensor], Tensor]:
    return lambda z: z.new_full(z.shape[:-1], value)


def plane() -> Surface:
    """Return the plane in R^3, (u, v, 0)."""
    return Surface(
        Immersion(lambda z: _columns(z[..., 0], z[..., 1], 0 * z[..., 0]), 2),
        lambda z: _diagonal(torch.ones_like(z[..., 0]), torch.ones_like(z[..., 1])),
        _constant(0.0),
        lambda a, b: torch.linalg.vector_norm(a - b, dim=-1),
    )


def sphere(radius: float = 1.0, n: int = 2) -> Surface:
    """Return the sphere of dimension n in stereographic coordinates, r (2z, 1 - |z|^2) / (1 + |z|^2)."""

    def fn(z: Tensor) -> Tensor:
        s = (z * z).sum(-1, keepdim=True)
        return radius * torch.cat([2 * z, 1 - s], -1) / (1 + s)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        chord = torch.linalg.vector_norm(fn(a) - fn(b), dim=-1)
        return 2 * radius * torch.asin((chord / (2 * radius)).clamp(max=1))

    def g(z: Tensor) -> Tensor:
        factor = (2 * radius / (1 + (z * z).sum(-1))) ** 2
        return factor[..., None, None] * torch.eye(n, dtype=z.dtype, device=z.device)

    return Surface(Immersion(fn, n), g, _constant(n * (n - 1) / radius**2), distance)


def ellipsoid(a: float = 1.0, b: float = 2.0, c: float = 3.0) -> Surface:
    """Return the ellipsoid (a cos v cos u, b cos v sin u, c sin v), |v| < pi/2."""

    def fn(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        return _columns(a * v.cos() * u.cos(), b * v.cos() * u.sin(), c * v.sin())

    def g(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        uu = v.cos() ** 2 * (a**2 * u.sin() ** 2 + b**2 * u.cos() ** 2)
        uv = (a**2 - b**2) * u.sin() * u.cos() * v.sin() * v.cos()
        vv = v.sin() ** 2 * (a**2 * u.cos() ** 2 + b**2 * u.sin() ** 2) + c**2 * v.cos() ** 2
        return torch.stack([_columns(uu, uv), _columns(uv, vv)], -2)

    def scalar(z: Tensor) -> Tensor:
        x = fn(z)
        h2 = (x**2 / x.new_tensor([a, b, c]) ** 4).sum(-1)
        return 2 / ((a * b * c) ** 2 * h2**2)

    return Surface(Immersion(fn, 2), g, scalar)


def torus(major: float = 2.0, minor: float = 1.0) -> Surface:
    """Return the torus ((a + b cos v) cos u, (a + b cos v) sin u, b sin v)."""

    def fn(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        w = major + minor * v.cos()
        return _columns(w * u.cos(), w * u.sin(), minor * v.sin())

    def g(z: Tensor) -> Tensor:
        v = z[..., 1]
        return _diagonal((major + minor * v.cos()) ** 2, torch.full_like(v, minor**2))

    def scalar(z: Tensor) -> Tensor:
        cosine = z[..., 1].cos()
        return 2 * cosine / (minor * (major + minor * cosine))

    return Surface(Immersion(fn, 2), g, scalar, lambda x, y: _torus_distance(major, minor, x, y))


def _torus_distance(major: float, minor: float, x: Tensor, y: Tensor) -> Tensor:
    r"""Return the length of the shortest geodesic between codes of a torus, by quadrature of Clairaut's relation.

        u' = c / w^2,   (b v')^2 = 1 - c^2 / w^2,   w = a + b cos v
        |du| = int b c dv / (w sqrt(w^2 - c^2)),   L = int b w dv / sqrt(w^2 - c^2)

    Either v runs from end to end, or beyond the end of smaller w to a turning point where w = c, and back.

    Args:
        major: radius a.
        minor: radius b.
        x: codes (B, 2) as (u, v), |v| < pi.
        y: codes (B, 2), with |u_x - u_y| below pi sqrt(b / (a + b)), so that no conjugate point is on the way.

    Returns:
        A tensor (B,), to about 1e-10 in float64.

    Reference:
        do Carmo, "Differential Geometry of Curves and Surfaces" (1976), section 4.4, example 5.

    """
    across = (x[..., 0] - y[..., 0]).abs()
    outer = torch.where(x[..., 1].abs() > y[..., 1].abs(), x[..., 1], y[..., 1])
    inner = torch.where(x[..., 1].abs() > y[..., 1].abs(), y[..., 1], x[..., 1]) * torch.where(outer < 0, -1.0, 1.0)
    outer = outer.abs()
    nodes, weights = (torch.as_tensor(r).to(x) for r in np.polynomial.legendre.leggauss(200))

    def run(low: Tensor, high: Tensor, c: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Integrate from low to high <= turn, with v = turn - s^2, w(turn) = c or no turn within reach."""
        first, last = (turn - high).clamp(min=0).sqrt(), (turn - low).clamp(min=0).sqrt()
        s = first[..., None] + (last - first)[..., None] * (1 + nodes) / 2
        v = turn[..., None] - s * s
        w = major + minor * v.cos()
        lift = 2 * minor * torch.sin((turn[..., None] + v) / 2) * torch.sin(s * s / 2)
        gap = (lift + (major + minor * turn.cos() - c)[..., None]) * (w + c[..., None])
        scale = weights * (last - first)[..., None] * s * minor / gap.clamp(min=torch.finfo(x.dtype).tiny).sqrt()
        return (scale * c[..., None] / w).sum(-1), (scale * w).sum(-1)

    def both(place: Tensor) -> tuple[Tensor, Tensor]:
        """Return |du| and L for c = place w(outer) up to place = 1; beyond 1 the geodesic turns on its way to pi."""
        turn = outer + (place - 1).clamp(min=0) * (pi - outer)
        c = place.clamp(max=1) * (major + minor * turn.cos())
        (du, length), (more, extra) = run(inner, outer, c, turn), run(outer, turn, c, turn)
        return du + 2 * more, length + 2 * extra

    low, high = torch.zeros_like(across), torch.full_like(across, 2.0)
    for _ in range(60):
        middle = (low + high) / 2
        short = both(middle)[0] < across
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return both(low)[1]


def catenoid() -> Surface:
    """Return the catenoid (cosh v cos u, cosh v sin u, v)."""

    def fn(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        return _columns(v.cosh() * u.cos(), v.cosh() * u.sin(), v)

    def g(z: Tensor) -> Tensor:
        square = z[..., 1].cosh() ** 2
        return _diagonal(square, square)

    return Surface(Immersion(fn, 2), g, lambda z: -2 / z[..., 1].cosh() ** 4)


def helicoid() -> Surface:
    """Return the helicoid (v cos u, v sin u, u)."""

    def fn(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        return _columns(v * u.cos(), v * u.sin(), u)

    def g(z: Tensor) -> Tensor:
        v = z[..., 1]
        return _diagonal(1 + v**2, torch.ones_like(v))

    return Surface(Immersion(fn, 2), g, lambda z: -2 / (1 + z[..., 1] ** 2) ** 2)


class _HalfPlane(nn.Module):
    """The coordinates (x, log y) of the half-plane as mean and log standard deviation of a Gaussian."""

    def forward(self, z: Tensor) -> Tensor:
        """Return (sqrt 2 x, log y) (N, 2)."""
        return z * z.new_tensor([sqrt(2), 1.0])


def hyperbolic() -> Surface:
    """Return the hyperbolic plane of curvature -1/2 in R^{2,1}, in the coordinates (x, log y) of the half-plane."""

    def fn(z: Tensor) -> Tensor:
        x, y = z[..., 0], z[..., 1].exp()
        return sqrt(2) * _columns((x**2 + y**2 + 1) / (2 * y), x / y, (x**2 + y**2 - 1) / (2 * y))

    def g(z: Tensor) -> Tensor:
        log_y = z[..., 1]
        return _diagonal(2 * (-2 * log_y).exp(), torch.full_like(log_y, 2.0))

    def distance(a: Tensor, b: Tensor) -> Tensor:
        across = (a[..., 0] - b[..., 0]) * torch.exp(-(a[..., 1] + b[..., 1]) / 2) / 2
        return 2 * sqrt(2) * torch.asinh(torch.hypot(across, torch.sinh((a[..., 1] - b[..., 1]) / 2)))

    space = LatentSpace(_HalfPlane(), Gaussian((1,)), StandardNormal(2)).eval()
    made = Immersion(fn, 2, signature=[-1.0, 1.0, 1.0], moved=SpaceMap(space, "fisher", None, local=True))
    return Surface(made, g, _constant(-1.0), distance)


def veronese() -> Surface:
    """Return the Veronese surface, the projective plane of Gauss curvature 1/3 in the unit sphere of R^5."""
    unit = sphere(1.0, 2)

    def fn(z: Tensor) -> Tensor:
        x, y, w = (sqrt(3) * unit.immersion.fn(z)).unbind(-1)
        return _columns(
            y * w / sqrt(3),
            x * w / sqrt(3),
            x * y / sqrt(3),
            (x**2 - y**2) / (2 * sqrt(3)),
            (x**2 + y**2 - 2 * w**2) / 6,
        )

    return Surface(Immersion(fn, 2), lambda z: 3 * unit.metric(z), _constant(2 / 3))


def swiss_roll() -> Surface:
    """Return the swiss roll (u cos u, u sin u, v), u > 0, which is flat."""

    def fn(z: Tensor) -> Tensor:
        u, v = z.unbind(-1)
        return _columns(u * u.cos(), u * u.sin(), v)

    def arc(u: Tensor) -> Tensor:
        return (u * torch.sqrt(1 + u**2) + torch.asinh(u)) / 2

    return Surface(
        Immersion(fn, 2),
        lambda z: _diagonal(1 + z[..., 0] ** 2, torch.ones_like(z[..., 1])),
        _constant(0.0),
        lambda a, b: torch.hypot(arc(a[..., 0]) - arc(b[..., 0]), a[..., 1] - b[..., 1]),
    )
