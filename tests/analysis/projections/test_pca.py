"""Principal components, held against scikit-learn and closed forms on manifolds."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from lsgen.analysis.projections import Projection, pca
from lsgen.analysis.tangents import tangent_space
from lsgen.latent import Codes, PoincareBall, Sphere
from lsgen.latent.manifolds.manifold import Euclidean
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Codebook, Simplex

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("dims", [2, 3])
def test_it_is_that_of_scikit_learn(dims):
    z = (RANDOM.normal(size=(50, 6)) @ RANDOM.normal(size=(6, 6))).astype(np.float32)
    found, model = pca(Codes(z), dims), PCA(dims).fit(z.astype(float))
    signs = np.sign((found.coordinates * model.transform(z)).sum(0))
    assert found.coordinates == pytest.approx(signs * model.transform(z), abs=1e-5)
    assert found.settings["shares"] == pytest.approx(model.explained_variance_ratio_)
    others = RANDOM.normal(size=(4, 6))
    assert found.transform(others) == pytest.approx(signs * model.transform(others), abs=1e-5)
    assert found.transform(z) == pytest.approx(found.coordinates, abs=1e-12)
    assert found.exact


@pytest.mark.parametrize("manifold", [PoincareBall(2.0), Sphere()])
def test_codes_of_one_geodesic_have_one_component_that_keeps_distances(manifold):
    start = manifold.onto(torch.tensor([[0.3, 0.2, -0.1, 0.4]], dtype=torch.float64))
    v = manifold.direction(start, torch.tensor([[0.0, 1, 0, 0]], dtype=torch.float64))
    times = torch.linspace(-0.7, 1.3, 21, dtype=torch.float64)[:, None]
    codes = Codes(manifold.exp(start, times * v), manifold=manifold)
    found = pca(codes)
    assert found.settings["shares"][0] == pytest.approx(1)
    centred = np.abs(found.coordinates[:, 0])
    assert centred == pytest.approx((times[:, 0] - 0.3).abs().numpy(), abs=1e-7)
    assert "Frechet mean" in found.remark


@pytest.mark.parametrize(
    "manifold", [Euclidean(), PoincareBall(0.7), Sphere(), Simplex(4), side_by_side([Euclidean(), Sphere()], [2, 2])]
)
def test_tangent_vectors_have_the_lengths_of_geodesics_and_lead_back(manifold):
    z = manifold.parametrised(torch.from_numpy(RANDOM.normal((1, 0, 1, 0), size=(30, 4))))
    codes = Codes(z, manifold=manifold)
    space = tangent_space(codes)
    v = space.vectors(codes.z)
    assert np.abs(v.mean(0)).max() < 1e-7
    assert space.codes(v) == pytest.approx(codes.z, abs=1e-7)
    base = torch.from_numpy(space.codes(np.zeros((1, 4))))
    if isinstance(manifold, Simplex):
        lengths = 2 * torch.arccos((z.sqrt() * base.sqrt()).sum(-1))
    else:
        lengths = manifold.distance(base.expand_as(z), z)
    assert np.linalg.norm(v, axis=1) == pytest.approx(lengths.numpy(), abs=1e-7)


def test_few_codes_and_few_dimensions():
    line = pca(Codes(np.arange(5.0)[:, None]), 3)
    assert line.coordinates == pytest.approx(np.array([[-2, 0, 0], [-1, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0]]))
    for z in (np.ones((1, 3)), np.full((2, 3), 0.1), np.full((6, 3), 1e200)):
        assert (pca(Codes(z)).coordinates == 0).all()
        assert pca(Codes(z)).axes == ("component 1 (0%)", "component 2 (0%)")
    with pytest.raises(ValueError, match="at least one code"):
        pca(Codes(np.empty((0, 3))))
    with pytest.raises(ValueError, match="2 or 3 dimensions"):
        pca(Codes(np.eye(3)), 4)


def test_codes_opposite_to_their_mean_are_refused_and_isolated_points_taken_as_they_are():
    poles = np.eye(3)[[0, 0, 0, 1, 2]] * [[1], [1], [-1], [1], [1]]
    with pytest.raises(ValueError, match="opposite one in row 2"):
        tangent_space(Codes(np.array([[1.0, 0], [1, 0], [-1, 0]]), manifold=Sphere())).vectors(
            [[1, 0], [1, 0], [-1, 0]]
        )
    assert np.isfinite(pca(Codes(poles, manifold=Sphere())).coordinates).all()
    entries = torch.eye(3)
    found = pca(Codes(entries[[0, 1, 2, 2]], manifold=Codebook(entries, 1)))
    assert "isolated points" in found.remark


def test_a_projection_refuses_what_is_none():
    with pytest.raises(ValueError, match="expected coordinates"):
        Projection("pca", np.zeros((3, 4)), ("a",) * 4)
    with pytest.raises(TypeError, match="which does not"):
        Projection("pca", np.zeros((3, 2)), ("a", "b")).transform(np.zeros((1, 2)))
    found = pca(Codes(np.eye(3)))
    with pytest.raises(ValueError, match="finite codes"):
        found.transform([[np.nan, 0, 0]])
    with pytest.raises(ValueError, match="codes of 3 coordinates"):
        found.transform(np.zeros((1, 4)))
