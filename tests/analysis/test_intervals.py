"""Intervals are those of other libraries and of closed forms."""

import numpy as np
import pytest
from scipy.stats import binomtest, t

from lsgen.analysis.intervals import clustered_share, group_jackknife, share_interval


@pytest.mark.parametrize(("k", "n"), [(0, 7), (7, 7), (3, 11), (450, 500)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_interval_of_a_share_is_the_exact_one(k, n, level):
    exact = binomtest(k, n).proportion_ci(level, method="exact")
    assert share_interval(k, n, level) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_a_share_of_clusters_of_one_has_the_exact_interval():
    inside = np.arange(40) % 5 > 0
    share, interval = clustered_share(inside, np.arange(40))
    assert share == 0.8
    assert interval == pytest.approx(share_interval(32, 40))


def test_trials_that_are_copies_count_once():
    inside = np.arange(40) % 5 > 0
    share, interval = clustered_share(np.repeat(inside, 50), np.repeat(np.arange(40), 50))
    effective = 39  # a variance from 40 clusters, with the divisor 39
    assert share == pytest.approx(0.8)
    assert interval == pytest.approx(share_interval(0.8 * effective, effective), rel=1e-6)


def test_trials_that_all_succeeded_are_as_many_as_clusters():
    share, interval = clustered_share(np.ones(400, dtype=bool), np.repeat(np.arange(40), 10))
    assert (share, interval) == (1, pytest.approx(share_interval(40, 40)))


def test_one_cluster_of_several_trials_and_no_trial_are_refused():
    with pytest.raises(ValueError, match="two clusters or more, got one with all 3"):
        clustered_share([True, False, True], [0, 0, 0])
    with pytest.raises(ValueError, match="trials and clusters"):
        clustered_share([], [])
    with pytest.raises(ValueError, match="successes"):
        share_interval(3, 2)


def test_the_jackknife_of_a_mean_is_students_interval():
    x = np.random.default_rng(0).normal(size=12)
    low, high = group_jackknife(lambda rows: float(x[rows].mean()), 12, np.random.default_rng(1), groups=50)
    half = t.ppf(0.975, 11) * x.std(ddof=1) / 12**0.5
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half))


def test_the_jackknife_of_groups_is_that_of_their_means():
    x = np.random.default_rng(0).normal(size=60)
    low, high = group_jackknife(lambda rows: float(x[rows].mean()), 60, np.random.default_rng(1), groups=6)
    means = x[np.random.default_rng(1).permutation(60)].reshape(10, 6).mean(0)
    half = t.ppf(0.975, 5) * means.std(ddof=1) / 6**0.5
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half))
