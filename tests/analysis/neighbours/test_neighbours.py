"""Hubs and approximate neighbours, held against counts one by one, closed forms of chance and exact search."""

import sys

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binom, skew

from lsgen.analysis.neighbours import approximate_neighbours, hubness
from lsgen.latent import Codes, PoincareBall, Sphere
from lsgen.latent.distances import distance_on
from lsgen.latent.neighbours import nearest_neighbours

RANDOM = np.random.default_rng(0)


def test_occurrences_are_counted_and_their_skewness_is_that_of_scipy():
    z = RANDOM.normal(size=(150, 20))
    found = hubness(Codes(z), k=5)
    order = np.argsort(cdist(z, z) + np.diag(np.full(150, np.inf)), axis=1)[:, :5]
    counts = np.bincount(order.ravel(), minlength=150)
    assert (found.occurrences == counts).all()
    assert found.skewness.value == pytest.approx(skew(counts))
    assert found.orphans.value == (counts == 0).mean()
    assert counts[found.hubs(3)].tolist() == sorted(counts)[::-1][:3]


def test_chance_is_binomial_and_many_dimensions_have_hubs():
    found = hubness(Codes(RANDOM.normal(size=(600, 64))), k=10)
    law = binom(599, 10 / 599)
    assert found.skewness.baseline == pytest.approx(float(law.stats("s")))
    assert found.orphans.baseline == pytest.approx(law.pmf(0))
    assert found.skewness.interval[0] > 1.5
    assert found.orphans.interval[0] > 0.05


def test_a_ring_has_no_hubs_and_too_few_codes_are_refused():
    angles = np.arange(20) * np.pi / 10
    ring = hubness(Codes(np.stack([np.cos(angles), np.sin(angles)], 1)), k=2)
    assert np.isnan(ring.skewness.value)
    assert ring.skewness.interval is None
    assert ring.orphans.value == 0
    with pytest.raises(ValueError, match="1 to 1 neighbours of 3 codes"):
        hubness(Codes(np.eye(3)), k=2)


@pytest.mark.parametrize("on_sphere", [False, True])
def test_approximate_neighbours_have_exact_distances_and_the_recall_that_they_say(on_sphere):
    pytest.importorskip("faiss")
    z = torch.from_numpy(RANDOM.normal(size=(1500, 24)))
    manifold = Sphere() if on_sphere else None
    codes = Codes(Sphere().onto(z) if on_sphere else z, manifold=manifold)
    found = approximate_neighbours(codes, k=8, effort=8, sample=1500)
    true = nearest_neighbours(codes.tensor(), None, 8, distance_on(codes.manifold))
    shared = [
        len(set(a) & set(b)) / 8 for a, b in zip(found.neighbours.indices.tolist(), true.indices.tolist(), strict=True)
    ]
    assert found.recall.value == pytest.approx(np.mean(shared))
    assert 0.2 < found.recall.value < 1
    assert bool((found.neighbours.indices != torch.arange(1500)[:, None]).all())
    distances = codes.manifold.distance(codes.tensor()[:, None], codes.tensor()[found.neighbours.indices])
    assert found.neighbours.distances.numpy() == pytest.approx(distances.numpy(), abs=1e-9)
    better = approximate_neighbours(codes, codes.tensor()[:100] + 0.01 * (not on_sphere), k=8, effort=400)
    assert better.recall.value > found.recall.value
    assert better.neighbours.indices.shape == (100, 8)


def test_copies_do_not_spoil_the_recall_and_what_cannot_be_searched_is_refused(monkeypatch):
    pytest.importorskip("faiss")
    copies = Codes(np.repeat(RANDOM.normal(size=(30, 3)), 20, axis=0))
    assert approximate_neighbours(copies, k=5).recall.value > 0.9
    ball = Codes(0.1 * RANDOM.normal(size=(9, 2)), manifold=PoincareBall(1.0))
    with pytest.raises(ValueError, match="only an exact search"):
        approximate_neighbours(ball, k=1)
    with pytest.raises(ValueError, match="1 to 8 neighbours"):
        approximate_neighbours(Codes(np.eye(9)), k=9)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'lsgen\[faiss\]'"):
        approximate_neighbours(Codes(np.eye(9)), k=1)
