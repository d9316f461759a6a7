"""Lift and agreement, held against scikit-learn, counts and simulated truth."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from lsgen.analysis.clustering import label_agreement, metadata_lift

RANDOM = np.random.default_rng(0)


def test_agreement_is_that_of_scikit_learn_and_its_interval_is_about_it():
    truth = RANDOM.integers(0, 4, 300)
    labels = np.where(RANDOM.random(300) < 0.7, truth, RANDOM.integers(0, 4, 300))
    found = label_agreement(labels, truth)
    assert found.rand_index.value == pytest.approx(adjusted_rand_score(truth, labels))
    assert found.mutual_information.value == pytest.approx(adjusted_mutual_info_score(truth, labels))
    for one in (found.rand_index, found.mutual_information):
        assert one.interval[0] < one.value < one.interval[1]
        assert one.interval[0] > 0
    chance = label_agreement(RANDOM.integers(0, 4, 300), truth).rand_index
    assert chance.interval[0] < 0.01
    text = np.array(["ä", None, "ß", "ä"], dtype=object)
    assert label_agreement([0, 0, 1, 0], text).rand_index.value == 1
    with pytest.raises(ValueError, match="at least 3 codes with a label"):
        label_agreement([0, 1, 1], np.array(["a", None, None], dtype=object))


def test_lift_is_the_ratio_of_shares():
    labels = np.array([0] * 6 + [1] * 4 + [-1] * 2)
    column = np.array(["x", "x", "x", "x", "y", None, "y", "y", "y", "x", "z", "z"], dtype=object)
    found = {(one.cluster, one.value): one for one in metadata_lift(labels, column)}
    assert found[0, "x"].lift.value == pytest.approx((4 / 5) / (5 / 11))
    assert found[0, "x"].share.value == pytest.approx(4 / 5)
    assert found[0, "x"].share.baseline == pytest.approx(5 / 11)
    assert (1, "z") not in found  # less than one would be there by chance
    often = {(one.cluster, one.value): one for one in metadata_lift(np.repeat(labels, 10), np.repeat(column, 10))}
    assert often[1, "z"].lift.value == 0
    assert often[1, "z"].lift.interval[0] == 0 < often[1, "z"].lift.interval[1] < 1
    assert found[-1, "z"].lift.value == pytest.approx(5.5)
    assert found[-1, "z"].lift.interval[1] <= 5.5
    first = [one.value for one in metadata_lift(labels, column) if one.cluster == 1]
    assert first[0] == "y"
    with pytest.raises(ValueError, match="at least one code with a value"):
        metadata_lift([0], np.array([None], dtype=object))
    with pytest.raises(ValueError, match="as many clusters as values"):
        metadata_lift([0, 1], [1])


def test_intervals_of_a_lift_cover():
    """P(c) = 0.3, P(v | c) = 0.5, P(v | not c) = 0.2: a lift of 0.5 / 0.29."""
    covered, truth = 0, 0.5 / 0.29
    for _ in range(150):
        clusters = (RANDOM.random(200) < 0.3).astype(int)
        column = RANDOM.random(200) < np.where(clusters == 1, 0.5, 0.2)
        found = next(one for one in metadata_lift(clusters, column) if one.cluster == 1 and one.value is True)
        covered += found.lift.interval[0] <= truth <= found.lift.interval[1]
    assert abs(covered / 150 - 0.95) < 4 * (0.05 * 0.95 / 150) ** 0.5


def test_numbers_are_compared_by_their_averages():
    values = RANDOM.normal(size=100)
    labels = (values > 0).astype(int)
    low, high = metadata_lift(labels, values)
    assert high.share.value == pytest.approx(values[values > 0].mean())
    assert high.lift.value == pytest.approx((values[values > 0].mean() - values.mean()) / values.std())
    assert low.lift.value < 0 < high.lift.interval[0]
    assert metadata_lift(labels, labels)[0].value == 0
    assert metadata_lift([0, 1], [0.25, 0.5])[0].lift.interval is None
