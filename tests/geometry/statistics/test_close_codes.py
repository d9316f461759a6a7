"""Statistics of codes that float32 can hardly tell apart, and lengths of the curves between them."""

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, curve_length, frechet_mean, geodesic, kmeans, reference
from lsgen.geometry.geodesics import curve_energy
from lsgen.geometry.statistics import land
from lsgen.geometry.statistics.clustering import nearest_centres

f64 = torch.float64
SPHERE = reference.sphere()
EPS = torch.finfo(torch.float32).eps


def shifted(offset):
    """The sphere, a long way from the origin of its codes."""
    return Immersion(lambda z: SPHERE.immersion.fn(z - offset), 2)


@pytest.mark.parametrize("route", ["immersion", "metric"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_mean_of_close_codes_is_that_of_their_coordinates(route, offset):
    """In a patch of width h the curvature moves the mean by h^2, below the rounding of a code."""
    im = shifted(offset)
    im = im if route == "immersion" else MetricField(lambda z: SPHERE.metric(z - offset), 2)
    apart = max(1e-5, 64 * EPS * offset)
    codes = 0.3 * torch.randn(2, 1, 2) + offset + apart * torch.randn(2, 5, 2)
    found, exact = frechet_mean(im, codes, points=9), codes.double().mean(1)
    assert found.converged.all()
    assert found.mean.dtype == torch.float32
    torch.testing.assert_close(found.mean.double(), exact, rtol=0, atol=EPS * (1 + offset) + 10 * apart**2)
    step = codes.double() - exact[:, None]
    variance = torch.einsum("bni,bij,bnj->b", step, SPHERE.metric(exact - offset), step) / 5
    torch.testing.assert_close(found.variance.double(), variance, rtol=1e-2, atol=0)


def test_equal_codes_are_their_mean():
    codes = torch.randn(3, 1, 2).expand(3, 4, 2)
    found = frechet_mean(SPHERE.immersion, codes, points=9)
    assert found.converged.all()
    torch.testing.assert_close(found.mean, codes[:, 0])
    assert (found.variance <= 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.0, 1e2])
@pytest.mark.parametrize("apart", [1e-4, 1e-6])
def test_twins_share_a_cluster(offset, apart):
    """Three pairs in three clusters: every centre is the middle of a pair, and all have settled."""
    places = torch.tensor([[0.0, 0.0], [0.9, 0.1], [-0.2, 0.8]]) + offset
    twins = places + max(apart, 2 * EPS * offset)
    found = kmeans(shifted(offset), torch.cat([places, twins]), 3, restarts=2, points=9)
    first, second = found.labels.view(2, 3)
    assert found.converged
    assert first.sort().values.tolist() == [0, 1, 2]
    assert (first == second).all()
    middle = (places.double() + twins.double()) / 2
    torch.testing.assert_close(found.centres[first].double(), middle, rtol=0, atol=2 * EPS * (1 + offset))


def test_equal_codes_have_one_label_and_count_as_many():
    codes = torch.tensor([[0.0, 0.0], [0.3, 0.0], [3.0, 0.0]])[torch.tensor([0, 0, 0, 1, 2, 2])]
    found = kmeans(Immersion(lambda z: z, 2), codes, 2, restarts=3, points=3)
    assert found.converged
    assert len(set(found.labels[:4].tolist())) == 1
    torch.testing.assert_close(found.centres.sort(0).values[:, 0], torch.tensor([0.075, 3.0]))
    assert found.inertia == pytest.approx(3 * 0.075**2 + 0.225**2, rel=1e-4)


def test_more_clusters_than_different_codes():
    codes = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).repeat(3, 1)
    found = kmeans(Immersion(lambda z: z, 2), codes, 4, restarts=1, points=3)
    assert found.converged
    assert found.inertia == pytest.approx(0, abs=1e-12)
    assert (found.labels.view(3, 2) == found.labels[:2]).all()


def test_distances_that_rounding_alone_tells_apart_are_ties():
    square = torch.tensor([[1.0, 1.0, 1.001, torch.inf], [1 - 2e-7, 1 + 2e-7, 1.0, torch.inf]])
    assert nearest_centres(square).tolist() == [0, 0, 1, -1]


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_a_tight_component_is_the_gaussian_of_its_codes(offset):
    apart = max(1e-5, 64 * EPS * offset)
    codes = 0.3 + offset + apart * torch.randn(10, 2)
    found = land(shifted(offset), codes, 1, restarts=1, points=5, samples=8, steps=2)
    assert found.converged
    exact = codes.double().T.cov(correction=0)
    torch.testing.assert_close(found.covariances[0].double() / exact.trace(), exact / exact.trace(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("apart", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_lengths_of_short_curves(apart, far):
    im, a = Immersion(lambda z: SPHERE.immersion.fn(z) + far, 2), 0.4 * torch.randn(6, 2)
    b = a + max(apart, 2 * EPS) * torch.tensor([0.6, -0.8])
    found = geodesic(im, a, b)
    exact = SPHERE.distance(a.double(), b.double())
    assert found.converged.all()
    torch.testing.assert_close(curve_length(im, found.points).double(), exact, rtol=1e-2, atol=0)
    torch.testing.assert_close(curve_energy(im, found.points).double(), exact**2, rtol=2e-2, atol=0)
    field = MetricField(SPHERE.metric, 2)
    torch.testing.assert_close(curve_length(field, found.points).double(), exact, rtol=1e-2, atol=0)
