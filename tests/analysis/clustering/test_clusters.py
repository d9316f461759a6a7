"""Clusters, held against mixtures that are known, scikit-learn and codes without any."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture

from lsgen.analysis.clustering import find_clusters
from lsgen.analysis.clustering.algorithms import ALGORITHMS
from lsgen.latent import Codes, PoincareBall, Sphere
from lsgen.latent.manifolds.supports import Codebook, Simplex

RANDOM = np.random.default_rng(0)
SIZES = [40, 30, 20]
TRUTH = np.repeat([0, 1, 2], SIZES)


def three(scale=0.3, d=4):
    centres = 4 * np.eye(3, d)
    return centres[TRUTH] + scale * RANDOM.normal(size=(90, d))


@pytest.mark.parametrize("method", ALGORITHMS)
def test_three_clusters_are_found_and_are_stable(method):
    found = find_clusters(Codes(three()), method, draws=3, most=5)
    assert adjusted_rand_score(TRUTH, found.labels) > 0.95
    assert found.k == 3
    assert found.sizes.tolist() == sorted(found.sizes.tolist())[::-1]
    assert found.silhouette.value > 0.7
    assert found.stability.value > 0.9
    assert (found.stability.n, found.seed) == (3, 0)
    for cluster, rows in enumerate(found.exemplars):
        assert (found.labels[rows] == cluster).all()
    assert found.criterion == {"gmm": "BIC", "hdbscan": ""}.get(method, "silhouette")
    assert list(found.scores) == ([] if method == "hdbscan" else [2, 3, 4, 5])


def test_silhouette_is_that_of_scikit_learn_and_the_exemplar_is_the_medoid():
    z = three(1.5)
    found = find_clusters(Codes(z), k=3, draws=0)
    assert found.silhouette.value == pytest.approx(silhouette_score(z, found.labels))
    assert np.isnan(found.stability.value)
    for cluster, rows in enumerate(found.exemplars):
        own = np.flatnonzero(found.labels == cluster)
        lengths = np.linalg.norm(z[own][:, None] - z[own], axis=2).sum(1)
        assert rows[0] == own[lengths.argmin()]


def test_codes_without_clusters_are_unstable():
    z = RANDOM.normal(size=(200, 8))
    found = find_clusters(Codes(z), k=5, draws=6)
    assert found.stability.value < 0.5
    assert found.silhouette.value < 0.25
    mixtures = find_clusters(Codes(z), "gmm", draws=0, most=3)
    assert mixtures.scores[2] < mixtures.scores[3]
    scaled = (z - z.mean(0)) / np.sqrt(np.square(z - z.mean(0)).mean())
    model = GaussianMixture(2, n_init=2, max_iter=300, random_state=0).fit(scaled)
    assert mixtures.scores[2] == pytest.approx(model.bic(scaled))
    assert "most that were tried" in find_clusters(Codes(three()), draws=0, most=2).remark
    dense = find_clusters(Codes(z), "hdbscan", draws=0)
    assert dense.k <= 2
    assert dense.unassigned > 0.3 or dense.k == 0


@pytest.mark.parametrize("manifold", [Sphere(), PoincareBall(1.0), Simplex(4)])
@pytest.mark.parametrize("method", ["frechet", "hdbscan", "kmeans"])
def test_clusters_on_a_manifold_are_those_of_its_distance(manifold, method):
    raw = torch.from_numpy(three())
    if isinstance(manifold, PoincareBall):
        z = manifold.from_origin(raw)  # their distance from the centre is 4: near the rim, and close in flat distance
    else:
        z = manifold.parametrised(raw)
    found = find_clusters(Codes(z, manifold=manifold), method, None if method == "hdbscan" else 3, draws=2)
    assert adjusted_rand_score(TRUTH, found.labels) > 0.95
    assert found.stability.value > 0.9
    assert type(manifold).__name__ in found.remark


def test_spherical_clusters_are_those_of_directions():
    z = three(0.2) * RANDOM.uniform(0.1, 9, size=(90, 1))
    assert adjusted_rand_score(TRUTH, find_clusters(Codes(z), "spherical", 3, draws=0).labels) > 0.95
    assert adjusted_rand_score(TRUTH, find_clusters(Codes(z), "kmeans", 3, draws=0).labels) < 0.9
    with pytest.raises(ValueError, match="got a zero vector"):
        find_clusters(Codes(np.vstack([np.zeros(2), np.eye(2)])), "spherical", 2)


def test_few_equal_and_isolated_codes():
    copies = Codes(np.repeat(np.eye(3), 10, axis=0))
    for method in ("kmeans", "frechet", "spherical", "gmm"):
        found = find_clusters(copies, method, 3, draws=2)
        assert adjusted_rand_score(np.repeat(np.arange(3), 10), found.labels) == 1
    assert find_clusters(copies, draws=0).k == 2
    line = find_clusters(Codes(np.r_[np.zeros(9), np.ones(9), 9.0][:, None]), draws=0, most=3)
    assert line.k in (2, 3)
    one = find_clusters(Codes(three()), k=1, draws=1)
    assert np.isnan(one.silhouette.value)
    entries = torch.eye(3)
    words = Codes(entries[[0, 1, 2] * 8], manifold=Codebook(entries, 1))
    assert find_clusters(words, "kmeans", 3, draws=0).k == 3
    for codes, options in [
        (Codes(np.ones((9, 2))), {}),
        (Codes(np.eye(2)), {}),
        (copies, {"k": 4}),
        (copies, {"method": "hdbscan", "k": 2}),
    ]:
        with pytest.raises(ValueError, match="at least 3 different codes"):
            find_clusters(codes, **options)
    with pytest.raises(ValueError, match="a method out of kmeans"):
        find_clusters(copies, "ward")
    with pytest.raises(ValueError, match="at least 5 codes, as many as the smallest cluster"):
        find_clusters(Codes(np.eye(4)), "hdbscan")
    with pytest.raises(ValueError, match="for hdbscan alone"):
        find_clusters(copies, least=5)
