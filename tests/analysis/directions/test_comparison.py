"""Comparison of directions and their effects on each other, held against simulated truth and closed forms."""

import numpy as np
import pytest

from lsgen.analysis.directions import Resampling, compare_directions, group_direction, leakage, value_direction
from lsgen.latent import Codes

FEW = Resampling(permutations=19, folds=2)
N, D = 120, 24


def two_directions(random, a, b, shared):
    z = random.normal(size=(N, D))
    if shared:
        groups = [(np.arange(40), np.arange(40, 80)), (np.arange(40), np.arange(80, 120))]
    else:
        groups = [(np.arange(30), np.arange(30, 60)), (np.arange(60, 90), np.arange(90, 120))]
    z[groups[0][1]] += a
    z[groups[1][1]] += b
    codes = Codes(z)
    return codes, [group_direction(codes, *pair, name=str(i), resampling=FEW) for i, pair in enumerate(groups)]


@pytest.mark.parametrize("shared", [False, True])
def test_corrected_cosines_are_those_of_the_truth_also_where_codes_are_shared(shared):
    random = np.random.default_rng(0)
    a, b = np.zeros(D), np.zeros(D)
    a[0], b[0], b[1] = 3.0, 1.8, 2.4
    plain, corrected, covered = [], [], 0
    for _ in range(60):
        codes, directions = two_directions(random, a, b, shared)
        found = compare_directions(codes, directions)
        plain.append(found.cosines[0, 1])
        corrected.append(found.corrected[0, 1])
        covered += found.intervals[0, 1, 0] <= 0.6 <= found.intervals[0, 1, 1]
        assert found.shared[0, 1] == (40 if shared else 0)
    if not shared:
        rhos = [one.reliability.value for one in directions]
        assert corrected[-1] == pytest.approx(plain[-1] / (rhos[0] * rhos[1]) ** 0.5)
        assert np.mean(plain) < 0.56
    assert np.mean(corrected) == pytest.approx(0.6, abs=4 * np.std(corrected) / 60**0.5)
    assert covered / 60 > 0.95 - 4 * (0.05 * 0.95 / 60) ** 0.5


def test_noise_of_shared_codes_makes_no_directions_alike():
    random = np.random.default_rng(1)
    a, b = np.zeros(D), np.zeros(D)
    a[0], b[1] = 2.0, 2.0
    found = [compare_directions(*two_directions(random, a, b, True)) for _ in range(40)]
    plain, corrected = (np.array([getattr(one, name)[0, 1] for one in found]) for name in ("cosines", "corrected"))
    error = 4 * corrected.std() / 40**0.5
    assert plain.mean() == pytest.approx(0.6 / 5.2, abs=4 * plain.std() / 40**0.5)  # D/40 over 2^2 + 2 D/40
    assert corrected.mean() == pytest.approx(0, abs=error)


def test_a_direction_that_is_noise_has_no_corrected_cosine():
    z = np.random.default_rng(2).normal(size=(40, 3))
    z[20:] -= z[20:].mean(0) - z[:20].mean(0) + [1e-3, 0, 0]
    codes = Codes(z)
    noise = group_direction(codes, np.arange(20), np.arange(20, 40), resampling=FEW)
    real = value_direction(codes, z[:, 0], resampling=FEW)
    found = compare_directions(codes, [noise, real])
    assert noise.reliability.value == 0
    assert np.isnan(found.corrected[0]).all()
    assert found.corrected[1, 1] == 1
    with pytest.raises(ValueError, match="at least 2 directions"):
        compare_directions(codes, [real])
    other = Codes(z + 1)
    with pytest.raises(ValueError, match="in one tangent space"):
        compare_directions(codes, [real, value_direction(other, z[:, 0], resampling=FEW)])


def test_leakage_of_flat_codes_is_the_cosine_times_the_ratio_of_deviations():
    random = np.random.default_rng(3)
    z = random.normal(size=(60, 3)) @ random.normal(size=(3, 3))
    codes = Codes(z)
    directions = [value_direction(codes, z[:, i], name=f"{i}", resampling=FEW) for i in range(3)]
    found = leakage(codes, directions, steps=2.0)
    for i, a in enumerate(directions):
        for j, b in enumerate(directions):
            assert found.change[i, j] == pytest.approx(2 * a.deviation * float(a.unit @ b.unit) / b.deviation)
    square = leakage(codes, directions[:1], {"square": lambda z: (z**2).sum(1)})
    step = directions[0].deviation * directions[0].unit
    changes = (2 * z @ step + step @ step) / (z**2).sum(1).std()
    assert square.change[0, 0] == pytest.approx(changes.mean())
    assert square.intervals[0, 0, 0] < changes.mean() < square.intervals[0, 0, 1]
    assert np.isnan(leakage(codes, directions[:1], {"constant": lambda z: np.ones(len(z))}).change[0, 0])
    with pytest.raises(ValueError, match="numbers of the probe 'bad'"):
        leakage(codes, directions, {"bad": lambda z: z})
