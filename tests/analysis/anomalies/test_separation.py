"""AUROC, AUPR and FPR at 95 % TPR are scikit-learn's, and their intervals hold what they promise."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from lsgen.analysis.anomalies import detection


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_summaries_are_those_of_scikit_learn_with_ties_as_well(step):
    rng = np.random.default_rng(0)
    strange = rng.random(300) < 0.3
    scores = rng.normal(size=300) + strange
    scores = np.round(scores / step) if step else scores
    found = detection(scores, strange, resamples=10)
    fpr, tpr, _ = roc_curve(strange, scores, drop_intermediate=False)
    assert found.auroc.value == pytest.approx(roc_auc_score(strange, scores))
    assert found.aupr.value == pytest.approx(average_precision_score(strange, scores))
    assert found.fpr95.value == pytest.approx(fpr[tpr >= 0.95][0])
    assert found.fpr == pytest.approx(fpr)
    assert found.tpr == pytest.approx(tpr)
    assert found.aupr.baseline == pytest.approx(strange.mean())


def test_infinite_scores_are_the_strangest():
    found = detection([np.inf, 1.0, 0.0, -np.inf], np.array([True, True, False, False]), resamples=5)
    assert (found.auroc.value, found.aupr.value, found.fpr95.value) == (1, 1, 0)


def test_equal_scores_tell_nothing():
    found = detection(np.zeros(8), np.arange(8) < 2, resamples=5)
    assert (found.auroc.value, found.aupr.value, found.fpr95.value) == (0.5, 0.25, 1)


def test_intervals_hold_the_truth_as_often_as_they_promise():
    truth, inside = norm.cdf(1 / 2**0.5), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        strange = np.arange(120) < 60
        low, high = detection(rng.normal(size=120) + strange, strange, resamples=100).auroc.interval
        inside += low < truth < high
    assert 0.86 < inside / 100 < 0.99


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="strange and ordinary items, got 0 and 3"):
        detection([1.0, 2.0, 3.0], np.zeros(3, bool))
    with pytest.raises(ValueError, match="got 1 NaN"):
        detection([1.0, np.nan], np.array([True, False]))
    with pytest.raises(ValueError, match="scores and truth values"):
        detection([1.0, 2.0], np.array([0, 1]))
