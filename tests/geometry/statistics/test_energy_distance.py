"""The two-sample test against a direct sum, all permutations, and its level and power by simulation."""

from itertools import combinations

import pytest
import torch

from lsgen.geometry import Immersion, reference
from lsgen.geometry.statistics import energy_test, geodesic_distances, graph_distances

f64 = torch.float64


def labels(n, m):
    return torch.arange(n + m) >= n


def test_energy_and_statistic_by_a_direct_sum():
    x, y = torch.randn(5, 3, dtype=f64), torch.randn(7, 3, dtype=f64) + 1
    pooled = torch.cat([x, y])
    found = energy_test(torch.cdist(pooled, pooled), labels(5, 7), 9)
    within = torch.cdist(x, x).mean() + torch.cdist(y, y).mean()
    energy = float(2 * torch.cdist(x, y).mean() - within)
    assert found.energy == pytest.approx(energy, rel=1e-9)
    assert found.statistic == pytest.approx(35 / 12 * energy, rel=1e-9)


def test_p_value_is_the_share_of_all_divisions():
    """C(7, 3) = 35 divisions: p of 20,000 random ones is that share within 4 standard deviations."""
    pooled = torch.randn(7, 2, generator=torch.Generator().manual_seed(2), dtype=f64)
    pooled[4:] += 0.8
    d = torch.cdist(pooled, pooled, compute_mode="donot_use_mm_for_euclid_dist")
    observed = energy_test(d, labels(4, 3), 1).statistic
    every = [
        energy_test(d, torch.isin(torch.arange(7), torch.tensor(s)), 1).statistic for s in combinations(range(7), 3)
    ]
    share = sum(t >= observed - 1e-12 for t in every) / len(every)
    found = energy_test(d, labels(4, 3), 20_000, generator=torch.Generator().manual_seed(1)).p_value
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


def test_level_and_power_on_the_sphere():
    """Of equal distributions p <= 0.1 in a tenth of 200 trials; of shifted ones in nearly all."""
    surface, source = reference.sphere(), torch.Generator().manual_seed(0)
    rejected = {0.0: 0, 0.5: 0}
    for shift in rejected:
        for _ in range(200):
            z = 0.4 * torch.randn(24, 2, generator=source, dtype=f64)
            z[12:, 0] += shift
            d = surface.distance(z[:, None], z).fill_diagonal_(0)
            rejected[shift] += energy_test(d, labels(12, 12), 39, source).p_value <= 0.1
    assert 8 <= rejected[0.0] <= 34  # binomial(200, 0.1): outside with probability 0.003
    assert rejected[0.5] > 150


def test_distances_are_those_of_the_metric():
    surface, z = reference.sphere(), 0.5 * torch.randn(6, 2, generator=torch.Generator().manual_seed(4), dtype=f64)
    exact = surface.distance(z[:, None], z).fill_diagonal_(0)
    torch.testing.assert_close(geodesic_distances(surface.immersion, z), exact, rtol=1e-4, atol=1e-6)
    cloud = 0.7 * torch.rand(200, 2, generator=torch.Generator().manual_seed(6), dtype=f64)
    by_graph = graph_distances(surface.immersion, cloud, 12)
    exact = surface.distance(cloud[:, None], cloud)
    apart = exact > 0.3
    assert (by_graph[apart] > 0.998 * exact[apart]).all()
    assert (by_graph / exact)[apart].mean() < 1.06


def test_a_distance_that_is_not_known_is_not_tested():
    far = torch.cat([torch.randn(8, 2), torch.randn(8, 2) + 50])
    d = graph_distances(Immersion(lambda z: z, 2), far, 3)
    assert d.isinf().any()
    assert str(energy_test(d, labels(8, 8)).p_value) == "nan"


def test_refusals():
    d = torch.cdist(*[torch.randn(6, 2)] * 2)
    with pytest.raises(ValueError, match="at least 2 codes in each sample"):
        energy_test(d, labels(5, 1))
    with pytest.raises(ValueError, match=r"expected real distances \(5, 5\)"):
        energy_test(d, labels(3, 2))
    with pytest.raises(ValueError, match="expected distances that are symmetric"):
        energy_test(d - 5, labels(3, 3))
    with pytest.raises(ValueError, match="expected a whole number of at least 1 permutations, got 0"):
        energy_test(d, labels(3, 3), 0)
    with pytest.raises(ValueError, match=r"expected a whole number of at least 1 permutations, got 2\.5"):
        energy_test(torch.ones(5, 5) - torch.eye(5), labels(3, 2), 2.5)
