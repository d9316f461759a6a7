"""Directions of noise in which the middle of a U-Net changes fastest."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lsgen.callbacks import LatentTraversal, TraversalFigures
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.geometry import immersion
from lsgen.geometry.curvature import fills_flat_space
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models.diffusion import Denoiser, Diffusion, Guidance, LinearLogSNR
from lsgen.models.diffusion.bottleneck import bottleneck_immersion
from lsgen.models.diffusion.samplers import DDIM
from lsgen.models.gan import pullback
from lsgen.nn import MLPDenoiser, UNet

f64 = torch.float64


def _space(net=None):
    torch.manual_seed(0)
    net = UNet((1, 4, 4), channels=(8, 8)) if net is None else net
    for weights in net.parameters():  # the last layers begin at zero
        weights.data += 0.1 * torch.randn_like(weights)
    return Diffusion(Denoiser(net, LinearLogSNR()), sampler=DDIM(4)).latent_space.double().eval()


def test_the_map_is_that_of_the_network_and_its_metric_is_not_flat():
    space, z = _space(), torch.randn(3, 16, dtype=f64)
    denoiser = space.decoder.denoiser
    x = z.unflatten(1, (1, 4, 4)) * torch.sigmoid(torch.tensor(10.0, dtype=f64)).sqrt()
    alpha, spread = torch.sigmoid(torch.tensor(-10.0, dtype=f64)).sqrt(), torch.tensor(10.0, dtype=f64).exp() + 0.25
    expected = denoiser.net.bottleneck(x / alpha / spread.sqrt(), torch.full((3,), 10 / 8, dtype=f64))
    im = bottleneck_immersion(space)
    torch.testing.assert_close(im(z), expected)
    assert not fills_flat_space(im, z)
    later = bottleneck_immersion(space, 0.0)
    assert (later(z) - expected).norm() > 1e-3


def test_features_are_those_of_the_class_that_is_decoded():
    space, z = _space(UNet((1, 4, 4), 3, channels=(8, 8))), torch.randn(2, 16, dtype=f64)
    denoiser, node = space.decoder.denoiser, DDIM(4).nodes(LinearLogSNR())[0]
    x, level = node.sigma * z.unflatten(1, (1, 4, 4)), z.new_full((2,), node.log_snr)
    none = bottleneck_immersion(space)(z)
    space.decoder.guidance = Guidance(label=1)
    told = bottleneck_immersion(space)(z)
    torch.testing.assert_close(none, denoiser.bottleneck(x, level))
    torch.testing.assert_close(told, denoiser.bottleneck(x, level, torch.tensor([1, 1])))
    assert (told - none).norm() > 1e-3


def test_many_dimensions_go_by_products_with_the_metric():
    """A linear map has the singular vectors of its matrix, whatever the codes are."""
    torch.manual_seed(0)
    matrix = torch.randn(40, 150, dtype=f64) * torch.linspace(3, 0.1, 40, dtype=f64)[:, None]
    layer = nn.Linear(150, 40).double()
    layer.weight.data.copy_(matrix)
    space = LatentSpace(layer, FixedGaussian((40,)), StandardNormal(150)).double().eval()
    found = pullback(space, lambda space: immersion(space, "euclidean"), k=3, n=4)
    _, values, vectors = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close((found.vectors @ vectors[:3].T).abs(), torch.eye(3, dtype=f64), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.scales, values[:3], rtol=1e-6, atol=0)


@pytest.mark.slow
def test_the_traversal_follows_them(tmp_path):
    space = _space()
    directions = partial(pullback, immersion=bottleneck_immersion, k=2, n=2)
    figures = TraversalFigures(frames=2, plane_points=2, pairs=1, path_points=2, kl_probes=2, max_axes=2)
    callback = LatentTraversal(points=2, anchors=1, directions=directions, figures=figures)
    sink = Sink(tmp_path, 1, [])
    callback.run(space, Probe(torch.rand(2, 1, 4, 4)), sink)
    sink.close()
    (file,) = (tmp_path / "figures" / "traversal" / "directions").glob("*.npz")
    vectors = np.load(file)["vectors"]
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(2), atol=1e-6)


def test_what_has_no_bottleneck_is_refused():
    with pytest.raises(TypeError, match="expected a network with a bottleneck"):
        bottleneck_immersion(_space(MLPDenoiser((1, 4, 4), hidden=(4,))))
    with pytest.raises(TypeError, match="latent space of a diffusion model, got LatentSpace"):
        bottleneck_immersion(LatentSpace(nn.Linear(2, 3), FixedGaussian((3,)), StandardNormal(2)))
    with pytest.raises(ValueError, match="where the sampler begins"):
        bottleneck_immersion(_space(), -20.0)
