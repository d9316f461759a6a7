"""Faithfulness of a map, held against scikit-learn, ranks by sorting and closed forms of chance."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.manifold import trustworthiness

from lsgen.analysis.projections import measure_faithfulness, pca
from lsgen.latent import Codes, PoincareBall, Sphere
from lsgen.latent.manifolds.supports import Simplex

RANDOM = np.random.default_rng(0)


def faithfulness_of(z, x, k, **options):
    return measure_faithfulness(z if isinstance(z, Codes) else Codes(z), x, k, **options)


@pytest.mark.parametrize(("n", "k"), [(3, 1), (60, 7), (61, 30), (200, 15)])
def test_it_is_that_of_scikit_learn(n, k):
    z = RANDOM.normal(size=(n, 6))
    found = faithfulness_of(z, z[:, :2], k)
    assert found.trustworthiness.value == pytest.approx(trustworthiness(z, z[:, :2], n_neighbors=k), abs=1e-12)
    assert found.continuity.value == pytest.approx(trustworthiness(z[:, :2], z, n_neighbors=k), abs=1e-12)
    assert found.trustworthiness_at.mean() == pytest.approx(found.trustworthiness.value)


def test_overlap_and_correlations_at_every_code_are_those_of_sorted_distances():
    z = RANDOM.normal(size=(80, 5))
    x, k = z[:, :2], 6
    found = faithfulness_of(z, x, k)
    high, low = cdist(z, z), cdist(x, x)
    near = [np.argsort(d, axis=1)[:, 1 : k + 1] for d in (high, low)]
    shared = [len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)]
    assert found.overlap_at == pytest.approx(shared)
    assert found.overlap.value == pytest.approx(np.mean(shared))
    others = [spearmanr(np.delete(high[i], i), np.delete(low[i], i)).statistic for i in range(80)]
    assert found.distances_at == pytest.approx(others, abs=1e-9)
    pairs = np.triu_indices(80, 1)
    assert found.distances.value == pytest.approx(spearmanr(high[pairs], low[pairs]).statistic, abs=1e-9)


@pytest.mark.parametrize("manifold", [PoincareBall(0.5), Sphere(), Simplex(4)])
def test_neighbours_are_those_of_the_manifold(manifold):
    raw = torch.from_numpy(RANDOM.normal(size=(60, 4)))
    z = manifold.parametrised(1.5 * raw)
    found = faithfulness_of(Codes(z, manifold=manifold), z[:, :2], 5)
    if isinstance(manifold, Simplex):
        distances = 2 * torch.arccos((z.sqrt() @ z.sqrt().T).clamp(max=1)).fill_diagonal_(0)
    else:
        distances = manifold.distance(z[:, None], z[None]).fill_diagonal_(0)
    expected = trustworthiness(distances.numpy(), z[:, :2].numpy(), n_neighbors=5, metric="precomputed")
    assert found.trustworthiness.value == pytest.approx(expected, abs=1e-12)


def test_a_map_that_knows_nothing_is_at_the_baseline():
    z, x = RANDOM.normal(size=(400, 5)), RANDOM.normal(size=(400, 2))
    found = faithfulness_of(z, x, 10)
    for statistic in (found.trustworthiness, found.continuity, found.overlap):
        assert statistic.value == pytest.approx(statistic.baseline, abs=4 * (statistic.interval[1] - statistic.value))
    assert found.overlap.baseline == pytest.approx(10 / 399)
    assert found.distances.interval[0] < 0 < found.distances.interval[1]


def test_a_map_that_keeps_all_is_perfect_and_a_sample_of_codes_estimates_all():
    z = RANDOM.normal(size=(300, 2))
    kept = faithfulness_of(z, 3 * z + 7, 10)
    assert (kept.trustworthiness.value, kept.continuity.value, kept.overlap.value) == (1, 1, 1)
    assert kept.distances.value == pytest.approx(1)
    x = RANDOM.normal(size=(300, 2)) + z
    whole, part = faithfulness_of(z, x, 10), faithfulness_of(z, x, 10, points=100, seed=3)
    measured = np.isfinite(part.trustworthiness_at)
    assert measured.sum() == 100
    assert part.trustworthiness_at[measured] == pytest.approx(whole.trustworthiness_at[measured], abs=1e-12)
    assert part.overlap_at[measured] == pytest.approx(whole.overlap_at[measured])
    assert part.overlap.seed == 3
    assert whole.overlap.seed is None


def test_ties_are_in_favour_of_the_map():
    z = np.repeat(RANDOM.normal(size=(5, 3)), 20, axis=0)
    jittered = z[:, :2] + 1e-6 * RANDOM.normal(size=(100, 2))
    found = faithfulness_of(z, jittered, 10)
    assert found.trustworthiness.value == found.overlap.value == 1
    part = faithfulness_of(z, jittered, 10, points=50)
    assert part.overlap.value == 1
    constant = faithfulness_of(np.ones((9, 2)), np.zeros((9, 2)), 3)
    assert constant.trustworthiness.value == 1
    assert np.isnan(constant.distances.value)
    assert np.isnan(constant.distances_at).all()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="expected at least 3 codes"):
        measure_faithfulness(Codes(np.eye(2)), np.eye(2))
    with pytest.raises(ValueError, match="expected 1 to 4 neighbours of 10 codes"):
        measure_faithfulness(Codes(np.zeros((10, 2))), np.zeros((10, 2)), 5)
    with pytest.raises(ValueError, match="expected finite coordinates of 3 codes"):
        measure_faithfulness(Codes(np.eye(3)), np.full((3, 2), np.nan))
    z = RANDOM.normal(size=(8, 4))
    assert pca(Codes(z)).measured(Codes(z)).faithfulness.k == 3
    assert pca(Codes(z[:2])).measured(Codes(z[:2])).faithfulness is None
