"""Conformal p-values are uniform under exchangeability: all orders are enumerated."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from lsgen.analysis.anomalies import conformal_p_values, false_alarms


def enumerated(scores):
    """Return the p-values of the last of n + 1 scores over all their orders."""
    return [Fraction(float(conformal_p_values(o[:-1], o[-1:])[0])).limit_denominator(99) for o in permutations(scores)]


def test_p_values_of_different_scores_are_uniform():
    found = enumerated([0.3, -1.0, 2.0, 0.7, 5.0])
    assert {p: found.count(p) for p in found} == {Fraction(j, 5): 24 for j in range(1, 6)}


@pytest.mark.parametrize("scores", [[1, 1, 1, 1], [0, 1, 1, 2, 2], [np.inf, np.inf, 0, -np.inf]])
def test_p_values_of_equal_scores_are_valid(scores):
    found = enumerated(scores)
    assert all(sum(p <= a for p in found) <= a * len(found) for a in found)


def test_no_p_value_is_below_what_the_calibration_allows():
    assert conformal_p_values([1.0, 2.0, 3.0], [[9.0, 3.0], [2.5, -9.0]]).tolist() == [[0.25, 0.5], [0.5, 1.0]]


def test_no_calibration_and_nan_are_refused():
    with pytest.raises(ValueError, match="one or more"):
        conformal_p_values([], [1.0])
    with pytest.raises(ValueError, match="got NaN"):
        conformal_p_values([1.0], [np.nan])


def test_the_interval_of_false_alarms_knows_that_calibration_is_shared():
    inside = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        p = conformal_p_values(rng.normal(size=99), rng.normal(size=100))
        low, high = false_alarms(p, 99, alpha=0.1).interval
        inside.append(low < 0.1 < high)
    assert 0.91 < np.mean(inside) < 0.995
    with pytest.raises(ValueError, match="got 0 and 9"):
        false_alarms([], 9)
