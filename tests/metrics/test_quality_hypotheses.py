"""Tests of samples: levels by enumeration, power in closed form, copies and independent draws, scipy's statistics."""

from itertools import combinations
from math import comb, log, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.stats import binom, chi2_contingency, hypergeom, mannwhitneyu, norm

from lsgen.metrics.quality.hypotheses import (
    CLASSIFIERS,
    authenticity,
    classifier_two_sample_test,
    compare_bins,
    copying_statistic,
    detectable_accuracy,
    power_of_test,
)
from lsgen.metrics.quality.hypotheses.bins import compare_counts
from lsgen.metrics.quality.hypotheses.classifier_test import outcome
from lsgen.metrics.quality.hypotheses.data_copying import rank_sum_z


def _normal(*shape: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += shift
    return x


@pytest.mark.parametrize("k", range(9))
def test_p_values_of_a_classifier_by_enumeration_of_all_labels(k: int) -> None:
    """Of 8 held-out observations k are called generated; which 4 of them are generated is exchangeable."""
    m, called = 4, set(range(k))
    rightly = [len(called & set(fake)) for fake in combinations(range(2 * m), m)]
    assert len(rightly) == comb(2 * m, m)
    found = {t: outcome(k - t, t, m) for t in set(rightly)}
    for t, test in found.items():
        assert test.accuracy == (t + m - (k - t)) / (2 * m)
        assert test.p_value == pytest.approx(np.mean([other >= t for other in rightly]))
    assert np.mean([found[t].accuracy for t in rightly]) == pytest.approx(0.5)
    assert np.var([found[t].accuracy for t in rightly]) <= 1 / (4 * (2 * m - 1)) + 1e-12
    for alpha in np.linspace(0.01, 0.99, 33):
        assert np.mean([found[t].p_value <= alpha for t in rightly]) <= alpha


@pytest.mark.slow
def test_the_level_of_the_whole_test() -> None:
    """Both sets from one distribution: 100 tests at the level 10 %, of which the exact one rejects no more."""
    tests = [classifier_two_sample_test(_normal(24, 2, seed=s), _normal(24, 2, seed=10_000 + s)) for s in range(100)]
    p = np.array([test.p_value for test in tests])
    assert binom.cdf((p <= 0.1).sum() - 1, 100, 0.1) < 0.999
    accuracy = np.array([test.accuracy for test in tests])
    assert abs(accuracy.mean() - 0.5) < 4 * accuracy.std() / sqrt(100)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_accuracies_approach_that_of_the_bayes_classifier(classifier: str) -> None:
    """N(0, 1) against N(shift, 1): Phi(shift / 2), and no classifier is better but by chance."""
    shift, n = 1.5, 3000
    test = classifier_two_sample_test(_normal(n, 2, seed=1), _normal(n + 50, 2, seed=2, shift=shift), classifier)
    bayes, error = norm.cdf(shift / 2), sqrt(0.25 / n)
    assert test.n_test == n
    assert bayes - 0.025 - 4 * error < test.accuracy < bayes + 4 * error
    assert test.low < test.accuracy < test.high
    assert test.p_value < 1e-100


def test_power_against_sums_over_all_outcomes() -> None:
    """The right answers of either kind are binomial; the test rejects where the hypergeometric tail is at most 5 %."""
    m, accuracy = 150, 0.57
    t = np.arange(m + 1)
    wrongly, rightly = np.meshgrid(t, t, indexing="ij")
    rejected = hypergeom(2 * m, m, wrongly + rightly).sf(rightly - 1) <= 0.05
    weight = binom.pmf(t, m, 1 - accuracy)[:, None] * binom.pmf(t, m, accuracy)
    assert (rejected * weight).sum() == pytest.approx(power_of_test(accuracy, 2 * m), abs=0.05)
    level = (rejected * binom.pmf(t, m, 0.5)[:, None] * binom.pmf(t, m, 0.5)).sum()
    assert 0.03 < level <= 0.05
    for power in (0.3, 0.5, 0.8, 0.99):
        assert power_of_test(detectable_accuracy(2 * m, 0.05, power), 2 * m) == pytest.approx(power)


def test_bins_differ_by_a_two_proportion_z_test() -> None:
    real, fake = np.array([30, 5, 0, 60, 5]), np.array([20, 25, 0, 50, 55])
    found = compare_counts(real, fake)
    n, m = real.sum(), fake.sum()
    for z, r, f in zip(found.z, real, fake, strict=True):
        if r + f:
            table = chi2_contingency([[r, n - r], [f, m - f]], correction=False)
            assert z**2 == pytest.approx(table.statistic)
            assert np.sign(z) == np.sign(r / n - f / m)
    assert found.different == sum(2 * norm.sf(abs(z)) < 0.05 for z in found.z)
    assert found.p_value == pytest.approx(chi2_contingency([real[real > 0], fake[real > 0]], correction=False).pvalue)
    assert compare_counts(real, real).divergence == 0
    apart = compare_counts(np.array([7, 0]), np.array([0, 9]))
    assert (apart.divergence, apart.different) == (pytest.approx(log(2)), 2)


def test_the_level_in_a_bin_by_enumeration() -> None:
    n, m, p = 60, 50, 0.2
    level = 0.0
    for r in range(26):
        differ = [compare_counts(np.array([r, n - r]), np.array([f, m - f])).different == 2 for f in range(24)]
        level += binom.pmf(r, n, p) * (binom.pmf(np.arange(24), m, p) * np.array(differ)).sum()
    assert level == pytest.approx(0.05, abs=0.006)


def test_a_lost_mode_is_a_different_bin() -> None:
    centres = 20 * torch.eye(6, dtype=torch.float64)
    train, fake = (centres[torch.arange(600) % modes] + _normal(600, 6, seed=modes) for modes in (6, 5))
    found = compare_bins(train, fake, bins=6)
    assert (found.different, int((found.z > 5).sum())) == (1, 1)
    assert found.p_value < 1e-20
    same = compare_bins(train, train.flip(0), bins=6, held_out=train)
    assert (same.different, same.divergence) == (0, 0)


def test_rank_sums_against_scipy_and_over_all_splits() -> None:
    """With ties; mean 0 and variance 1 over all splits of the same numbers."""
    a, b = np.array([0.0, 1, 1, 2, 5, 5, 5]), np.array([1.0, 2, 3, 5, 8, 9])
    peer = mannwhitneyu(a, b, method="asymptotic", use_continuity=False, alternative="less")
    assert norm.cdf(rank_sum_z(a, b)) == pytest.approx(peer.pvalue)
    pool = np.array([0.0, 1, 1, 1, 2, 2, 4, 5])
    splits = [np.isin(np.arange(8), chosen) for chosen in combinations(range(8), 3)]
    z = np.array([rank_sum_z(pool[chosen], pool[~chosen]) for chosen in splits])
    assert z.mean() == pytest.approx(0)
    assert z.var() == pytest.approx(1)
    assert np.isnan(rank_sum_z(np.ones(3), np.ones(4)))


def test_copies_are_as_far_below_as_possible() -> None:
    train, held_out = _normal(300, 3, seed=1), _normal(200, 3, seed=2)
    copies = train[:150] + 1e-6 * _normal(150, 3, seed=4)
    found = copying_statistic(train, held_out, copies, cells=1)
    assert found.statistic == found.z == pytest.approx(-sqrt(3 * 200 * 150 / 351))
    in_cells = copying_statistic(train, held_out, copies, cells=4)
    assert in_cells.z < -10
    assert in_cells.statistic > in_cells.z  # the weighted average has a variance below 1
    assert found.p_value < 1e-20
    assert copying_statistic(train, held_out, _normal(200, 3, seed=3) * 3, cells=1).z > 5
    none = copying_statistic(train, held_out, copies[:10], cells=4)
    assert np.isnan([none.statistic, none.z, none.p_value]).all()


@pytest.mark.slow
def test_independent_draws_are_standard_normal() -> None:
    found = []
    for s in range(150):
        parts = (_normal(n, 2, seed=10 * s + i) for i, n in enumerate((60, 80, 100)))
        found.append(copying_statistic(*parts, cells=3, least=5))
    z = np.array([one.z for one in found])
    assert abs(z.mean()) < 4 / sqrt(150)
    assert 0.65 < z.var() < 1.45  # 4 standard errors
    assert np.var([one.statistic for one in found]) < 0.65


def test_authenticity_by_brute_force() -> None:
    train, fake = _normal(40, 3, seed=1), _normal(30, 3, seed=2)
    train[7] = train[3]  # duplicates: the nearest other one is at distance 0
    fake[0], fake[1] = train[5], train[3] + 0.01
    expected = []
    for y in fake:
        i = int((train - y).norm(dim=1).argmin())
        others = torch.cat([train[:i], train[i + 1 :]])
        expected.append(bool((train[i] - y).norm() > (others - train[i]).norm(dim=1).min()))
    found = authenticity(train, fake)
    assert found.authentic.tolist() == expected
    assert not expected[0]
    assert expected[1]
    assert found.percent == 100 * sum(expected) / 30
    assert found.low < found.percent < found.high
    assert authenticity(train.unique(dim=0), train[:20]).percent == 0


@pytest.mark.slow
def test_authenticity_of_independent_draws() -> None:
    """On a circle two of three draws are in a pair of mutual neighbours, whatever their number; in the plane 0.6215."""
    on_circle, in_plane = [], []
    for s in range(60):
        generator = torch.Generator().manual_seed(s)
        angle = 2 * pi * torch.rand(2, 150, dtype=torch.float64, generator=generator)
        on_circle.append(authenticity(*torch.stack([angle.cos(), angle.sin()], -1)).percent)
        in_plane.append(authenticity(*torch.rand(2, 900, 2, dtype=torch.float64, generator=generator)).percent)
    for values, expected, edge in (
        (on_circle, 100 / 3, 0.0),
        (in_plane, 100 * (1 - 6 * pi / (8 * pi + 3 * sqrt(3))), 1),
    ):
        assert abs(np.mean(values) - expected) < 4 * np.std(values) / sqrt(60) + edge


def test_refusals() -> None:
    x = _normal(30, 2, seed=0)
    with pytest.raises(ValueError, match="expected a classifier out of knn, linear, mlp, got 'svm'"):
        classifier_two_sample_test(x, x, "svm")
    with pytest.raises(ValueError, match="expected at least 4 real and 4 generated features of one dimension, got"):
        classifier_two_sample_test(x, x[:3])
    with pytest.raises(ValueError, match="expected finite features"):
        classifier_two_sample_test(x, x.clone().fill_(torch.nan))
    with pytest.raises(ValueError, match=r"expected an accuracy in \[1/2, 1\)"):
        power_of_test(1.0, 10)
    with pytest.raises(ValueError, match="expected n >= 1 and 0 < alpha < power < 1"):
        detectable_accuracy(10, 0.5, 0.4)
    with pytest.raises(ValueError, match="expected at least 2 bins"):
        compare_bins(x, x, bins=1)
    with pytest.raises(ValueError, match="expected between 1 and 30 cells"):
        compare_bins(x, x, bins=31)
    with pytest.raises(ValueError, match="expected at least 1 generated observation in a cell, got 0"):
        copying_statistic(x, x, x, least=0)
    with pytest.raises(ValueError, match="expected at least 2 training and 1 generated"):
        authenticity(x[:1], x)
