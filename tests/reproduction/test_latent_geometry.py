"""Clusters, variances, distances and flatness of latent spaces whose geometry is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion
from lsgen.geometry.statistics import graph_distances
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian, Gaussian
from lsgen.reproduction.comparisons.retrained_distances import RetrainedDistances
from lsgen.reproduction.figures.interpolations import Interpolations
from lsgen.reproduction.figures.variance_map import VarianceMap
from lsgen.reproduction.figures.variations import Variations
from lsgen.reproduction.measures.flatness import Flatness
from lsgen.reproduction.measures.geodesic_clusters import GeodesicClusters
from lsgen.reproduction.measures.variance_growth import VarianceGrowth
from lsgen.reproduction.runs import TrainedRun


class Encoder(nn.Module):
    """Observations are codes already, times a scale."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        z = self.scale * x.flatten(1)[:, :2]
        return torch.cat([z, torch.zeros_like(z)], 1)


class Map(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, z):
        return self.fn(z)


def sphere(z):
    height, angle = z[:, 0], z[:, 1]
    return torch.stack([height.cos() * angle.cos(), height.cos() * angle.sin(), height.sin()], 1)


def run(x, fn, likelihood, label=None, scale=1.0, seed=0):
    space = EncodableLatentSpace(Encoder(scale), Map(fn), likelihood, StandardNormal(2)).eval()
    batch = {"x": x} | ({} if label is None else {"label": label})
    data = SimpleNamespace(
        dataset=lambda split: x, probe=lambda n, split="test": {name: part[:n] for name, part in batch.items()}
    )
    return TrainedRun(
        "arm", seed, SimpleNamespace(latent_space=space, parameters=space.parameters), data, {}, SimpleNamespace()
    )


def codes(n, seed=0):
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) - 0.5


def test_clusters_are_those_of_the_metric_that_is_asked_for():
    """Two rows of codes, wide apart in the image and near to each other in the coordinates."""
    x = codes(60)
    label = torch.arange(60) % 2
    x[:, 0], x[:, 1] = 4 * x[:, 0], 0.1 * x[:, 1] + 0.3 * label
    stretch = torch.tensor([0.1, 10.0])
    found = GeodesicClusters(n=100, kind="euclidean", neighbours=20, checked=8)(
        run(x, lambda z: z * stretch, FixedGaussian((2,)), label)
    ).values
    assert found["geodesic"] == found["geodesic_pairs"] == 1
    assert found["euclidean"] < 0.7
    assert found["converged"] == 1
    image = x * stretch
    exact = (image[:8] - image[8:16]).norm(dim=-1)
    by_graph = graph_distances(Immersion(lambda z: z * stretch, 2), x, 20)[range(8), range(8, 16)]
    assert found["graph_excess"] == pytest.approx(float((by_graph / exact).mean()) - 1, rel=1e-3)
    assert found["graph_excess"] > 0
    with pytest.raises(ValueError, match="expected labelled data"):
        GeodesicClusters()(run(x, lambda z: z, FixedGaussian((2,))))


def test_variance_growth_of_a_standard_deviation_of_the_radius():
    """sigma = exp |z|, codes at radii 1 and 3 about 0: exp(2 * 3) far away over exp(2) at them."""
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])

    def decoder(z):
        radius = z.norm(dim=-1, keepdim=True)
        return torch.cat([torch.zeros_like(z), radius, radius], 1)

    found = VarianceGrowth()(run(x, decoder, Gaussian((2,)))).values
    assert found["ratio"] == pytest.approx(np.exp(6 - 2), rel=1e-4)
    assert found["smallest"] == pytest.approx(np.exp(6 - 2), rel=1e-4)
    collapsed = VarianceGrowth()(run(x, decoder, Gaussian((2,)), scale=0.01)).values
    assert np.isnan([collapsed["ratio"], collapsed["smallest"]]).all()


def test_a_plane_is_flat_and_the_sphere_is_not():
    x = codes(32)
    plane = Flatness(pairs=8)(
        run(x, lambda z: z @ torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]]), FixedGaussian((3,)))
    )
    assert plane.values["straightness"] == pytest.approx(1, abs=1e-4)
    assert plane.values["curvature"] == pytest.approx(0, abs=1e-4)
    x[:, 0] += 0.9
    found = Flatness(pairs=8)(run(x, sphere, FixedGaussian((3,))))
    arcs = (sphere(x[:8]) * sphere(x[8:16])).sum(-1).clamp(max=1).arccos().numpy()
    np.testing.assert_allclose(found.arrays["geodesic"], arcs, rtol=2e-3)
    assert found.values["curvature"] == pytest.approx(arcs.mean() ** 2, rel=1e-2)
    assert found.values["straightness"] < 0.999
    assert found.values["converged"] == 1


def test_distances_under_the_metric_do_not_depend_on_coordinates():
    """Three models with one image, in coordinates of other units: their Euclidean distances are 1 : 2 : 3."""
    x, scales = codes(32), (1.0, 2.0, 3.0)
    models = [
        run(x, lambda z, scale=scale: sphere(z / scale), FixedGaussian((3,)), scale=scale, seed=seed)
        for seed, scale in enumerate(scales)
    ]
    found = RetrainedDistances(pairs=8)({"vae": models})
    assert found.values["geodesic"] == pytest.approx(0, abs=1e-3)
    assert found.values["euclidean"] == pytest.approx(0.5, rel=1e-5)
    assert found.values["pairs"] == 8
    arcs = (sphere(x[:8]) * sphere(x[8:16])).sum(-1).clamp(max=1).arccos()
    np.testing.assert_allclose(found.arrays["geodesic"], np.tile(arcs, (3, 1)), rtol=2e-3)
    with pytest.raises(ValueError, match=r"at least 2 runs, got \{'vae': 1\}"):
        RetrainedDistances(pairs=8)({"vae": models[:1]})


def test_the_figures_show_codes_and_geodesics():
    """Of a flat decoder geodesics are straight, and the density is that of a normal distribution about the mean."""
    x = codes(40)

    def decoder(z):
        return torch.cat([z, torch.zeros_like(z)], 1)

    one = run(x, decoder, Gaussian((2,)), torch.zeros(40, dtype=torch.long))
    results = SimpleNamespace(runs=lambda arm: [one])
    drawing = VarianceMap(["arm"], ["arm"], n=40, lines=2, points=5, fitted=40, density_points=9)(results)
    ax = drawing.axes[0]
    solid, dashed = ax.lines[0], ax.lines[1]
    ends = np.asarray(x[[0, 2]])
    np.testing.assert_allclose(np.asarray(dashed.get_xydata()), ends)
    np.testing.assert_allclose(np.asarray(solid.get_xydata()), np.linspace(ends[0], ends[1], 33), atol=1e-4)
    contour = ax.collections[-1].get_paths()[-1].vertices
    np.testing.assert_allclose((contour.max(0) + contour.min(0)) / 2, x.mean(0), atol=0.1)


@pytest.mark.slow
def test_interpolations_are_images_along_both_paths():
    images = torch.randn(4, 1, 2, 2)
    space = run(images, lambda z: (z @ torch.ones(2, 4)).unflatten(1, (1, 2, 2)), FixedGaussian((1, 2, 2)))
    drawing = Interpolations("arm", "euclidean", pairs=2, steps=3)(SimpleNamespace(runs=lambda arm: [space]))
    shown = [np.asarray(ax.images[0].get_array()) for ax in drawing.axes]
    assert len(shown) == 12
    ends = images.flatten(1)[:, :2].sum(-1)
    np.testing.assert_allclose(shown[0], float(ends[0]), atol=1e-5)
    np.testing.assert_allclose(shown[2], float(ends[2]), atol=1e-5)
    np.testing.assert_allclose(shown[1], float(ends[0] + ends[2]) / 2, atol=1e-5)


def test_variations_count_the_pairs():
    distances = np.array([[1.0, 2.0, 10.0], [3.0, 2.0, 30.0]])
    results = SimpleNamespace(arrays=lambda arm, metric: {None: distances if "geo" in metric else np.ones((2, 3))})
    (ax,) = Variations(["distances"], bins=4)(results).axes
    counts = [np.unique(patch.get_xy()[:, 1]).max() for patch in ax.patches]
    assert counts == [2, 3]  # sqrt(2) / 2 twice; 0 of all
    with pytest.raises(ValueError, match="expected the distances of other"):
        Variations(["other"])(SimpleNamespace(arrays=lambda arm, metric: {}))
