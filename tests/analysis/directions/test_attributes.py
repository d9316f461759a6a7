"""Directions of attributes, held against closed forms, simulated truth and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from lsgen.analysis.directions import (
    Resampling,
    attribute_direction,
    attribute_probes,
    group_direction,
    leakage,
    pair_alignment,
    pair_direction,
    value_direction,
)
from lsgen.analysis.directions.cross_validation import _placements, cross_validated_auc
from lsgen.analysis.directions.noise import difference_of_pairs, regression
from lsgen.analysis.directions.permutations import flipped_directions, p_value, permuted_directions
from lsgen.latent import Codes, PoincareBall, Sphere

D = 32
FEW = Resampling(permutations=99, folds=2)
DRAWS = {
    "isotropic": lambda random, n: random.normal(size=(n, D)),
    "anisotropic": lambda random, n: random.normal(size=(n, D)) * np.geomspace(3, 0.05, D),
    "heavy tails": lambda random, n: random.standard_t(3, size=(n, D)),
}


def noise_of(a, b):
    return a.var(0, ddof=1).sum() / len(a) + b.var(0, ddof=1).sum() / len(b)


def test_reliability_of_groups_and_pairs_is_the_closed_form():
    random = np.random.default_rng(0)
    z = random.normal(size=(30, 5))
    z[12:] += 1
    found = group_direction(Codes(z), np.arange(12), np.arange(12, 30), resampling=FEW)
    difference = z[12:].mean(0) - z[:12].mean(0)
    assert found.vector == pytest.approx(difference)
    assert found.reliability.value == pytest.approx(1 - noise_of(z[:12], z[12:]) / (difference @ difference))
    pairs = np.arange(30).reshape(15, 2)
    paired = pair_direction(Codes(z + np.tile([[0], [1]], (15, 1))), pairs, resampling=FEW)
    differences = 1 + z[1::2] - z[::2]
    mean = differences.mean(0)
    assert paired.vector == pytest.approx(mean)
    expected = 1 - differences.var(0, ddof=1).sum() / 15 / (mean @ mean)
    assert paired.reliability.value == pytest.approx(max(0, expected))


def test_direction_of_a_value_is_the_regression_and_of_two_values_that_of_groups():
    random = np.random.default_rng(1)
    z, y = random.normal(size=(40, 4)), random.normal(size=40)
    z += 2 * y[:, None] * [1, 0, 0, 1]
    found = value_direction(Codes(z), y, resampling=FEW)
    assert found.vector == pytest.approx(np.polyfit(y, z, 1)[0] * y.std())
    assert found.reliability.value > 0.95
    binary = (y > 0).astype(float)
    by_value = value_direction(Codes(z), binary, resampling=FEW)
    by_groups = group_direction(Codes(z), y <= 0, y > 0, resampling=FEW)
    assert by_value.reliability.value == pytest.approx(by_groups.reliability.value)
    assert by_value.p_value == by_groups.p_value == 1 / 100
    assert value_direction(Codes(z), np.where(y > 1, np.nan, y), resampling=FEW).reliability.n == (y <= 1).sum()


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("effect", [0.0, 1.0, 2.0])
def test_reliability_tracks_the_true_squared_cosine(kind, effect):
    random, reps = np.random.default_rng(2), 60
    spread = DRAWS[kind](random, 20_000).var(0).sum()
    delta = np.zeros(D)
    delta[3] = effect * 0.3 * spread**0.5
    ratios, rhos, cosines, covered = [], [], [], []
    for _ in range(reps):
        z = DRAWS[kind](random, 65)
        z[25:] += delta
        found = group_direction(Codes(z), np.arange(25), np.arange(25, 65), resampling=FEW)
        rhos.append(found.reliability.value)
        cosines.append((found.unit @ delta) ** 2 / max(delta @ delta, 1e-300))
        ratios.append(found.p_value)
        noise = spread * (1 / 25 + 1 / 40)
        truth = delta @ delta / (delta @ delta + noise)
        low, high = found.reliability.interval
        covered.append(low <= truth + 1e-12 and truth <= high)
    error = 4 * np.std(np.array(rhos) - cosines) / reps**0.5
    if effect:
        assert np.mean(rhos) == pytest.approx(np.mean(cosines), abs=error + (0.1 if effect == 1 else 0.03))
        assert np.mean(covered) > 0.7
    else:
        assert np.mean(rhos) < 0.25
        assert np.mean(np.array(ratios) <= 0.1) < 0.1 + 4 * (0.09 / reps) ** 0.5
        assert np.mean(covered) > 0.9


@pytest.mark.parametrize(("d", "expected"), [(128, 0.96), (32, 0.48)])
def test_the_score_of_cartography_finds_large_effects_in_noise_and_reliability_does_not(d, expected):
    random = np.random.default_rng(3)
    scores, baselines, rhos, ps = [], [], [], []
    for seed in range(8):
        codes = Codes(random.normal(size=(4000, d)))
        rows = random.choice(4000, 21, replace=False)
        found = pair_alignment(codes, rows[:10], rows[10:], seed)
        scores.append(found.value)
        baselines.append(found.baseline)
        few = codes.select(np.concatenate([rows, np.setdiff1d(np.arange(100), rows)]))
        direction = group_direction(few, np.arange(10), np.arange(10, 21), resampling=FEW)
        rhos.append(direction.reliability.value)
        ps.append(direction.p_value)
    assert np.mean(scores) == pytest.approx(expected, abs=4 * np.std(scores) / 8**0.5 + 0.02)
    assert np.mean(scores) == pytest.approx(np.mean(baselines), abs=4 * np.std(scores) / 8**0.5)
    assert np.mean(rhos) < 0.2
    assert np.mean(np.array(ps) < 0.05) < 0.05 + 4 * (0.05 * 0.95 / 8) ** 0.5


def test_copies_of_codes_deceive_unless_they_are_units():
    random = np.random.default_rng(4)
    naive, honest, low = [], [], 0
    for _ in range(20):
        z = np.repeat(random.normal(size=(20, 8)), 10, axis=0)
        units = np.repeat(np.arange(20), 10)
        groups = np.arange(100), np.arange(100, 200)
        a = group_direction(Codes(z), *groups, resampling=FEW)
        b = group_direction(Codes(z), *groups, units=units, resampling=FEW)
        assert any("copies" in remark for remark in a.remarks)
        assert b.remarks == ()
        one = group_direction(Codes(z[::10]), np.arange(10), np.arange(10, 20), resampling=FEW)
        assert b.reliability.value == pytest.approx(one.reliability.value)
        naive.append(a.reliability.value)
        honest.append(b.reliability.value)
        low += b.p_value <= 0.1
    assert np.mean(naive) > 0.8
    assert np.mean(honest) < 0.3
    assert low <= 2 + 4 * (20 * 0.09) ** 0.5
    within = value_direction(Codes(z), random.normal(size=200), units=units, resampling=FEW)
    assert within.length.value == 0 or within.p_value == 1  # copies differ in nothing, whatever value they are given


def test_flips_and_permutations_within_units_leave_an_attribute_that_changes_in_each_unit_alone():
    random = np.random.default_rng(5)
    units = np.repeat(np.arange(40), 2)
    z = 5 * random.normal(size=(40, 3)).repeat(2, axis=0) + 0.1 * random.normal(size=(80, 3))
    y = np.tile([0, 1], 40)
    z[y == 1] += 0.1
    apart = group_direction(Codes(z), y == 0, y == 1, resampling=FEW)
    together = group_direction(Codes(z), y == 0, y == 1, units=units, resampling=FEW)
    paired = pair_direction(Codes(z), np.arange(80).reshape(40, 2), resampling=FEW)
    assert apart.p_value > 0.5
    assert together.p_value == paired.p_value == 0.01
    assert apart.reliability.value == 0
    assert together.reliability.value == pytest.approx(paired.reliability.value, abs=0.01)


def test_groups_of_unequal_size_and_spread_are_no_direction():
    random, few, rejected, deceived = np.random.default_rng(9), np.arange(10), 0, 0
    for _ in range(60):
        z = np.concatenate([3 * random.normal(size=(10, 16)), random.normal(size=(60, 16))])
        found = group_direction(Codes(z), few, np.arange(10, 70), resampling=FEW)
        rejected += found.p_value <= 0.1
        null = permuted_directions(z, np.repeat([0.0, 1.0], [10, 60]), np.arange(70), 99, random).squares
        deceived += p_value(found.length.value**2, null) <= 0.1
    assert rejected <= 6 + 4 * (60 * 0.09) ** 0.5
    assert deceived > 45


def test_directions_of_permutations_are_those_of_the_regression_one_by_one():
    random = np.random.default_rng(10)
    z, y, units = random.normal(size=(30, 4)), random.normal(size=30), np.arange(30)
    found = permuted_directions(z, y, units, 20, np.random.default_rng(1))
    drawn = np.random.default_rng(1).permuted(np.tile(y, (20, 1)), axis=1)
    each = [regression(z, one, units) for one in drawn]
    assert found.squares == pytest.approx([one.vector @ one.vector for one in each])
    assert found.ratios == pytest.approx([one.vector @ one.vector / one.noise for one in each])
    flipped = flipped_directions(z, units, 20, np.random.default_rng(2))
    signs = np.random.default_rng(2).choice([-1.0, 1.0], size=(20, 30))
    each = [difference_of_pairs(one[:, None] * z, units) for one in signs]
    assert flipped.ratios == pytest.approx([one.vector @ one.vector / one.noise for one in each])


def test_reliability_of_few_digits_is_the_squared_cosine_with_the_direction_of_all():
    random, digits = np.random.default_rng(11), load_digits()
    z = PCA(16).fit_transform(digits.data)
    a, b = (np.flatnonzero(digits.target == digit) for digit in (3, 8))
    whole = z[b].mean(0) - z[a].mean(0)
    rhos, cosines = [], []
    for _ in range(40):
        rows = np.concatenate([random.choice(a, 10, replace=False), random.choice(b, 10, replace=False)])
        found = group_direction(Codes(z[rows]), np.arange(10), np.arange(10, 20), resampling=FEW)
        rhos.append(found.reliability.value)
        cosines.append((found.unit @ whole) ** 2 / (whole @ whole))
    assert np.mean(rhos) == pytest.approx(np.mean(cosines), abs=0.05)


def test_auc_is_that_of_scikit_learn_on_held_out_codes_and_its_interval_covers():
    random = np.random.default_rng(6)
    values, covered = [], 0
    for _ in range(40):
        z, y = random.normal(size=(120, 1)), np.repeat([0.0, 1.0], 60)
        z[60:] += 1
        found = cross_validated_auc(z, y, np.arange(120), 5, 0)
        values.append(found.value)
        covered += found.interval[0] <= 0.7602 <= found.interval[1]  # Phi(1 / sqrt 2)
    assert np.mean(values) == pytest.approx(0.7602, abs=4 * np.std(values) / 40**0.5)
    assert covered >= 33
    apart = cross_validated_auc(np.concatenate([z[:60], z[60:] + 9]), y, np.arange(120), 5, 0)
    assert apart.value == 1
    one_fold = cross_validated_auc(z, y, np.arange(120), 2, 0)
    assert one_fold.value == pytest.approx(roc_auc_score(y, z[:, 0]), abs=0.05)


@pytest.mark.parametrize("groups", [False, True])
def test_pairs_in_order_are_counted_one_by_one(groups):
    random = np.random.default_rng(12)
    scores = random.integers(0, 9, 60).astype(float)
    y = (random.integers(0, 2, 60) if groups else random.integers(0, 5, 60)).astype(float)
    right, pairs = _placements(scores, y)
    for i in range(60):
        others = np.flatnonzero(y != y[i])
        above = np.sign(y[others] - y[i]) * np.sign(scores[others] - scores[i])
        assert pairs[i] == len(others)
        assert right[i] == ((1 + above) / 2).sum()


@pytest.mark.parametrize("manifold", [Sphere(), PoincareBall(0.5)])
def test_on_a_manifold_the_direction_is_that_of_the_geodesic_between_two_groups(manifold):
    random = np.random.default_rng(7)
    base = manifold.onto(torch.tensor([[0.5, 0.1, 0.2]], dtype=torch.float64))
    along = manifold.direction(base, torch.tensor([[0.0, 1, 0]], dtype=torch.float64))
    times = torch.from_numpy(np.concatenate([random.normal(-0.5, 0.05, 40), random.normal(0.5, 0.05, 40)]))
    codes = Codes(manifold.exp(base, times[:, None] * along), manifold=manifold)
    found = group_direction(codes, np.arange(40), np.arange(40, 80), resampling=FEW)
    gap = float(times[40:].mean() - times[:40].mean())
    assert found.length.value == pytest.approx(gap, abs=1e-6)
    assert found.reliability.value > 0.99
    moved = torch.from_numpy(found.moved(codes.z[:1], gap / found.deviation))
    expected = manifold.exp(base, (times[:1, None] + gap) * along)
    assert moved.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_columns_choose_groups_and_values_and_what_has_no_direction_is_refused():
    random = np.random.default_rng(8)
    z = random.normal(size=(24, 3))
    text = np.array(["ä", "ß", None, "ä" * 300] * 6, dtype=object)
    codes = Codes(z, columns={"t": text, "b": np.arange(24) % 2 == 0, "x": z[:, 0], "one": np.ones(24)})
    assert attribute_direction(codes, "t", "ß", resampling=FEW).name == "t = ß"
    assert attribute_direction(codes, "t", "ß", resampling=FEW).reliability.n == 18
    assert attribute_direction(codes, "b", resampling=FEW).attribute.sum() == 12
    assert attribute_direction(codes, "x", resampling=FEW).auc.value > 0.8
    for column, message in [("t", "3 that are no numbers"), ("one", "at least two values"), ("y", "a column out of")]:
        with pytest.raises(ValueError, match=message):
            attribute_direction(codes, column, resampling=FEW)
    with pytest.raises(ValueError, match="at least 2 codes each, got 18 and 0"):
        attribute_direction(codes, "t", "nothing", resampling=FEW)
    with pytest.raises(ValueError, match="2 in both"):
        group_direction(codes, [0, 1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="not all equal"):
        value_direction(codes, np.ones(24))
    with pytest.raises(ValueError, match="pairs of different rows"):
        pair_direction(codes, [[0, 1], [2, 2]])
    with pytest.raises(ValueError, match="at least 2 pairs"):
        pair_direction(codes, [[0, 1]])
    with pytest.raises(ValueError, match="unit of each"):
        group_direction(codes, [0, 1], [2, 3], units=[1])
    constant = group_direction(Codes(np.ones((12, 1))), np.arange(5), np.arange(5, 12), resampling=FEW)
    assert (constant.reliability.value, constant.p_value, constant.auc.value, constant.deviation) == (0, 1, 0.5, 0)
    huge = group_direction(Codes(1e150 * z), np.arange(9), np.arange(9, 24), resampling=FEW)
    plain = group_direction(Codes(z), np.arange(9), np.arange(9, 24), resampling=FEW)
    assert huge.reliability.interval == pytest.approx(plain.reliability.interval)
    small = group_direction(codes, [0, 1], [2, 3], resampling=FEW)
    assert len(small.remarks) == 2


def test_probes_of_attributes_are_those_of_the_rows_they_are_fitted_to():
    rng = np.random.default_rng(0)
    label, size = np.arange(120) % 2, rng.normal(size=120)
    z = np.stack([3.0 * label, size, rng.normal(size=120)], 1) + 0.3 * rng.normal(size=(120, 3))
    codes = Codes(z, columns={"label": label, "size": size})
    found = [attribute_direction(codes, name) for name in ("label", "size")]
    rows = np.arange(60)
    probes = attribute_probes(codes, found, rows)
    x = z - z.mean(0)
    scaled = (x - x[rows].mean(0)) / x[rows].std(0)
    logistic = LogisticRegression(max_iter=1000).fit(scaled[rows], label[rows]).predict_proba(scaled)[:, 1]
    np.testing.assert_allclose(probes[found[0].name](z), logistic, atol=1e-4)
    ridge = Ridge().fit(scaled[rows], size[rows] / size[rows].std()).predict(scaled)
    got = probes[found[1].name](z)
    np.testing.assert_allclose(got - got.mean(), ridge - ridge.mean(), atol=1e-6)
    changed = leakage(codes.select(np.arange(60, 120)), found, probes)
    own, other = changed.change.diagonal(), changed.change[[0, 1], [1, 0]]
    assert (own > 0.4).all()
    assert (np.abs(other) < 0.5 * own).all()
    with pytest.raises(ValueError, match="different values of 'label = 1' to fit a probe to, got 3"):
        attribute_probes(codes, found, [0, 2, 4])
