"""Tests of inequalities, against enumeration and other libraries."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from lsgen.reproduction.significance import STATISTICS, pigeonhole_bootstrap, sign_flip


@pytest.mark.parametrize("n", [1, 3, 5, 8])
def test_equal_signs_have_the_least_probability(n):
    assert sign_flip(np.arange(1.0, n + 1).tolist()) == 0.5**n
    assert sign_flip((-np.arange(1.0, n + 1)).tolist()) == 1.0


def test_three_seeds_cannot_reach_five_percent_and_five_can():
    assert sign_flip([100.0] * 3) == 0.125
    assert sign_flip([0.001] * 5) == 1 / 32


@pytest.mark.parametrize("seed", range(5))
def test_sign_flips_agree_with_scipy(seed):
    d = np.random.default_rng(seed).normal(0.4, 1.0, 7)
    mean = lambda x, axis: x.mean(axis)
    known = stats.permutation_test((d,), mean, permutation_type="samples", alternative="greater", n_resamples=1000)
    assert sign_flip(d.tolist()) == pytest.approx(known.pvalue, abs=1e-12)


def test_no_difference_at_all_is_no_evidence():
    assert sign_flip([0.0] * 6) == 1.0
    assert sign_flip([0.1 + 0.2 - 0.3, 0.0]) == 1.0 or sign_flip([0.1 + 0.2 - 0.3, 0.0]) == 0.5


@pytest.mark.parametrize("bad", [[], [float("nan")], [1.0] * 17])
def test_differences_that_cannot_be_tested_are_refused(bad):
    with pytest.raises(ValueError, match="expected between 1 and 16 finite differences"):
        sign_flip(bad)


def _share(d):
    """Return the share of all draws with replacement whose mean is not positive."""
    return np.mean([np.mean(draw) <= 0 for draw in product(d, repeat=len(d))])


@pytest.mark.parametrize("d", [[1.0, -0.2, -0.3], [-1.0, 2.0, 0.1], [0.5, 0.4, -2.0]])
def test_drawing_seeds_and_drawing_items_give_the_shares_of_all_draws(d):
    error = 4 * np.sqrt(0.25 / 2000)
    by_seed = np.repeat(np.array(d)[:, None], 4, axis=1)
    assert pigeonhole_bootstrap(np.zeros((3, 4)), by_seed, 0.0) == pytest.approx(_share(d), abs=error)
    by_item = np.repeat(np.array(d)[None], 4, axis=0)
    assert pigeonhole_bootstrap(-by_item, 0.0, 0.0) == pytest.approx(_share(d), abs=error)


def test_items_are_the_same_for_both_sides_and_all_seeds():
    shared = np.random.default_rng(0).normal(0, 100.0, 50)
    smaller = np.repeat(shared[None], 3, axis=0)
    assert pigeonhole_bootstrap(smaller, smaller + 0.01, 0.0) == 1 / 2001
    assert pigeonhole_bootstrap(smaller, smaller + 0.01, 0.02) == 1.0


def test_what_was_drawn_before_is_not_taken_for_something_else():
    x = np.random.default_rng(4).normal(size=(2, 6))
    shares = [
        pigeonhole_bootstrap(*arguments)
        for arguments in ((x, 0.3, 0.0), (x, 0.3, -0.4), (0.3, x, 0.0), (x.reshape(3, 4), 0.3, 0.0), (-x, 0.3, 0.0))
        for _ in range(2)
    ]
    assert shares[::2] == shares[1::2]
    assert len(set(shares)) == 5


def test_the_coefficient_of_variation_is_that_of_scipy():
    x = np.random.default_rng(1).gamma(4.0, size=(10, 30))
    assert STATISTICS["coefficient_of_variation"](x) == pytest.approx(stats.variation(x, axis=0, ddof=1).mean())
    wide, narrow = 3 + np.random.default_rng(2).normal(size=(2, 10, 30)) * np.array([0.5, 0.1])[:, None, None]
    assert pigeonhole_bootstrap(narrow, wide, 0.0, "coefficient_of_variation") < 0.01
    assert pigeonhole_bootstrap(wide, narrow, 0.0, "coefficient_of_variation") > 0.99


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [(np.zeros((3, 4)), np.zeros((3, 5))), (0.0, 1.0), (np.zeros((1, 4)), 1.0), (np.full((3, 2), np.nan), 1.0)],
)
def test_items_that_cannot_be_tested_are_refused(smaller, larger):
    with pytest.raises(ValueError, match="expected"):
        pigeonhole_bootstrap(smaller, larger, 0.0)
