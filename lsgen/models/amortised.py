r"""Amortised geodesic distance: a network fitted to solved lengths, with the error that it makes.

    d(a, b) = |a b| exp(c(a, b)),    c(a, b) = u h(s, phi(a) + phi(b), log |a b|),    u = S / (1 + S),

    s_k = (psi_k(a) - psi_k(b))^2,    S = sum_k s_k,

where |a b| is the length of the single segment by which the metric joins the codes (of an immersion into Euclidean
space the chord |f(b) - f(a)|) and psi, phi and h are perceptrons. So d is symmetric and zero on the diagonal, and since
c is of second order in b - a, as the ratio of arc and chord is, it is locally |J (b - a)| whatever the network says. A
chord in Euclidean space bounds the distance from below; there h is positive.

Fitted are the logarithms of lengths, of pairs whose geodesics converged: a part of them trains the network, a part
calibrates and a part measures the error. With w = |c| + delta and the scores |log d - log d_true| / w of n calibration
pairs, q their ceil((n + 1) level)-th smallest,

    P( d exp(-q w) <= d_true <= d exp(q w) ) >= level

for a pair drawn as they were, whatever its distribution is and however good the network (split conformal prediction).

Reference: Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World" (2005), chapter 4; Lei et al.,
"Distribution-free predictive inference for regression" (2018), sections 2.2 and 5.2; do Carmo, "Differential Geometry
of Curves and Surfaces" (1976), section 1.6, for arc and chord.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lsgen.geometry import RiemannianMetric, geodesic, metric
from lsgen.runs.files import replacement

__all__ = ["AmortisedDistance", "DistanceError", "DistanceFit", "DistanceInterval", "fit_distance", "sample_pairs"]

PROBES, SAME, FLOOR, ROUNDING = 16, 1e-4, 0.1, 1e-9


class DistanceInterval(NamedTuple):
    """Lower and upper bound (B,) of distances at the level of `DistanceError`."""

    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class DistanceError:
    """The error of an amortised distance over pairs that it was neither fitted to nor calibrated with.

    Attributes:
        level: probability of the intervals.
        pairs: pairs whose geodesics were solved.
        converged: share of them that converged; the others were left out.
        trained: pairs that the network was fitted to.
        calibrated: pairs that calibrate the intervals.
        tested: pairs over which the numbers below are taken.
        median: of |d / d_true - 1|.
        q95: 95 % quantile of it.
        largest: the largest.
        coverage: share of true distances within their interval.
        width: median of the intervals' upper over lower bound.

    """

    level: float
    pairs: int
    converged: float
    trained: int
    calibrated: int
    tested: int
    median: float
    q95: float
    largest: float
    coverage: float
    width: float


@dataclass(frozen=True)
class DistanceFit:
    """Options of the fit of an amortised distance.

    Attributes:
        pairs: pairs of codes whose geodesics are solved.
        level: probability of the intervals.
        points: points of each geodesic.
        tol: bound on the residual of a converged geodesic.
        steps: of Adam.
        learning_rate: at the first step; it falls to 0 along a cosine.
        width: of the perceptrons.

    Raises:
        ValueError: a number is out of its range.

    """

    pairs: int = 1000
    level: float = 0.9
    points: int = 17
    tol: float = 1e-3
    steps: int = 1500
    learning_rate: float = 3e-3
    width: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"expected a level between 0 and 1, got {self.level}")
        least = min(self.pairs, self.steps, self.width, self.points - 2)
        if least < 1 or not (self.learning_rate > 0 and self.tol > 0):
            raise ValueError(f"expected positive numbers and at least 3 points, got {self}")


class _Correction(nn.Module):
    """The network of the correction c, of standardised codes and the length of their segment."""

    def __init__(self, dim: int, width: int, positive: bool) -> None:
        super().__init__()
        self.positive = positive
        self.psi, self.phi = (
            nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(2)
        )
        self.h = nn.Sequential(nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, a: Tensor, b: Tensor, segment: Tensor) -> Tensor:
        """Return c for codes (N, d) and lengths of segments (N,)."""
        square = (self.psi(a) - self.psi(b)).square()
        total = square.sum(-1)
        near = segment.clamp(min=torch.finfo(segment.dtype).tiny).log()
        given = torch.cat([square.log1p(), self.phi(a) + self.phi(b), near[:, None]], -1)
        h = self.h(given)[:, 0]
        made: Tensor = total / (1 + total) * (nn.functional.softplus(h) if self.positive else h)
        return made


class AmortisedDistance(nn.Module):
    """A network that gives geodesic distances and intervals of them; `fit_distance` makes one.

    Args:
        im: the metric.
        probes: codes (16, d) at which the metric is compared when the network is loaded.
        scale: mean and standard deviation (2, d) of the codes.
        width: of the perceptrons.

    Attributes:
        error: its error over held-out pairs; None before it is fitted.

    """

    centre: Tensor
    spread: Tensor
    probes: Tensor
    matrices: Tensor
    quantile: Tensor
    floor: Tensor

    def __init__(self, im: RiemannianMetric, probes: Tensor, scale: Tensor, width: int) -> None:
        super().__init__()
        self.im, self.width = im, width
        self.error: DistanceError | None = None
        self.correction = _Correction(im.dim, width, im.euclidean).to(probes)
        with torch.no_grad():
            self.register_buffer("matrices", metric(im, probes))
        self.register_buffer("probes", probes)
        self.register_buffer("centre", scale[0])
        self.register_buffer("spread", scale[1])
        self.register_buffer("quantile", probes.new_full((), torch.inf))
        self.register_buffer("floor", probes.new_zeros(()))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return distances (B,) of codes (B, d) from codes (B, d)."""
        return self._parts(a, b)[1]

    def interval(self, a: Tensor, b: Tensor) -> DistanceInterval:
        """Return the conformal intervals of distances (B,) of codes (B, d) from codes (B, d).

        Their level is marginal: it holds on average over pairs drawn as `sample_pairs` draws them from the same codes.

        Raises:
            RuntimeError: the distance was not fitted.

        """
        if self.error is None:
            raise RuntimeError("expected a fitted distance, got one that has no intervals")
        segment, d, c = self._parts(a, b)
        half = self.quantile * (c.abs() + self.floor)
        lower = d * torch.exp(-half)
        lower = torch.maximum(lower, segment) if self.im.euclidean else lower
        return DistanceInterval(lower, torch.where(d > 0, d * torch.exp(half), d))

    def calibrate(self, a: Tensor, b: Tensor, length: Tensor, level: float) -> None:
        """Set the intervals to a level by pairs of codes (n, d) of known distances (n,), none of them fitted to.

        Raises:
            ValueError: there are too few pairs for the level.

        """
        place, least = ceil((len(length) + 1) * level - ROUNDING), _least_pairs(level)
        if len(length) < least:
            raise ValueError(f"expected at least {least} pairs for intervals of level {level}, got {len(length)}")
        _, d, c = self._parts(a, b)
        scores = (d / length).log().abs() / (c.abs() + self.floor)
        self.quantile.copy_(scores.sort().values[place - 1])

    def pairwise(self, a: Tensor, b: Tensor, chunk_size: int = 2048) -> Tensor:
        """Return all distances (N, M) between codes (N, d) and codes (M, d), of `chunk_size` pairs at a time."""
        n, m = len(a), len(b)
        rows = torch.arange(n * m, device=a.device)
        known: list[Tensor] = []
        if self.im.by_differences and n and m:
            known = [self.im.segment_data(x[:, None]) for x in (a, b)]
        parts = []
        for part in rows.split(chunk_size):
            i, j = part // m, part % m
            data = torch.cat([known[0][i], known[1][j]], 1) if known else None
            parts.append(self._parts(a[i], b[j], data)[1])
        return torch.cat(parts).reshape(n, m) if parts else a.new_zeros(n, m)

    def _parts(self, a: Tensor, b: Tensor, data: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the lengths of the segments, the distances and c (B,)."""
        if a.shape != b.shape or a.shape[-1:] != (self.im.dim,) or a.dtype != self.probes.dtype:
            raise ValueError(
                f"expected codes of one shape (B, {self.im.dim}) and dtype {self.probes.dtype}, "
                f"got {tuple(a.shape)} and {tuple(b.shape)} of {a.dtype}"
            )
        batch, dim = a.shape[:-1], self.im.dim
        a, b = a.reshape(-1, dim), b.reshape(-1, dim)
        pair = torch.stack([a, b], 1)
        square = self.im.segment_energies(pair, self.im.segment_data(pair) if data is None else data)[:, 0]
        segment = torch.where(square > 0, square, 1).sqrt() * (square > 0)
        c = self.correction(*((x - self.centre) / self.spread for x in (a, b)), segment)
        return segment.reshape(batch), (segment * c.exp()).reshape(batch), c.reshape(batch)

    def save(self, path: str | Path) -> None:
        """Write the network, its error and the metric at its probes to a file."""
        if self.error is None:
            raise RuntimeError("expected a fitted distance, got one that has no intervals")
        held = {"state": self.state_dict(), "width": self.width, "error": asdict(self.error)}
        with replacement(Path(path)) as file:
            torch.save(held, file)

    @classmethod
    def load(cls, path: str | Path, im: RiemannianMetric) -> AmortisedDistance:
        """Return a saved distance for the metric that it was fitted to.

        Raises:
            ValueError: the metric is another one than it was: other weights, another kind, or axes.

        """
        held: dict[str, Any] = torch.load(Path(path), weights_only=True)
        state = held["state"]
        dim = state["probes"].shape[1]
        if dim != im.dim:
            raise ValueError(f"expected the metric of dimension {dim} that the distance was fitted to, got {im.dim}")
        made = cls(im, state["probes"], torch.stack([state["centre"], state["spread"]]), held["width"])
        then, now = state["matrices"], made.matrices
        apart = ((now - then).flatten(1).norm(dim=-1) / then.flatten(1).norm(dim=-1)).amax().item()
        if not apart <= SAME:
            raise ValueError(
                f"expected the metric that the distance was fitted to, got one that differs from it by {apart:.2g} "
                f"at one of {len(then)} codes: fit the distance again"
            )
        made.load_state_dict(state)
        made.error = DistanceError(**held["error"])
        return made.eval()


def sample_pairs(codes: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return pairs (count, 2) of indices of codes (N, d), of all scales: half at random, half near in coordinates.

    Of the latter the second is the neighbour of the first whose rank is log-uniform from 1 to N - 1.
    """
    n = len(codes)
    if n < 2:
        raise ValueError(f"expected at least 2 codes, got {n}")
    first = torch.randint(n, (count,), generator=generator)
    other = (first + torch.randint(1, n, (count,), generator=generator)) % n
    near = torch.rand(count, generator=generator) < 0.5
    rank = ((n - 1) ** torch.rand(count, generator=generator)).long().clamp(1, n - 1)
    first, other, near, rank = (x.to(codes.device) for x in (first, other, near, rank))
    rows = near.nonzero().flatten()
    for part in rows.split(256):
        apart = torch.cdist(codes[first[part]], codes)
        apart[torch.arange(len(part), device=codes.device), first[part]] = -1
        other[part] = apart.argsort(dim=-1).gather(1, rank[part, None])[:, 0]
    return torch.stack([first, other], 1)


def fit_distance(
    im: RiemannianMetric,
    codes: Tensor,
    options: DistanceFit = DistanceFit(),
    generator: torch.Generator | None = None,
) -> AmortisedDistance:
    """Return an amortised distance, fitted to geodesics between codes and calibrated by others.

    Args:
        im: the metric.
        codes: codes (N, d) whose distances will be asked for.
        options: of the fit.
        generator: of the pairs and of the network's initial weights.

    Raises:
        ValueError: so few geodesics converged that no interval has the level; or see `geodesic`.

    """
    seed = int(torch.randint(2**31, (), generator=generator))
    pairs = sample_pairs(codes, options.pairs, generator)
    with torch.no_grad():
        start, end = codes[pairs].unbind(1)
        found = geodesic(im, start, end, options.points, tol=options.tol)
    kept = (found.converged & (found.length > 0)).nonzero().flatten()
    train, calibrate, test = _split(len(kept), options.level)
    scale = torch.stack([codes.mean(0), codes.std(0)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = AmortisedDistance(im, codes[:PROBES].clone(), scale, options.width)
    a, b = start[kept], end[kept]
    length = found.length[kept]
    _train(made, a[train], b[train], length[train], options)
    with torch.no_grad():
        made.calibrate(a[calibrate], b[calibrate], length[calibrate], options.level)
        counts = len(pairs), len(kept) / len(pairs), len(a[train]), len(a[calibrate])
        made.error = _error(made, a[test], b[test], length[test], options.level, counts)
    return made.eval()


def _least_pairs(level: float) -> int:
    """Return how few pairs calibrate intervals of a level."""
    return ceil(level / (1 - level) - ROUNDING)


def _split(count: int, level: float) -> tuple[slice, slice, slice]:
    """Return which of solved pairs train, calibrate and test: three, one and one fifths."""
    fifth, least = count // 5, 5 * _least_pairs(level)
    if count < least:
        raise ValueError(f"expected at least {least} converged geodesics for intervals of level {level}, got {count}")
    return slice(0, count - 2 * fifth), slice(count - 2 * fifth, count - fifth), slice(count - fifth, count)


def _train(made: AmortisedDistance, a: Tensor, b: Tensor, length: Tensor, options: DistanceFit) -> None:
    """Fit the correction to the logarithms of lengths (N,) by Adam, all pairs at every step."""
    with torch.no_grad():
        segment = made._parts(a, b)[0]
    goal = (length / segment).log()
    x, y = ((z - made.centre) / made.spread for z in (a, b))
    adam = torch.optim.AdamW(made.correction.parameters(), lr=options.learning_rate, weight_decay=1e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, options.steps)
    with torch.enable_grad():
        for _ in range(options.steps):
            adam.zero_grad()
            (made.correction(x, y, segment) - goal).square().mean().backward()
            adam.step()
            cosine.step()
    made.requires_grad_(False)
    c = made.correction(x, y, segment).abs().mean()
    made.floor.copy_(FLOOR * c + torch.finfo(c.dtype).eps)


def _error(
    made: AmortisedDistance, a: Tensor, b: Tensor, length: Tensor, level: float, counts: tuple[int, float, int, int]
) -> DistanceError:
    """Return the error over pairs of codes (N, d) of known distances (N,)."""
    apart = (made(a, b) / length - 1).abs()
    made.error = DistanceError(level, *counts, len(a), *[float("nan")] * 5)
    lower, upper = made.interval(a, b)
    inside = ((lower <= length) & (length <= upper)).double().mean()
    numbers = (apart.median(), apart.quantile(0.95), apart.max(), inside, (upper / lower).median())
    return DistanceError(level, *counts, len(a), *(float(x) for x in numbers))
