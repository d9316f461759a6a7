"""Comparisons of spaces hold closed forms, enumerations and other libraries' values."""

from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, spearmanr

from lsgen.analysis.comparisons import (
    chance_jaccard,
    compare,
    debiased_cka,
    linear_cka,
    neighbour_jaccard,
    procrustes_distance,
)
from lsgen.analysis.comparisons.neighbourhoods import mean_jaccard
from lsgen.latent import Codes, Sphere

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)) + 5, RNG.normal(size=(40, 5))
Y[:, :3] += X


def hsic_of_matrices(k, m):
    """Return the unbiased HSIC as Song and others write it, from matrices without their diagonals."""
    n, one = len(k), np.ones(len(k))
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    total = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + total - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


def test_cka_is_that_of_gram_matrices():
    centre = np.eye(40) - 1 / 40
    k, m = (centre @ z @ z.T @ centre for z in (X, Y))
    assert linear_cka(X, Y) == pytest.approx((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))
    k, m = X @ X.T, Y @ Y.T
    exact = hsic_of_matrices(k, m) / np.sqrt(hsic_of_matrices(k, k) * hsic_of_matrices(m, m))
    assert debiased_cka(X, Y) == pytest.approx(exact)


def test_debiased_cka_averages_to_zero_over_all_orders():
    values = [debiased_cka(X[:6], Y[list(order)]) for order in permutations(range(6))]
    assert np.mean(values) == pytest.approx(0, abs=1e-12)
    assert np.mean([linear_cka(X[:6], Y[list(order)]) for order in permutations(range(6))]) > 0.3


def test_turned_and_scaled_spaces_are_the_same():
    turned = 3 * X @ ortho_group.rvs(3, random_state=0) - 7
    assert linear_cka(X, turned) == pytest.approx(1)
    assert debiased_cka(X, turned) == pytest.approx(1)
    assert procrustes_distance(X, turned) == pytest.approx(0, abs=1e-12)


def test_procrustes_is_that_of_scipy():
    assert procrustes_distance(X, Y[:, :3]) == pytest.approx(procrustes(X, Y[:, :3])[2])
    assert procrustes_distance(X, Y) == pytest.approx(procrustes(np.c_[X, np.zeros((40, 2))], Y)[2])


def test_chance_is_the_average_over_all_pairs_of_sets():
    sets = [set(c) for c in combinations(range(6), 3)]
    exact = np.mean([len(a & b) / len(a | b) for a in sets for b in sets])
    assert chance_jaccard(7, 3) == pytest.approx(exact)
    assert chance_jaccard(4, 3) == 1


def test_overlap_is_that_of_sets_and_the_moved_item_is_found():
    z = RNG.normal(size=(60, 4))
    moved = z.copy()
    moved[17] += 100
    a, b = Codes(z, [f"item {i}" for i in range(60)]), Codes(moved, [f"item {i}" for i in range(60)])
    near = [np.argsort(np.linalg.norm(x[:, None] - x, axis=-1) + np.diag([np.inf] * 60), 1)[:, :5] for x in (z, moved)]
    known = [len(set(p) & set(q)) / len(set(p) | set(q)) for p, q in zip(*near, strict=True)]
    assert neighbour_jaccard(a, b, 5) == pytest.approx(known)
    found = compare(a, b, k=5, permutations=9, pairs_of=20)
    assert found.most_moved(1).tolist() == ["item 17"]
    assert found.jaccard.value == pytest.approx(np.mean(known))
    assert found.jaccard.baseline == chance_jaccard(60, 5)


def test_the_interval_of_the_mean_overlap_holds_it_although_neighbours_are_shared():
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(60, 3))
        found.append(mean_jaccard(Codes(x), Codes(x + 0.7 * rng.normal(size=(60, 3))), 5, rng))
    truth = np.mean([overlap.mean() for overlap, _ in found])
    assert np.mean([low < truth < high for _, (low, high) in found]) > 0.88


def test_items_in_common_are_found_by_id():
    order = RNG.permutation(40)[:30]
    found = compare(Codes(X, np.arange(40)), Codes(Y[order], order), k=3, permutations=19)
    rows = np.sort(order)
    assert found.ids.tolist() == rows.tolist()
    assert found.left_out == 10
    assert found.cka.value == pytest.approx(linear_cka(X[rows], Y[rows]))
    assert found.rsa.value == pytest.approx(spearmanr(pdist(X[rows]), pdist(Y[rows])).statistic)
    assert found.p_value == 1 / 20


def test_spaces_without_relation_are_at_chance():
    x, y = RNG.normal(size=(200, 30)), RNG.normal(size=(200, 20))
    found = compare(Codes(x), Codes(y), permutations=39)
    for value in (found.cka, found.cka_debiased, found.procrustes, found.rsa, found.jaccard):
        low, high = value.interval
        assert low - (high - low) < value.baseline < high + (high - low)
    assert found.cka.value > 0.05
    assert abs(found.cka_debiased.value) < 0.02
    assert found.p_value > 0.02


def test_codes_of_a_sphere_are_compared_on_it():
    z = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64) + torch.tensor([3.0, 0, 0]), dim=-1)
    turned = z @ torch.as_tensor(ortho_group.rvs(3, random_state=1))
    found = compare(Codes(z, manifold=Sphere()), Codes(turned, manifold=Sphere()), k=4, permutations=9, pairs_of=20)
    assert found.procrustes.value == pytest.approx(0, abs=1e-9)
    assert (found.rsa.value, found.jaccard.value) == pytest.approx((1, 1))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="11 items in common or more, got 0"):
        compare(Codes(X), Codes(Y, np.arange(100, 140)))
    with pytest.raises(ValueError, match="41 items in common or more, got 40"):
        compare(Codes(X), Codes(Y), k=40)
    with pytest.raises(ValueError, match="codes that vary, got equal ones"):
        compare(Codes(X), Codes(np.ones((40, 2))))
    with pytest.raises(ValueError, match="4 items or more"):
        debiased_cka(X[:3], Y[:3])
