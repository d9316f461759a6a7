"""K-medoids against enumeration of all centres, and on codes that no path joins."""

from itertools import combinations

import pytest
import torch

from lsgen.geometry.statistics import kmedoids

f64 = torch.float64


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_the_best_centres_are_those_of_enumeration(clusters):
    """Distances that are no Euclidean ones: those of the Manhattan metric."""
    codes = torch.randn(14, 2, generator=torch.Generator().manual_seed(clusters), dtype=f64)
    d = torch.cdist(codes, codes, p=1)
    costs = {c: float(d[list(c)].square().amin(0).sum()) for c in combinations(range(14), clusters)}
    best = min(costs, key=costs.__getitem__)
    found = kmedoids(d, clusters, restarts=40, generator=torch.Generator().manual_seed(0))
    assert found.inertia == pytest.approx(costs[best])
    assert tuple(sorted(found.medoids.tolist())) == best
    assert torch.equal(found.labels, d[found.medoids].argmin(0))
    assert found.converged


def test_every_component_has_a_centre_where_there_are_enough():
    d = torch.block_diag(*[torch.ones(3, 3, dtype=f64) - torch.eye(3, dtype=f64)] * 3)
    apart = torch.block_diag(*[torch.ones(3, 3)] * 3) == 0
    d[apart] = torch.inf
    found = kmedoids(d, 3, restarts=1)
    assert sorted(found.labels[::3].tolist()) == [0, 1, 2]
    assert found.inertia == 6
    fewer = kmedoids(d, 2, restarts=1)
    assert (fewer.labels < 0).sum() == 3
    assert fewer.inertia == float("inf")


def test_equal_codes_and_as_many_centres_as_codes():
    assert kmedoids(torch.zeros(4, 4), 2).inertia == 0
    d = 1 - torch.eye(4)
    assert sorted(kmedoids(d, 4).medoids.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("distances", "clusters", "message"),
    [
        (torch.zeros(3, 2), 1, r"expected distances \(n, n\) of at least 0, got torch.float32 \(3, 2\)"),
        (torch.full((3, 3), torch.nan), 1, "of at least 0"),
        (torch.zeros(3, 3), 4, "a number of clusters from 1 to 3, got 4"),
    ],
)
def test_refusals(distances, clusters, message):
    with pytest.raises(ValueError, match=message):
        kmedoids(distances, clusters)
