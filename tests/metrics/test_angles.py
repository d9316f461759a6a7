"""The correlation of angles against the sum over pairs that defines it."""

from itertools import combinations
from math import pi, sin, sqrt

import pytest
import torch

from lsgen.metrics import circular_correlation


def angles(seed, n=40):
    return 2 * pi * torch.rand(2, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_sum_over_pairs(seed):
    a, b = angles(seed)
    b = b + a * (seed == 2)
    pairs = [(sin(a[i] - a[j]), sin(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)]
    expected = sum(x * y for x, y in pairs) / sqrt(sum(x * x for x, _ in pairs) * sum(y * y for _, y in pairs))
    assert circular_correlation(a, b).item() == pytest.approx(expected, abs=1e-12)


def test_rotations_and_reflections_are_perfectly_correlated():
    a, _ = angles(0)
    assert circular_correlation(a, a + 5).item() == pytest.approx(1, abs=1e-12)
    assert circular_correlation(a, 1 - a).item() == pytest.approx(-1, abs=1e-12)
    assert circular_correlation(a, 2 * a).abs().item() < 0.6


def test_it_vanishes_for_independent_angles():
    a, b = angles(1, 100_000)
    assert circular_correlation(a, b).abs().item() < 4.5 / 100_000**0.5


def test_equal_angles_have_none():
    a, b = angles(0)
    assert circular_correlation(torch.full_like(a, 0.3), b).isnan()


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((1,), (1,)), ((2, 2), (2, 2))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="two vectors of the same length"):
        circular_correlation(*map(torch.zeros, shapes))
