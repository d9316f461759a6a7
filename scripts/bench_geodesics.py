"""Geodesics against two peers, against general optimisers of the same energy, and against exact lengths.

stochman 0.3.0 (extra `bench`) minimises the energy of a cubic spline by Adam, 1,000 steps on 33 points, as its own
`geodesic_minimizing_energy` does; its curves are then measured by the same chords as ours. L-BFGS and Adam minimise
the discrete energy itself over all interior points, until all but a thousandth of what the geodesics save over straight
segments is saved, or thirty times our time is gone, whichever comes first; Adam at a rate of 0.003, which takes the
fewest steps here of 0.003, 0.01, 0.02 and 0.05. GEORCE (`georce.py`) runs until an iteration lowers its energy by less
than a millionth, or thirty times our time is gone, on perceptrons with weights as they are (mild), doubled (strong) and
on a linear decoder (flat); both by CPU time, and both curves measured by the same chords. Our time includes residual
and length. All run in one process on two threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import torch
from bench_geometry import IMAGE, fastest, row
from georce import georce
from stochman.curves import CubicSpline
from stochman.geodesic import geodesic_minimizing_energy
from stochman.manifold import EmbeddedManifold
from torch import Tensor, nn

from lsgen.geometry import Immersion, geodesic, immersion, reference
from lsgen.geometry.geodesics import curve_energy
from lsgen.latent import LatentSpace, StandardNormal, paths
from lsgen.likelihoods import Bernoulli
from lsgen.nn import Conv64Decoder, MLPDecoder

POINTS, PAIRS, SAMPLE, SAVED, LIMIT, ROUNDING = 33, 32, 4, 1e-3, 30, 1e-6
SOME, DECREASE, MOST = 8, 1e-6, 1000


class Embedded(EmbeddedManifold):
    """A decoder in stochman's terms."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def embed(self, points: Tensor, jacobian: bool = False) -> Tensor:
        """Return decoded curves (B, N, D)."""
        return self.net(points.flatten(0, 1)).flatten(1).unflatten(0, points.shape[:2])


def peer_row() -> dict[str, Any]:
    """Return 32 geodesics of a 2-d decoder against stochman's."""
    net = MLPDecoder(2, IMAGE, activation=nn.SiLU).eval().requires_grad_(False)
    im, (a, b) = Immersion(net, 2), torch.randn(2, PAIRS, 2)
    (ours,) = fastest(lambda: geodesic(im, a, b, POINTS))
    found, spline = geodesic(im, a, b, POINTS), CubicSpline(a.clone(), b.clone(), requires_grad=True)
    start = perf_counter()
    geodesic_minimizing_energy(spline, Embedded(net), max_iter=1000, eval_grid=POINTS)
    theirs = perf_counter() - start
    energy = curve_energy(im, spline(torch.linspace(0, 1, POINTS)).detach())
    lower = int((found.energy <= (1 + ROUNDING) * energy).sum())
    note = f"{lower} of {PAIRS} energies no higher to {ROUNDING:g}, "
    note += f"{int(found.converged.sum())} converged in {found.iterations} steps"
    line = row("32 geodesics, 2-d MLP", "stochman, 1,000 steps of Adam", theirs / ours, 20, note, faster=True)
    return {**line, "met": line["met"] and lower == PAIRS}


def seconds_to(target: float, energy: Callable[[], Tensor], optimiser: Any, limit: float) -> tuple[float, bool]:
    """Return how long an optimiser takes to a target energy, and whether it got there within the limit."""
    last = [float("inf")]

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = energy()
        value.backward()
        last[0] = value.item()
        return value

    start = perf_counter()
    while perf_counter() - start < limit and last[0] > target:
        optimiser.step(closure)
    return perf_counter() - start, last[0] <= target


def optimiser_rows() -> list[dict[str, Any]]:
    """Return geodesics of a 10-d conv64 decoder, with weights doubled to bend it, against general optimisers."""
    net = Conv64Decoder(10, (1, 64, 64), activation=nn.SiLU).eval().requires_grad_(False)
    for weight in net.parameters():
        weight.mul_(2.0 if weight.ndim > 1 else 1.0)
    im = immersion(LatentSpace(net, Bernoulli((1, 64, 64)), StandardNormal(10)).eval())
    a, b = torch.randn(2, SAMPLE, 10)
    geodesic(im, a[:1], b[:1], POINTS, max_iterations=1)
    start = perf_counter()
    found = geodesic(im, a, b, POINTS)
    ours, straight = perf_counter() - start, paths.linear(a, b, POINTS)
    low, high = found.energy.sum().item(), curve_energy(im, straight).sum().item()
    made: dict[str, Callable[[Tensor], Any]] = {
        "L-BFGS": lambda x: torch.optim.LBFGS(
            [x], 1.0, 1, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
        ),
        "Adam": lambda x: torch.optim.Adam([x], lr=0.003),
    }
    rows = []
    for name, make in made.items():
        inside = straight[:, 1:-1].clone().requires_grad_()

        def energy(inside: Tensor = inside) -> Tensor:
            return curve_energy(im, torch.cat([straight[:, :1], inside, straight[:, -1:]], 1)).sum()

        took, reached = seconds_to(low + SAVED * (high - low), energy, make(inside), LIMIT * ours)
        note = f"{SAMPLE} of 64, whose cost is proportional; {'' if reached else 'did not get there; '}"
        note += f"energy {low:.4g}, of straight segments {high:.4g}"
        rows.append(row("64 geodesics, 10-d conv64", f"{name} to equal energy", took / ours, 10, note, faster=True))
    return rows


def bent(d: int, curvature: str) -> Immersion:
    """Return a decoder of 784 pixels that is linear, as initialised, or with doubled weights."""
    net = nn.Linear(d, 784) if curvature == "flat" else MLPDecoder(d, IMAGE, activation=nn.SiLU)
    net.eval().requires_grad_(False)
    for weight in net.parameters():
        weight.mul_(2.0 if curvature == "strong" and weight.ndim > 1 else 1.0)
    return Immersion(net, d)


def georce_rows() -> list[dict[str, Any]]:
    """Return geodesics of decoders of three curvatures and dimensions against GEORCE, in CPU seconds."""
    rows = []
    for curvature in ("flat", "mild", "strong"):
        for d in (2, 10, 50):
            im, (a, b) = bent(d, curvature), torch.randn(2, SOME, d)
            geodesic(im, a, b, POINTS)
            start = process_time()
            found = geodesic(im, a, b, POINTS)
            ours = process_time() - start
            georce(im, a, b, POINTS, DECREASE, 1, LIMIT)
            start = process_time()
            theirs = georce(im, a, b, POINTS, DECREASE, MOST, LIMIT * ours)
            took, energy = process_time() - start, curve_energy(im, theirs.points)
            lower = int((found.energy <= (1 + ROUNDING) * energy).sum())
            note = (
                f"{lower} of {SOME} energies no higher, {int(found.converged.sum())} converged in {found.iterations} "
            )
            note += f"steps; theirs higher by {(energy / found.energy - 1).median():.2g} (median), "
            note += f"{theirs.iterations} iterations{' (out of time)' if took > LIMIT * ours else ''}"
            line = row(f"{SOME} geodesics, {d}-d MLP, {curvature}", "GEORCE", took / ours, 1, note, faster=True)
            rows.append({**line, "met": line["met"] and lower == SOME})
    return rows


def accuracy_rows() -> list[dict[str, Any]]:
    """Return the relative error of lengths at 33 points, and how much the next doubling gains."""
    rows = []
    for name in ("sphere", "torus", "hyperbolic"):
        surface = getattr(reference, name)()
        a, b = 0.4 * torch.randn(2, PAIRS, 2, dtype=torch.float64)
        exact = surface.distance(a, b)
        errors = [(geodesic(surface.immersion, a, b, n, tol=1e-7).length / exact - 1).abs().max() for n in (33, 65)]
        note = f"{errors[0] / errors[1]:.3g} times less at 65 points"
        rows.append(row(f"relative length error, {name}, 33 points", "exact", errors[0].item(), 1e-6, note))
    return rows


def rows() -> list[dict[str, Any]]:
    """Return all rows."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [peer_row(), *georce_rows(), *optimiser_rows(), *accuracy_rows()]
    finally:
        torch.set_num_threads(threads)
