"""How well estimators find the Fisher metric of a family that is known by samples, and what it costs.

Independent configurations of the 4 x 4 Ising model at a 16 x 16 grid of natural coordinates, 1/T in [0.2, 0.5] and H/T
in [-0.4, 0.4], 781 at each node; errors against enumeration at the nodes that are a tenth of the box inside.
"Mean as statistic" is the same estimator that sees the mean of each configuration alone; "sums over patches" has a
network that is a function of 2 x 2 sites, summed over all of them, instead of one of all sites. CPU time of one thread.
"""

from __future__ import annotations

from dataclasses import replace
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen.data.physics.ising_exact import enumerated_ising, ising_statistics
from lsgen.data.physics.spin_updates import draw_spins
from lsgen.geometry import geodesic
from lsgen.models.exponential import (
    BregmanEstimator,
    ConvexFamily,
    FamilyErrors,
    FamilySamples,
    FisherClassifier,
    KernelPosterior,
    KnownPosterior,
    LocalStatistics,
    PosteriorNetwork,
    ReleasedRecipe,
    StatisticsCovariance,
    family_errors,
    finite_family,
    fisher_errors,
)
from lsgen.models.exponential.samples import box_grid

PATCHES = PosteriorNetwork(LocalStatistics, rate=3e-3)
LOW, HIGH, NODES, EACH, SEEDS = (0.2, -0.4), (0.5, 0.4), 16, 781, 5


def statistics(x: Tensor) -> Tensor:
    """Return the sufficient statistics of configurations (N, 1, L, L)."""
    return ising_statistics(x[:, 0])


def mean(x: Tensor) -> Tensor:
    """Return the mean of each configuration (N, 1)."""
    return x.flatten(1).mean(1, keepdim=True)


def samples(exact: ConvexFamily, seed: int) -> FamilySamples:
    """Draw configurations exactly."""
    states, generator = enumerated_ising(4), torch.Generator().manual_seed(seed)
    t = box_grid(exact.low, exact.high, NODES)
    p = (ising_statistics(states) @ t.T).softmax(0)
    drawn = torch.multinomial(p.T, EACH, replacement=True, generator=generator)
    return FamilySamples(states[drawn.flatten()][:, None], t.repeat_interleave(EACH, 0))


def judge(exact: ConvexFamily, family: Any, of: FamilySamples) -> FamilyErrors:
    """Return the errors at the inner nodes."""
    t = of.nodes[(of.scaled(of.nodes).abs() <= 0.8).all(1)]
    return family_errors(family, t, exact.log_partition(t), exact.gradient(t), exact.fisher(t))


def told(errors: FamilyErrors, seconds: float) -> str:
    """Return errors in words."""
    g = errors.fisher
    slopes = ", ".join(f"{float(value):.3f}" for value in errors.gradient)
    return f"g 90 % {float(g.quantile(0.9)):.3f}; log Z {errors.log_partition:.4f}; slopes {slopes}; {seconds:.0f} s"


def row(work: str, against: str, ratio: float, target: float | None, note: str) -> dict[str, Any]:
    """Return a row of the table; without a target it is for comparison."""
    met = target is None or ratio <= target
    said = "-" if target is None else f"<= {target:g}"
    return {"work": work, "bound_or_peer": against, "ratio": ratio, "target": said, "met": met, "note": note}


def comparison(exact: ConvexFamily, of: FamilySamples) -> tuple[list[dict[str, Any]], ConvexFamily]:
    """Return a row for each estimator on the same samples, and the family of the posterior network."""
    known = KnownPosterior(lambda x, t: statistics(x) @ t.T - exact.potential(t))
    few = FamilySamples(of.x[:: EACH // 16], of.t[:: EACH // 16])
    estimators = {
        "(b) posterior network, convex potential": (BregmanEstimator(), of),
        "    of sums over patches": (BregmanEstimator(PATCHES), of),
        "    mean as statistic": (BregmanEstimator(PosteriorNetwork(features=mean)), of),
        "    released recipe, exact posterior": (ReleasedRecipe(known, each=2), of),
        "(c) classifier": (FisherClassifier(), of),
        "(d) covariance of statistics, smooth": (StatisticsCovariance(statistics), of),
        "(e) kernel of statistics, scale 0.02": (BregmanEstimator(KernelPosterior(statistics, 0.02)), few),
        "(e) kernel of statistics, scale 0.1": (BregmanEstimator(KernelPosterior(statistics, 0.1)), few),
    }
    inner = (of.scaled(of.nodes).abs() <= 0.8).all(1)
    truth = exact.fisher(of.nodes)[inner]
    covariance = StatisticsCovariance(statistics).fit(of)
    at_nodes = fisher_errors(covariance.at_nodes[inner], truth)
    floor = float(at_nodes.median())
    table = [row("(d) covariance of statistics, by node", "median error of g", floor, None, "the floor")]
    best = None
    for name, (estimator, seen) in estimators.items():
        start = process_time()
        family = estimator.fit(seen)
        errors = judge(exact, family, seen)
        seconds, error = process_time() - start, float(errors.fisher.median())
        first = best is None
        if first and isinstance(family, ConvexFamily):
            best = family
        table.append(
            row(name, "median error of g", error, max(0.05, 2 * floor) if first else None, told(errors, seconds))
        )
    assert best is not None
    return table, best


def derivatives(exact: ConvexFamily) -> list[dict[str, Any]]:
    """Return rows of derivatives against those of the mean as statistic, the worst of several seeds."""
    networks = (PosteriorNetwork(features=mean), PosteriorNetwork(), PATCHES)
    sizes = []
    for seed in range(SEEDS):
        of = samples(exact, seed + 1)
        fits = [judge(exact, BregmanEstimator(replace(network, seed=seed)).fit(of), of) for network in networks]
        sizes.append([float(errors.gradient.norm()) for errors in fits])
    table = []
    for number, name in enumerate(("a network", "sums over patches"), 1):
        ratios = [size[number] / size[0] for size in sizes]
        note = "by seed: " + ", ".join(f"{ratio:.2f}" for ratio in ratios)
        table.append(row(f"slopes of log Z by {name}, worst of 5 seeds", "mean as statistic", max(ratios), 0.5, note))
    return table


def geodesics(family: ConvexFamily) -> dict[str, Any]:
    """Return the row of 32 geodesics of a learned metric at 33 points."""
    generator, size = torch.Generator().manual_seed(0), family.high - family.low
    ends = family.low + size * (0.1 + 0.8 * torch.rand(2, 32, 2, dtype=torch.float64, generator=generator))
    start = process_time()
    found = geodesic(family.metric, *ends, 33)
    seconds = process_time() - start
    note = f"{seconds:.2f} s, {int(found.converged.sum())} of 32 converged"
    return row("32 geodesics of a learned metric, 33 points", "10 s", seconds / 10, 1.0, note)


def sampler() -> dict[str, Any]:
    """Return the row of configurations of 32 x 32 sites."""
    few, coupling = 1000, np.random.default_rng(0).uniform(0.2, 0.5, 1000)
    start = process_time()
    draw_spins(32, coupling, np.zeros(few), "swendsen_wang", 20, np.random.default_rng(0))
    seconds = (process_time() - start) * 1e5 / few
    note = f"{seconds / 60:.1f} min on one core, from {few:,}; 20 steps of clusters and heat bath each"
    return row("100,000 configurations of 32 x 32", "20 min on one core", seconds / 1200, 1.0, note)


def rows() -> list[dict[str, Any]]:
    """Return all rows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exact = finite_family(ising_statistics(enumerated_ising(4)), LOW, HIGH)
        table, family = comparison(exact, samples(exact, 0))
        return [*table, *derivatives(exact), geodesics(family), sampler()]
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    for entry in rows():
        print(entry)
