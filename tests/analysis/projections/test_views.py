"""Views without loss, given axes, the hyperbolic disk, neighbour embeddings and the agreement of maps."""

import pickle
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes

from lsgen.analysis.directions import Resampling, value_direction
from lsgen.analysis.projections import (
    attribute_axes,
    default_method,
    disk,
    identity,
    map_stability,
    project,
    seed_stability,
    ternary,
    tsne,
)
from lsgen.latent import Codes, PoincareBall, Sphere
from lsgen.latent.manifolds.supports import Simplex

RANDOM = np.random.default_rng(0)


def ball_codes(d, curvature=0.7, n=60):
    ball = PoincareBall(curvature)
    return Codes(ball.from_origin(torch.from_numpy(RANDOM.normal((0.7, *[0.0] * (d - 1)), size=(n, d)))), manifold=ball)


def clusters(n=30, d=5):
    return np.concatenate([RANDOM.normal(size=(n, d)), RANDOM.normal(size=(n, d)) + 12])


def test_few_coordinates_are_shown_as_they_are():
    z = RANDOM.normal(size=(9, 3))
    assert (identity(Codes(z)).coordinates == z).all()
    line = identity(Codes(z[:, :1]))
    assert (line.coordinates == np.hstack([z[:, :1], np.zeros((9, 1))])).all()
    assert line.axes == ("z 1", "")
    with pytest.raises(ValueError, match="at most 3 coordinates"):
        identity(Codes(np.eye(4)))


def test_default_methods_lose_least():
    assert default_method(Codes(np.eye(3))) == "identity"
    assert default_method(Codes(np.eye(4))) == "pca"
    assert default_method(Codes(np.eye(3), manifold=Sphere())) == "identity"
    assert default_method(Codes(np.eye(3), manifold=Simplex(3))) == "ternary"
    assert default_method(ball_codes(2)) == "disk"
    assert project(ball_codes(2)).faithfulness.trustworthiness.value > 0.85
    with pytest.raises(ValueError, match="a method out of pca, tsne"):
        project(Codes(np.eye(4)), "som")


def test_corners_of_the_triangle_are_classes_at_distance_one():
    p = RANDOM.dirichlet([1, 1, 1], size=20)
    shown = ternary(Codes(p, manifold=Simplex(3)))
    corners = shown.transform(np.eye(3))
    assert np.linalg.norm(corners - np.roll(corners, 1, 0), axis=1) == pytest.approx(np.ones(3))
    assert shown.coordinates == pytest.approx(p @ corners)
    for bad in (Codes(np.eye(4), manifold=Simplex(4)), Codes(np.eye(3))):
        with pytest.raises(ValueError, match="simplex of 3 classes"):
            ternary(bad)


def test_the_disk_of_two_dimensions_is_the_ball_and_of_more_no_two_codes_come_apart():
    codes = ball_codes(2)
    assert disk(codes).coordinates == pytest.approx(0.7**0.5 * codes.z)
    codes = ball_codes(5)
    shown = disk(codes)
    plane, ball = PoincareBall(1.0), PoincareBall(0.7)
    x, z = torch.from_numpy(shown.coordinates), codes.tensor()
    on_disk = plane.distance(x[:, None], x[None]) / 0.7**0.5
    in_ball = ball.distance(z[:, None], z[None])
    assert bool((on_disk <= in_ball + 1e-9).all())
    far = ball.from_origin(torch.tensor([[16.0, 0.1, 0, 0, 0], [0, 15.9, 0, 0, 0]], dtype=torch.float64))
    assert (np.linalg.norm(shown.transform(far), axis=1) < 1).all()
    assert pickle.loads(pickle.dumps(shown)).transform(far) == pytest.approx(shown.transform(far))
    with pytest.raises(ValueError, match="Poincare ball of 2 dimensions or more"):
        disk(Codes(np.eye(3)))


def test_codes_of_a_hyperbolic_plane_keep_their_distances_on_the_disk():
    ball = PoincareBall(1.3)
    flat = np.zeros((30, 4))
    flat[:, [1, 3]] = RANDOM.normal(size=(30, 2))
    z = ball.from_origin(torch.from_numpy(flat))
    x = torch.from_numpy(disk(Codes(z, manifold=ball)).coordinates)
    expected = ball.distance(z[:, None], z[None])
    found = PoincareBall(1.0).distance(x[:, None], x[None]) / 1.3**0.5
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)


def test_the_disk_is_precise_far_from_its_centre():
    ball = PoincareBall(1.0)
    flat = np.zeros((40, 3))
    flat[:, :2] = RANDOM.normal(size=(40, 2))
    flat[0] = [14, 9, 0]
    shown = disk(Codes(ball.from_origin(torch.from_numpy(flat)), manifold=ball))
    far = PoincareBall(1.0).distance(*torch.from_numpy(shown.coordinates[:2]))
    codes = ball.from_origin(torch.from_numpy(flat[:2]))
    assert float(far) == pytest.approx(float(ball.distance(*codes)), rel=1e-2)


def test_given_axes_are_scores_and_the_rest_is_orthogonal():
    z = RANDOM.normal(size=(50, 6)) * [1, 1, 5, 1, 1, 1]
    codes = Codes(z)
    direction = value_direction(codes, z[:, 0], name="first", resampling=Resampling(9))
    shown = attribute_axes(codes, [direction])
    assert shown.coordinates[:, 0] == pytest.approx(direction.scores(z))
    assert shown.axes == ("first", "component 1 of the rest")
    axis = shown.transform(np.vstack([np.zeros(6), np.eye(6)]))
    axis = (axis[1:] - axis[0]).T
    assert axis @ axis.T == pytest.approx(np.eye(2), abs=1e-9)
    assert abs(axis[1, 2]) > 0.7
    oblique = attribute_axes(codes, [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]])
    assert oblique.coordinates[:, 1] == pytest.approx((z - z.mean(0))[:, :2].sum(1) / 2**0.5)
    assert "cosine 0.71" in oblique.remark
    assert attribute_axes(Codes(z[:, :1]), [[1.0]]).coordinates[:, 1] == pytest.approx(0)
    with pytest.raises(ValueError, match="not all 0"):
        attribute_axes(codes, [np.zeros(6)])
    with pytest.raises(ValueError, match="1 to 3 directions"):
        attribute_axes(codes, [])


def test_tsne_separates_clusters_and_places_each_code_by_itself():
    pytest.importorskip("openTSNE")
    z = clusters()
    shown = project(Codes(z), "tsne", k=10, iterations=100, seed=1)
    assert shown.faithfulness.trustworthiness.value > 0.95
    side = shown.coordinates @ (shown.coordinates[:30].mean(0) - shown.coordinates[30:].mean(0))
    assert (np.sign(side - side.mean()) == np.repeat([1, -1], 30)).all()
    again = tsne(Codes(z), iterations=100, seed=1)
    assert (again.coordinates == shown.coordinates).all()
    others = z[[3, 40]] + 0.1
    placed = shown.transform(others)
    assert (placed[:1] == shown.transform(others[:1])).all()
    assert np.linalg.norm(placed - shown.coordinates[[3, 40]], axis=1).max() < np.ptp(shown.coordinates) / 4
    assert shown.transform(np.empty((0, 5))).shape == (0, 2)
    with pytest.raises(ValueError, match="codes of 5 coordinates"):
        shown.transform(np.zeros((1, 4)))


def test_tsne_uses_neighbours_of_the_manifold_and_takes_few_and_equal_codes():
    pytest.importorskip("openTSNE")
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = Codes(np.stack([np.cos(angles), np.sin(angles)], 1), manifold=Sphere())
    assert project(circle, "tsne", k=4, iterations=100).faithfulness.trustworthiness.value > 0.9
    assert np.isfinite(tsne(Codes(np.ones((9, 2))), 3, iterations=5).coordinates).all()
    with pytest.raises(ValueError, match="at least 8 codes for t-SNE, got 7"):
        tsne(Codes(np.ones((7, 2))))


def test_a_missing_package_is_one_sentence(monkeypatch):
    for name, method in (("openTSNE", "tsne"), ("umap", "umap")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=r"needs .*: pip install 'lsgen\[maps\]'"):
            project(Codes(np.eye(9)), method)


def test_umap_separates_clusters_and_places_codes_in_one_batch(monkeypatch):
    if find_spec("umap") is None:  # importing it would compile what numba must leave alone
        pytest.skip("umap-learn is not installed")
    import numba

    before = set(sys.modules)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # it takes longer to compile than to run
    z, threads = clusters(15), torch.get_num_threads()
    shown = project(Codes(z), "umap", k=5, neighbours=6)
    assert shown.faithfulness.trustworthiness.value > 0.85
    side = shown.coordinates @ (shown.coordinates[:15].mean(0) - shown.coordinates[15:].mean(0))
    assert (np.sign(side - side.mean()) == np.repeat([1, -1], 15)).all()
    assert not shown.exact
    assert not shown.independent
    assert "approximately" in shown.remark
    placed = shown.transform(z[[3, 20]] + 0.1)
    nearest = np.linalg.norm(placed[:, None] - shown.coordinates, axis=2).argmin(1)
    assert (nearest // 15 == [0, 1]).all()
    assert torch.get_num_threads() == threads
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("umap", "pynndescent"):
            monkeypatch.delitem(sys.modules, name)


def test_agreement_of_maps_is_that_of_procrustes():
    pytest.importorskip("openTSNE")
    x, y = RANDOM.normal(size=(40, 2)), RANDOM.normal(size=(40, 2))
    found = map_stability([x, x + y])
    assert found.agreement.value == pytest.approx(1 - procrustes(x, x + y)[2])
    assert found.agreement.interval is None
    turned = 3 * x @ np.array([[0, 1], [1, 0]]) + 5
    same = map_stability([x, turned, -x])
    assert same.agreement.value == pytest.approx(1)
    assert same.agreement.interval == pytest.approx((1, 1))
    assert same.shift_at == pytest.approx(np.zeros(40), abs=1e-7)
    unrelated = map_stability([RANDOM.normal(size=(200, 2)) for _ in range(6)])
    low, high = unrelated.agreement.interval
    assert low <= unrelated.agreement.baseline <= high + 0.02
    assert seed_stability(Codes(clusters()), "tsne", seeds=2, iterations=50).agreement.value > 0.5
    with pytest.raises(ValueError, match="depends on random numbers"):
        seed_stability(Codes(np.eye(4)), "pca")
    with pytest.raises(ValueError, match="more than one point"):
        map_stability([x, np.zeros((40, 2))])
