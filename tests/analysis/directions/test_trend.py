"""The trend of codes with a time, on codes of which it is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from lsgen.analysis.directions import correlation_within, trend_of


def _codes(noise: float, n: int = 800) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    axis = np.array([3.0, 0.0, 4.0, 0.0]) / 5
    times = rng.integers(1990, 2020, n)
    z = np.outer(times - 2000.0, axis) + noise * rng.normal(size=(n, 1)) * axis
    z[:, [1, 3]] += 5 * rng.normal(size=(n, 2))  # across the trend
    return z, times.astype(float), axis


def test_a_trend_without_noise_is_found_exactly() -> None:
    z, times, axis = _codes(0.0)
    found = trend_of(z, times)
    np.testing.assert_allclose(found.axis, axis, atol=1e-9)
    np.testing.assert_allclose(found.intrinsic, times, atol=1e-6)
    np.testing.assert_allclose(found.along, z @ axis, atol=1e-9)
    rest = z - z.mean(0) - np.outer((z - z.mean(0)) @ axis, axis)
    principal = np.linalg.eigh(rest.T @ rest)[1][:, -1]
    np.testing.assert_allclose(np.abs(found.across), np.abs(rest @ principal), atol=1e-6)
    assert found.r2.value == pytest.approx(1)


@pytest.mark.slow
def test_the_share_of_variance_is_that_of_the_model() -> None:
    """Of z = a y + e, with e of variance s^2, a regression of y on z explains var y / (var y + s^2)."""
    z, times, _ = _codes(6.0, 20_000)
    assert trend_of(z, times).r2.value == pytest.approx(times.var() / (times.var() + 36), abs=0.02)


@pytest.mark.slow
def test_the_interval_covers_the_share_and_chance_is_what_shuffled_times_leave() -> None:
    """Of 100 samples the interval of 95 % leaves out the share of the model in some, and not in many."""
    rng, missed = np.random.default_rng(3), 0
    for _ in range(100):
        y = rng.normal(size=150)
        found = trend_of(np.stack([y + rng.normal(size=150), rng.normal(size=150)], 1), y, folds=5, draws=200).r2
        assert found.interval is not None
        assert found.baseline is not None
        assert found.baseline < 0.2
        missed += not found.interval[0] <= 0.5 <= found.interval[1]
    assert 1 <= missed <= 15
    assert trend_of(y[:, None], y, draws=0).r2.interval is None


def test_codes_without_a_trend_explain_nothing_however_many_dimensions_they_have() -> None:
    rng = np.random.default_rng(1)
    assert trend_of(rng.normal(size=(200, 100)), rng.normal(size=200)).r2.value < 0.05


def test_correlation_within_groups_ignores_what_groups_differ_by() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(20), 50)
    a, b = rng.normal(size=1000), rng.normal(size=1000)
    assert abs(correlation_within(a + 10 * group, b + 10 * group, group)) < 0.1
    assert spearmanr(a + 10 * group, b + 10 * group)[0] > 0.9
    by_hand = np.mean([spearmanr(a[group == k], (a + b)[group == k])[0] for k in range(20)])
    assert correlation_within(a, a + b, group) == pytest.approx(by_hand)
    assert np.isnan(correlation_within(a, np.zeros(1000), group))
    assert correlation_within([1, 2, 3, 7, 7, 7], [1, 2, 3, 1, 2, 3], [0, 0, 0, 1, 1, 1]) == pytest.approx(1)


def test_what_has_no_trend_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 to 5 folds of codes with times that are not all equal"):
        trend_of(np.zeros((5, 2)), np.ones(5), 3)
    with pytest.raises(ValueError, match="expected 2 to 5 folds"):
        trend_of(np.zeros((5, 2)), np.arange(5), 6)
    with pytest.raises(ValueError, match="expected finite codes"):
        trend_of(np.zeros((5, 2)), np.full(5, np.nan))
