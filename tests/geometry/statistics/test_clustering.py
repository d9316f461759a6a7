"""Geodesic k-means against k-means where space is flat, and where it is not; F-measures against enumeration."""

import itertools

import pytest
import torch
from sklearn.cluster import KMeans as FlatKMeans
from sklearn.metrics import f1_score
from sklearn.metrics.cluster import pair_confusion_matrix

from lsgen.geometry import Immersion, reference
from lsgen.geometry.statistics import f_measure, kmeans

f64 = torch.float64


def test_in_flat_space_it_is_k_means_of_the_image():
    """An affine immersion: the optimum that scikit-learn finds from many starts."""
    matrix = torch.randn(2, 4, dtype=f64)
    centres = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]], dtype=f64)
    codes = (centres[:, None] + torch.randn(3, 8, 2, dtype=f64)).flatten(0, 1)
    found = kmeans(Immersion(lambda z: z @ matrix, 2), codes, 3, points=3, tol=1e-6)
    flat = FlatKMeans(3, n_init=20).fit((codes @ matrix).numpy())
    assert found.converged
    assert found.restarts.shape == (4,)
    assert found.inertia == found.restarts.min()
    assert found.inertia == pytest.approx(flat.inertia_, rel=1e-6)
    assert f_measure(found.labels, torch.as_tensor(flat.labels_).long())[:2] == (1.0, 1.0)


@pytest.mark.slow
def test_on_the_roll_distances_and_inertia_are_those_of_arcs():
    """Also with a code for every centre, whose distances are all zero."""
    u = torch.cat([torch.linspace(6.0, 7.0, 10, dtype=f64), torch.linspace(12.3, 13.3, 10, dtype=f64)])
    codes, classes = torch.stack([u, torch.zeros_like(u)], -1), torch.arange(20) // 10
    roll = reference.swiss_roll()
    found = kmeans(roll.immersion, codes, 2, restarts=2)
    assert f_measure(found.labels, classes)[:2] == (1.0, 1.0)
    arc = roll.distance(codes[:, None].expand(20, 2, 2), found.centres.expand(20, 2, 2))
    torch.testing.assert_close(found.distances, arc, rtol=1e-2, atol=1e-3)
    assert found.inertia == pytest.approx(found.distances.min(1).values.square().sum().item())
    assert found.converged
    every = kmeans(roll.immersion, codes[:3], 3, restarts=1)
    assert every.converged
    assert every.inertia == pytest.approx(0, abs=1e-12)


def test_codes_that_no_geodesic_reaches_have_no_label():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    codes = torch.tensor([[1.0, 0.0], [1.5, 0.0], [-1.0, 0.0]], dtype=f64)
    found = kmeans(torn, codes, 1, restarts=1, max_iterations=3, generator=torch.Generator().manual_seed(0))
    side = found.centres[0, 0] > 0
    assert ((found.labels < 0) == ((codes[:, 0] > 0) != side)).all()
    assert torch.isinf(found.distances[found.labels < 0]).all()
    assert found.inertia == float("inf")


@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_f_measures_against_enumeration(clusters):
    labels, classes = torch.randint(clusters, (40,)), torch.randint(3, (40,))
    found = f_measure(labels, classes)
    (_, fp), (fn, tp) = pair_confusion_matrix(classes.numpy(), labels.numpy())
    assert found.pairs == pytest.approx(2 * tp / (2 * tp + fp + fn))
    size = max(clusters, 3)
    best = 0.0
    for names in itertools.permutations(range(size), clusters):
        renamed = torch.tensor(names)[labels]
        best = max(best, f1_score(classes.numpy(), renamed.numpy(), average="macro", labels=range(3), zero_division=0))
    assert found.macro == pytest.approx(best)


def test_f_measures_do_not_depend_on_names_and_know_their_extremes():
    classes = torch.arange(12) % 3
    assert f_measure(5 - classes, classes)[:2] == (1.0, 1.0)
    assert f_measure(5 - classes, classes).assignment.tolist() == [5, 4, 3]
    alone = f_measure(torch.full((12,), -1), classes)
    assert alone.pairs == 0
    assert alone.macro == pytest.approx(2 / 5)


REFUSALS = {
    "clusters": (lambda im, z: kmeans(im, z, 4), "expected a number of clusters from 1 to 3, got 4"),
    "codes": (lambda im, z: kmeans(im, z[None], 1), r"expected codes \(n, 2\), got \(1, 3, 2\)"),
    "restarts": (lambda im, z: kmeans(im, z, 1, restarts=0), "expected at least 1 restart, got 0"),
    "labels": (
        lambda im, z: f_measure(z[:, 0], z[:, 0]),
        r"expected labels \(n,\) of integers, got torch.float32 \(3,\)",
    ),
    "lengths": (
        lambda im, z: f_measure(torch.arange(3), torch.arange(4)),
        "expected as many labels as classes, got 3 and 4",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, sentence = REFUSALS[name]
    with pytest.raises(ValueError, match=sentence):
        call(Immersion(torch.sin, 2), torch.zeros(3, 2))
