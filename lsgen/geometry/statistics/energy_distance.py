r"""Two-sample test by energy distance under the metric.

    E = 2 E dist(X, Y) - E dist(X, X') - E dist(Y, Y'),    T = (n m / (n + m)) E

with averages over all pairs of codes, X, X' of the first and Y, Y' of the second sample. Energy distance characterises
distributions, E >= 0 and 0 only if they are equal, only if the distance is of strong negative type. Euclidean and
hyperbolic spaces are, and parts of a sphere with at most one pair of antipodes. A learned metric need not be: there E
may be 0, or negative, for distributions that differ, and the test has no power against these. Its level is exact
always, as it comes from permutations of the pooled sample.

Reference: Szekely & Rizzo, "Energy statistics: a class of statistics based on distances" (2013),
https://doi.org/10.1016/j.jspi.2013.03.018; Lyons, "Distance covariance in metric spaces" (2013) and "Hyperbolic space
has strong negative type" (2014), "Strong negative type in spheres" (2020), for where it characterises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.geodesics.arc_length import polygon_length
from lsgen.geometry.geodesics.boundary_value import distance
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import solver_options
from lsgen.geometry.statistics.permutations import check_permutations, permutation_p_value
from lsgen.latent import paths
from lsgen.latent.neighbours import NeighbourGraph, neighbour_graph

__all__ = ["EnergyTest", "energy_test", "geodesic_distances", "graph_distances"]


class EnergyTest(NamedTuple):
    """Energy distance E of two samples, the statistic T = n m E / (n + m), and the p-value of the permutation test."""

    energy: float
    statistic: float
    p_value: float


def energy_test(
    distances: Tensor, labels: Tensor, permutations: int = 999, generator: torch.Generator | None = None
) -> EnergyTest:
    r"""Return the energy distance of two samples and the p-value of the hypothesis that their distributions are equal.

        T = (n m / (n + m)) (2 E dist(X, Y) - E dist(X, X') - E dist(Y, Y')),    p = (1 + #{T_b >= T}) / (1 + B)

    Args:
        distances: between all codes of both samples (N, N), from `geodesic_distances` or `graph_distances`.
        labels: which codes are of the second sample (N,), boolean.
        permutations: number B of permutations.
        generator: source of the permutations.

    Returns:
        `EnergyTest`; NaN where a distance is not known (NaN or infinite).

    Raises:
        ValueError: distances are not symmetric, negative, or of another shape, a sample has fewer than 2 codes, or
            permutations are not a whole number of at least 1.

    """
    n = len(labels)
    if labels.dtype != torch.bool or labels.ndim != 1 or not 2 <= int(labels.sum()) <= n - 2:
        raise ValueError(
            f"expected boolean labels (N,) of at least 2 codes in each sample, got {labels.dtype} {tuple(labels.shape)}"
            f" with {int(labels.sum())} of the second"
        )
    if distances.shape != (n, n) or not distances.is_floating_point():
        raise ValueError(f"expected real distances ({n}, {n}), got {distances.dtype} {tuple(distances.shape)}")
    check_permutations(permutations, least=1)
    d = distances.detach().double()
    if not bool(torch.isfinite(d).all()):
        return EnergyTest(*[float("nan")] * 3)
    if bool((d < 0).any() | (d.diagonal() != 0).any() | ((d - d.mT).abs() > 1e-5 * d.max()).any()):
        raise ValueError("expected distances that are symmetric, not negative, and 0 from a code to itself")
    second = labels.to(d)

    def statistic(d: Tensor, orders: Tensor) -> Tensor:
        return _energies(d, second[orders])

    energy = float(_energies(d, second[None])[0])
    size = float(second.sum())
    p_value = permutation_p_value(statistic, d, permutations, generator)
    return EnergyTest(energy, energy * size * (n - size) / n, p_value)


def _energies(d: Tensor, second: Tensor) -> Tensor:
    """Return the energy distances (B,) for indicators (B, N) of the second sample."""
    first = 1 - second
    a, b = (x / x.sum(-1, keepdim=True) for x in (first, second))
    step = a - b
    return -((step @ d) * step).sum(-1)


def geodesic_distances(
    im: RiemannianMetric,
    codes: Tensor,
    points: int = 17,
    geodesic_options: Mapping[str, Any] | None = None,
) -> Tensor:
    """Return the geodesic distances between all codes, one geodesic a pair.

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d).
        points: number of points on each geodesic.
        geodesic_options: options of each geodesic beside these; see `geodesic`.

    Returns:
        A symmetric tensor (n, n); NaN where a geodesic did not converge.

    Raises:
        TypeError, ValueError: see `geodesic`; also for codes of another shape.

    """
    z = _checked(im, codes)
    solver = solver_options(points, geodesic_options)
    i, j = torch.triu_indices(len(z), len(z), 1, device=z.device)
    made = z.new_zeros(len(z), len(z))
    if len(i):
        with torch.no_grad():
            made[i, j] = distance(im, z[i], z[j], **solver)
    return made + made.mT


def graph_distances(im: RiemannianMetric, codes: Tensor, neighbours: int = 10, samples: int = 4) -> Tensor:
    """Return the lengths of the shortest paths between all codes in their graph of nearest neighbours.

    They bound geodesic distances from above, but for the error of edges, and cost one length an edge.

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d).
        neighbours: number of neighbours of each code, nearest in the coordinates.
        samples: number of segments that measure an edge.

    Returns:
        A symmetric tensor (n, n) in float64; inf between components of the graph.

    Raises:
        TypeError, ValueError: see `metric`; also for codes of another shape, or fewer than neighbours + 1.

    """
    z = _checked(im, codes)
    if samples < 1:
        raise ValueError(f"expected at least 1 sample, got {samples}")
    near = neighbour_graph(z, neighbours)
    pieces = near.edges.split(1024)
    with torch.no_grad():
        lengths = [polygon_length(im, paths.linear(z[e[:, 0]], z[e[:, 1]], samples + 1)) for e in pieces]
    matrix = NeighbourGraph(near.nodes, near.edges, torch.cat(lengths).double()).matrix()
    return torch.as_tensor(dijkstra(matrix, directed=False), device=z.device)


def _checked(im: RiemannianMetric, codes: Tensor) -> Tensor:
    z = check_codes(im.fn, im.dim, codes).detach()
    if codes.ndim != 2:
        raise ValueError(f"expected codes (n, {im.dim}), got {tuple(codes.shape)}")
    return z
