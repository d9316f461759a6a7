"""What `converged` promises: nothing that has converged is further than 1 % from the truth, in 10,000 problems.

A problem is a batch of pairs of codes in one random metric. The truth is a closed form where there is one. Where there
is none it is found on a grid 4 times finer in float64: the length that the curve itself relaxes to there tells whether
it solves the geodesic equation ("solution"), the shortest of 8 starts whether it is the distance ("shortest"). With one
start a geodesic may be a local minimum, which the second row of a family counts and the first does not; the promise is
the first row. On tori of circles the shortest of all windings is known (`tori.py`); the second row is held
against it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tori import FlatTorus, Revolution, flat_torus_distance, revolution_distance

from lsgen.geometry import Immersion, MetricField, RiemannianMetric, geodesic, immersion, metric_field, reference
from lsgen.geometry.geodesics.precision import double_metric
from lsgen.latent import HypersphericalUniform, LatentSpace, Product, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian

PROBLEMS, PAIRS, PROMISE, SEED = 10_000, 20, 0.01, 20_260
POINTS, FINER, STARTS = (5, 9, 17, 33), 4, 4
f32, f64 = torch.float32, torch.float64


class Draw:
    """Random numbers, shapes and options of one problem."""

    def __init__(self, seed: int, pairs: int) -> None:
        self.generator, self.pairs = torch.Generator().manual_seed(seed), pairs

    def uniform(self, low: float = 0.0, high: float = 1.0, size: tuple[int, ...] = ()) -> Tensor:
        """Return uniform numbers in float64."""
        return low + (high - low) * torch.rand(size, generator=self.generator, dtype=f64)

    def normal(self, *size: int) -> Tensor:
        """Return normal numbers in float64."""
        return torch.randn(size, generator=self.generator, dtype=f64)

    def power(self, low: float, high: float) -> float:
        """Return 10 to a uniform power."""
        return float(10 ** self.uniform(low, high))

    def one_of(self, options: Any) -> Any:
        """Return one of some options."""
        return options[int(torch.randint(len(options), (), generator=self.generator))]

    def rotation(self, d: int) -> Tensor:
        """Return an orthogonal matrix (d, d)."""
        turned: Tensor = torch.linalg.qr(self.normal(d, d))[0]
        return turned


@dataclass(frozen=True)
class Problem:
    """Pairs of codes in one metric.

    Attributes:
        metric: the metric.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points of each curve.
        exact: distances (B,) in closed form, of the codes in float64.
        alone: whether no other geodesic joins the codes of a pair.

    """

    metric: RiemannianMetric
    start: Tensor
    end: Tensor
    points: int
    exact: Tensor | None = None
    alone: bool = True


class Verdict(NamedTuple):
    """Which geodesics have converged (B,), and the errors of their lengths relative to the two truths (B,)."""

    converged: Tensor
    solution: Tensor
    shortest: Tensor


def sphere(draw: Draw, antipodal: bool = False) -> Problem:
    """Return pairs on a sphere of 2 to 6 dimensions in stereographic coordinates, scaled, shifted and embedded afar."""
    n, dtype, count = draw.one_of((2, 2, 3, 4, 6)), draw.one_of((f32, f64, f64)), draw.pairs
    radius, unit = draw.power(-2, 2), draw.power(-2, 2)
    shift = draw.normal(n) * draw.one_of((0.0, 1.0, 30.0)) * unit
    afar = draw.normal(n + 1) * draw.one_of((0.0, 0.0, 10.0, 1000.0)) * radius
    x, y = (nn.functional.normalize(draw.normal(count, n + 1), dim=-1) for _ in range(2))
    if antipodal:
        angle = 10 ** draw.uniform(-8, -2, (count, 1))
        y = nn.functional.normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1)
        y = -x * angle.cos() + y * angle.sin()
    elif draw.one_of((True, False)):
        y = nn.functional.normalize(x + y * 10 ** draw.uniform(-6, 0.5, (count, 1)), dim=-1)
    surface = reference.sphere(radius, n)

    def fn(z: Tensor) -> Tensor:
        image: Tensor = surface.immersion.fn((z - shift.to(z)) / unit)
        return image + afar.to(z)

    a, b = ((p[:, :-1] / (1 + p[:, -1:]) * unit + shift).to(dtype) for p in (x, y))
    exact = surface.distance((a.double() - shift) / unit, (b.double() - shift) / unit)
    if draw.one_of((True, True, False)):
        return Problem(Immersion(fn, n), a, b, draw.one_of(POINTS), exact)
    field = MetricField(lambda z: surface.metric((z - shift.to(z)) / unit) / unit**2, n)
    return Problem(field, a, b, draw.one_of(POINTS), exact)


def antipodes(draw: Draw) -> Problem:
    """Return pairs on a sphere within 1e-8 to 1e-2 of antipodes."""
    return sphere(draw, antipodal=True)


def hyperbolic(draw: Draw) -> Problem:
    """Return pairs in hyperbolic space, up to 30 apart in float64: half-spaces, balls, hyperboloids and a Gaussian."""
    dtype, kind = draw.one_of((f32, f64, f64)), draw.one_of(("half-space", "ball", "hyperboloid", "gaussian"))
    d = draw.one_of((2, 2, 3, 4)) if kind in ("half-space", "ball") else 2
    apart = 30 * 10 ** draw.uniform(-2, 0 if dtype is f64 else -0.7, (draw.pairs,))
    along = draw.uniform(0, 1, (draw.pairs,)) * apart
    side = nn.functional.normalize(draw.normal(draw.pairs, d), dim=-1)
    move = torch.tanh(draw.uniform(0, 0.5, (draw.pairs, 1))) * nn.functional.normalize(
        draw.normal(draw.pairs, d), dim=-1
    )
    a = _moebius(move, -torch.tanh(along / 2)[:, None] * side)
    b = _moebius(move, torch.tanh((apart - along) / 2)[:, None] * side)
    made = {"ball": _ball, "half-space": _half_space, "hyperboloid": _hyperboloid, "gaussian": _gaussian}
    return made[kind](draw, a, b, dtype)


def _moebius(a: Tensor, x: Tensor) -> Tensor:
    """Return a + x in the ball of curvature -1."""
    ax, aa, xx = (a * x).sum(-1, keepdim=True), (a * a).sum(-1, keepdim=True), (x * x).sum(-1, keepdim=True)
    return ((1 + 2 * ax + xx) * a + (1 - aa) * x) / (1 + 2 * ax + aa * xx)


def _ball(draw: Draw, a: Tensor, b: Tensor, dtype: torch.dtype) -> Problem:
    def factor(z: Tensor) -> Tensor:
        return 4 / (1 - z.norm(dim=-1)) ** 2 / (1 + z.norm(dim=-1)) ** 2

    d = a.shape[-1]
    field = MetricField(lambda z: factor(z)[:, None, None] * torch.eye(d, dtype=z.dtype), d)
    a, b = a.to(dtype), b.to(dtype)
    x, y = a.double(), b.double()
    chord = (x - y).norm(dim=-1) * (factor(x) * factor(y)) ** 0.25 / 2
    return Problem(field, a, b, draw.one_of(POINTS), 2 * torch.asinh(chord))


def _upper(z: Tensor) -> Tensor:
    """Return the points of the half-space (x, y), y > 0, at points of the ball, by inversion about (0, -1)."""
    pole = torch.eye(z.shape[-1], dtype=z.dtype)[-1]
    x = z + pole
    return 2 * x / (x * x).sum(-1, keepdim=True) - pole


def _half_space(draw: Draw, a: Tensor, b: Tensor, dtype: torch.dtype) -> Problem:
    d = a.shape[-1]
    field = MetricField(lambda z: torch.eye(d, dtype=z.dtype) / z[:, -1, None, None] ** 2, d)
    a, b = _upper(a).to(dtype), _upper(b).to(dtype)
    x, y = a.double(), b.double()
    exact = 2 * torch.asinh((x - y).norm(dim=-1) / (2 * (x[:, -1] * y[:, -1]).sqrt()))
    return Problem(field, a, b, draw.one_of(POINTS), exact)


def _hyperboloid(draw: Draw, a: Tensor, b: Tensor, dtype: torch.dtype) -> Problem:
    surface = reference.hyperbolic()
    a, b = (torch.stack([x[:, 0], x[:, 1].log()], -1).to(dtype) for x in (_upper(a), _upper(b)))
    return Problem(surface.immersion, a, b, draw.one_of(POINTS), surface.distance(a.double(), b.double()))


def _gaussian(draw: Draw, a: Tensor, b: Tensor, dtype: torch.dtype) -> Problem:
    space = LatentSpace(nn.Identity(), Gaussian((1,)), StandardNormal(2)).eval()
    a, b = (torch.stack([sqrt(2) * x[:, 0], x[:, 1].log()], -1).to(dtype) for x in (_upper(a), _upper(b)))
    made = draw.one_of((immersion, metric_field))(space)
    return Problem(made, a, b, draw.one_of(POINTS), space.likelihood.distance(a.double(), b.double()))


def flat_torus(draw: Draw) -> Problem:
    """Return pairs of angles on a flat torus in R^4, less than half a turn of either circle apart."""
    dtype, r = draw.one_of((f32, f64)), 10 ** draw.uniform(-1, 1, (2,))

    def fn(z: Tensor) -> Tensor:
        s = r.to(z)
        return torch.cat([s * z.cos(), s * z.sin()], -1)

    a = draw.uniform(-4, 4, (draw.pairs, 2)).to(dtype)
    b = a + draw.uniform(-3, 3, (draw.pairs, 2)).to(dtype)
    return Problem(Immersion(fn, 2), a, b, draw.one_of(POINTS), (r * (b.double() - a.double())).norm(dim=-1))


def torus(draw: Draw) -> Problem:
    """Return pairs of angles on a torus of revolution, nearer than any conjugate point."""
    minor, dtype = draw.power(-0.5, 0.3), draw.one_of((f32, f64))
    major = minor * float(1 + draw.power(-0.5, 0.7))
    surface = reference.torus(major, minor)
    a = draw.uniform(-1.5, 1.5, (draw.pairs, 2)).to(dtype)
    b = draw.uniform(-1.5, 1.5, (draw.pairs, 2)).to(dtype)
    reach = 0.95 * pi * sqrt(minor / (major + minor))
    b[:, 0] = a[:, 0] + (draw.uniform(-1, 1, (draw.pairs,)) * reach).to(dtype)
    return Problem(surface.immersion, a, b, draw.one_of(POINTS), surface.distance(a.double(), b.double()))


def circles(draw: Draw) -> Problem:
    """Return pairs of points on two circles, anywhere on tori, whose distance is the least over all windings."""
    dtype, minor = draw.one_of((f32, f64)), draw.power(-0.5, 0.3)
    x, y = draw.uniform(-pi, pi, (draw.pairs, 2)), draw.uniform(-pi, pi, (draw.pairs, 2))
    a, b = (torch.stack([z.cos(), z.sin()], -1).flatten(1).to(dtype) for z in (x, y))
    x, y = (torch.atan2(z[:, 1::2].double(), z[:, ::2].double()) for z in (a, b))
    if draw.one_of((True, False)):
        sizes = 10 ** draw.uniform(-0.5, 0.5, (3,)) * minor
        decoder, m, exact = FlatTorus(sizes), 6, flat_torus_distance(sizes, x, y)
    else:
        major = minor * float(1 + draw.power(-0.5, 0.7))
        decoder, m, exact = Revolution(major, minor), 3, revolution_distance(major, minor, x, y)
    prior = Product([HypersphericalUniform(2), HypersphericalUniform(2)])
    made = immersion(LatentSpace(decoder, FixedGaussian((m,)), prior).eval())
    return Problem(made, a, b, draw.one_of(POINTS), exact, alone=False)


def ridge(draw: Draw) -> Problem:
    """Return pairs on either side of ridges of about 1 to 2 segments' width; a bent plane, whose distance is exact."""
    d, dtype, points = draw.one_of((2, 3, 4)), draw.one_of((f32, f64)), draw.one_of(POINTS)
    turn, wide = draw.rotation(d), float(draw.uniform(1, 2)) * 2 / (points - 1)
    tall, places = wide * draw.power(-0.5, 0.7), draw.uniform(-0.8, 0.8, (draw.one_of((1, 2, 3)),))

    def height(x: Tensor) -> Tensor:
        return tall * torch.exp(-(((x[..., None] - places.to(x)) / wide) ** 2)).sum(-1)

    def fn(z: Tensor) -> Tensor:
        x = z @ turn.to(z)
        return torch.cat([x, height(x[:, 0])[:, None]], -1)

    a, b = draw.normal(draw.pairs, d) * 0.3, draw.normal(draw.pairs, d) * 0.3
    a[:, 0], b[:, 0] = draw.uniform(-1, 1, (draw.pairs,)), draw.uniform(-1, 1, (draw.pairs,))
    a, b = (a @ turn.T).to(dtype), (b @ turn.T).to(dtype)
    x, y = a.double() @ turn, b.double() @ turn
    line = torch.lerp(x[:, :1], y[:, :1], torch.linspace(0, 1, 20_001, dtype=f64))
    arc = torch.hypot(line.diff(dim=1), height(line).diff(dim=1)).sum(-1)
    exact = torch.hypot(arc, (x[:, 1:] - y[:, 1:]).norm(dim=-1))
    return Problem(Immersion(fn, d), a, b, points, exact)


def bumps(draw: Draw) -> Problem:
    """Return pairs among round hills of about 1 to 2 segments' width, given by a map or by a conformal metric."""
    d, dtype, points = draw.one_of((2, 3)), draw.one_of((f32, f64)), draw.one_of(POINTS)
    wide = float(draw.uniform(1, 2)) * 2 / (points - 1)
    tall, centres = wide * draw.power(-0.5, 0.5), draw.uniform(-1, 1, (8, d))

    def height(z: Tensor) -> Tensor:
        square = (z[:, None] - centres.to(z)).square().sum(-1)
        return tall * torch.exp(-square / wide**2).sum(-1)

    a, b = draw.uniform(-1, 1, (draw.pairs, d)).to(dtype), draw.uniform(-1, 1, (draw.pairs, d)).to(dtype)
    if draw.one_of((True, False)):
        return Problem(Immersion(lambda z: torch.cat([z, height(z)[:, None]], -1), d), a, b, points)
    field = MetricField(lambda z: (1 + height(z) / wide)[:, None, None] * torch.eye(d, dtype=z.dtype), d)
    return Problem(field, a, b, points)


def decoder(draw: Draw, kinked: bool = False) -> Problem:
    """Return pairs in the latent space of a random perceptron of 2 to 10 dimensions."""
    d, dtype = draw.one_of((2, 3, 5, 10)), draw.one_of((f32, f64))
    act = nn.ReLU() if kinked else draw.one_of((nn.Tanh(), nn.Softplus(), nn.SiLU()))
    widths, m = (d, *draw.one_of(((32,), (32, 32)))), 24
    layers: list[nn.Module] = []
    scale = draw.power(0, 0.6)
    kind = draw.one_of(("bernoulli", "gaussian", "euclidean"))
    heads = 2 if kind == "gaussian" else 1
    for i, o in zip(widths, (*widths[1:], m * heads), strict=True):
        layer = nn.Linear(i, o, dtype=f64).requires_grad_(False)
        layer.weight.copy_(draw.normal(o, i) * scale / sqrt(i))
        layer.bias.copy_(draw.normal(o) * 0.5)
        layers += [layer, act]
    shift = draw.normal(d) * draw.one_of((0.0, 0.0, 10.0))
    layers[0].bias.sub_(layers[0].weight @ shift)
    net = nn.Sequential(*layers[:-1]).to(dtype).eval()
    a, b = (draw.normal(draw.pairs, d) + shift).to(dtype), (draw.normal(draw.pairs, d) + shift).to(dtype)
    if draw.one_of((True, False, False)):
        b = a + (b - a) * 10 ** draw.uniform(-5, 0, (draw.pairs, 1)).to(dtype)
    if kind == "euclidean":
        return Problem(Immersion(net, d), a, b, draw.one_of(POINTS))
    likelihood = Bernoulli((m,)) if kind == "bernoulli" else Gaussian((m,))
    space = LatentSpace(nn.Sequential(net, Bounded()), likelihood, StandardNormal(d)).eval()
    return Problem(immersion(space), a, b, draw.one_of(POINTS))


class Bounded(nn.Module):
    """Outputs that keep within 2 of zero, as logits and logarithms of scales."""

    def forward(self, h: Tensor) -> Tensor:
        """Return 2 tanh(h / 2)."""
        return 2 * torch.tanh(h / 2)


def kinked_decoder(draw: Draw) -> Problem:
    """Return pairs in the latent space of a random piecewise linear perceptron."""
    return decoder(draw, kinked=True)


FAMILIES: dict[str, tuple[Callable[[Draw], Problem], int]] = {
    "sphere, stereographic": (sphere, 22),
    "sphere, near antipodes": (antipodes, 10),
    "hyperbolic, up to 30 apart": (hyperbolic, 22),
    "flat torus": (flat_torus, 3),
    "torus of revolution": (torus, 3),
    "tori of circles": (circles, 4),
    "ridges of 1-2 segments": (ridge, 10),
    "bumps of 1-2 segments": (bumps, 8),
    "smooth decoders": (decoder, 14),
    "ReLU decoders": (kinked_decoder, 4),
}


def judged(problem: Problem, search: bool = True) -> Verdict:
    """Solve a problem with one start and compare the lengths that have converged with the truth.

    The truth is sought for those alone, and the errors of the others are NaN where it has no closed form. Without a
    search, so is the error relative to the shortest.
    """
    found = geodesic(problem.metric, problem.start, problem.end, problem.points)
    length, there = found.length.double(), found.converged
    if problem.exact is not None and problem.alone:
        error = _relative(length, problem.exact)
        return Verdict(there, error, error)
    wide = problem.metric if problem.start.dtype is f64 else double_metric(problem.metric)
    a, b = (wide.manifold.retraction(z[there].double()) for z in (problem.start, problem.end))
    points = FINER * max(problem.points - 1, 8) + 1
    curve = resampled(found.points[there].double(), points)
    solution, shortest = torch.full_like(length, torch.nan), torch.full_like(length, torch.nan)
    own = geodesic(wide, a, b, points, initial=curve, refinements=2)
    solution[there] = _relative(length[there], own.length)
    if problem.exact is not None:
        return Verdict(there, solution, _relative(length, problem.exact))
    if search:
        several = geodesic(wide, a, b, points, initial=curve, starts=STARTS, generator=torch.Generator().manual_seed(0))
        least = torch.where(several.converged, several.length, own.length)
        shortest[there] = _relative(length[there], least)
    return Verdict(there, solution, shortest)


def _relative(length: Tensor, truth: Tensor) -> Tensor:
    return torch.where(length == truth, 0, (length - truth).abs() / truth).nan_to_num(nan=torch.inf)


def resampled(curves: Tensor, points: int) -> Tensor:
    """Return curves (B, N, d) interpolated linearly to another number of points."""
    made: Tensor = nn.functional.interpolate(curves.mT, points, mode="linear", align_corners=True).mT
    return made


def problems(name: str, share: float = 1.0, pairs: int = PAIRS) -> Iterator[Problem]:
    """Yield the problems of a family, or a share of them, of a number of pairs each."""
    make, percent = FAMILIES[name]
    for k in range(max(1, round(share * percent * PROBLEMS / 100 / pairs))):
        yield make(Draw(SEED + 1000 * list(FAMILIES).index(name) + k, pairs))


def verdicts(name: str, share: float = 1.0, pairs: int = PAIRS, search: bool = True) -> Verdict:
    """Return the verdicts of all pairs of a family, with the number done so far on the standard error."""
    found: list[Verdict] = []
    for problem in problems(name, share, pairs):
        found.append(judged(problem, search))
        if sys.stderr.isatty():
            print(f"\r{name}: {pairs * len(found)}", end="", file=sys.stderr, flush=True)
    return Verdict(*(torch.cat(column) for column in zip(*found, strict=True)))


def rows(share: float = 1.0) -> list[dict[str, Any]]:
    """Return one row for each family and truth: the worst error of what has converged, which is to be below 1 %."""
    made = []
    for name in FAMILIES:
        found = verdicts(name, share)
        shortest = "shortest of all windings" if name == "tori of circles" else "shortest of 8 starts"
        for truth in ("solution", "shortest"):
            errors = getattr(found, truth)[found.converged]
            worst = float(errors.max()) if len(errors) else 0.0
            note = f"{len(found.converged)} problems, {100 * found.converged.double().mean():.1f} % converged, "
            note += f"{int((errors > PROMISE).sum())} of those further than 1 %"
            made.append(
                {
                    "work": name,
                    "bound_or_peer": "truth" if truth == "solution" else shortest,
                    "ratio": worst,
                    "target": "<= 0.01" if truth == "solution" else "local minima",
                    "met": truth == "shortest" or worst <= PROMISE,
                    "note": note,
                }
            )
    return made
