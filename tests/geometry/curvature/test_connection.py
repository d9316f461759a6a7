"""Connection and curvature tensors: closed forms on reference surfaces, identities, and two independent routes."""

import pytest
import torch
from torch import nn

from lsgen.geometry import (
    Immersion,
    MetricField,
    christoffel,
    immersion,
    log_volume,
    mean_curvature,
    metric,
    metric_field,
    reference,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    spectrum,
)
from lsgen.geometry.curvature import second_fundamental_form
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian

f64 = torch.float64
SURFACES = {
    name: getattr(reference, name)()
    for name in reference.__all__
    if name != "Surface"
}  # fmt: skip
SURFACES["sphere-3"] = reference.sphere(2.0, 3)


def codes(name, n=12):
    d = SURFACES[name].immersion.dim
    return 1 + torch.rand(n, d, dtype=f64) if name == "swiss_roll" else 0.7 * torch.randn(n, d, dtype=f64)


@pytest.mark.parametrize("name", SURFACES)
def test_reference_surfaces(name):
    surface, z = SURFACES[name], codes(name)
    im, g = surface.immersion, surface.metric(z)
    d = im.dim
    torch.testing.assert_close(metric(im, z), g)
    torch.testing.assert_close(scalar_curvature(im, z), surface.scalar(z), rtol=1e-8, atol=1e-9)
    u, v = torch.randn(2, *z.shape, dtype=f64)
    gauss = surface.scalar(z) / (d * (d - 1))
    torch.testing.assert_close(sectional_curvature(im, z, u, v), gauss, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(ricci(im, z), (d - 1) * gauss[:, None, None] * g, rtol=1e-7, atol=1e-8)
    field = MetricField(surface.metric, d)
    for quantity in (metric, log_volume, christoffel, riemann, ricci, scalar_curvature):
        torch.testing.assert_close(quantity(field, z), quantity(im, z), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(sectional_curvature(field, z, u, v), gauss, rtol=1e-7, atol=1e-8)


def test_mean_curvature_of_reference_surfaces():
    def length(name):
        surface = SURFACES[name]
        z = codes(name)
        vector = mean_curvature(surface.immersion, z).vector
        signs = 1 if surface.immersion.signature is None else surface.immersion.signature
        return z, (vector**2 * signs).sum(-1)

    for name in ("plane", "catenoid", "helicoid"):
        torch.testing.assert_close(length(name)[1], torch.zeros(12, dtype=f64))
    torch.testing.assert_close(length("sphere")[1], torch.ones(12, dtype=f64))
    torch.testing.assert_close(length("veronese")[1], torch.ones(12, dtype=f64))
    torch.testing.assert_close(length("hyperbolic")[1], -torch.ones(12, dtype=f64) / 2)
    z, square = length("torus")
    torch.testing.assert_close(square, ((2 + 2 * z[:, 1].cos()) / (2 * (2 + z[:, 1].cos()))) ** 2)
    z, square = length("swiss_roll")
    u = z[:, 0]
    torch.testing.assert_close(square, ((2 + u**2) / (2 * (1 + u**2) ** 1.5)) ** 2)
    im, z = SURFACES["sphere-3"].immersion, codes("sphere-3")
    torch.testing.assert_close(mean_curvature(im, z).vector, -im(z) / 4)


def network(d=4, m=11):
    return nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, m)).double().requires_grad_(False)


def test_identities():
    im, z = Immersion(network(), 4), torch.randn(5, 4, dtype=f64)
    r, g = riemann(im, z), metric(im, z)
    inverse = torch.linalg.inv(g)
    torch.testing.assert_close(r, -r.transpose(1, 2))
    torch.testing.assert_close(r, -r.transpose(3, 4))
    torch.testing.assert_close(r, r.permute(0, 3, 4, 1, 2))
    bianchi = r + r.permute(0, 1, 3, 4, 2) + r.permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(bianchi, torch.zeros_like(r), atol=1e-10, rtol=0)
    torch.testing.assert_close(ricci(im, z), torch.einsum("nik,nijkl->njl", inverse, r))
    torch.testing.assert_close(scalar_curvature(im, z), torch.einsum("njl,njl->n", inverse, ricci(im, z)))
    gamma = christoffel(im, z)
    torch.testing.assert_close(gamma, gamma.mT)


def test_the_connection_is_metric_compatible():
    """d_k g_ij = Gamma_i,kj + Gamma_j,ki, with the left side by differentiating the metric itself."""
    im, z = Immersion(network(), 4), torch.randn(5, 4, dtype=f64)
    dg = torch.func.vmap(torch.func.jacrev(lambda u: metric_of(im, u)))(z).movedim(-1, 1)
    lower = torch.einsum("nil,nlkj->nikj", metric(im, z), christoffel(im, z))
    torch.testing.assert_close(dg, lower.permute(0, 2, 1, 3) + lower.permute(0, 2, 3, 1))


def metric_of(im, u):
    j = torch.func.jacrev(lambda u: im.fn(u[None])[0])(u)
    return j.T @ j


def test_both_routes_agree_on_networks():
    net, z = network(), torch.randn(5, 4, dtype=f64)
    im = Immersion(net, 4)
    u, v = torch.randn(2, 5, 4, dtype=f64)
    latent = LatentSpace(net, FixedGaussian((11,)), StandardNormal(4))
    field = metric_field(latent)
    for quantity in (metric, christoffel, riemann, ricci, scalar_curvature):
        torch.testing.assert_close(quantity(field, z), quantity(im, z), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        sectional_curvature(field, z, u, v), sectional_curvature(im, z, u, v), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("likelihood", [Bernoulli((5,)), Gaussian((5,))], ids=lambda x: type(x).__name__)
def test_both_routes_agree_on_likelihoods(likelihood):
    latent = LatentSpace(network(2, 5 * likelihood.heads), likelihood, StandardNormal(2))
    z = torch.randn(5, 2, dtype=f64)
    im, field = immersion(latent), metric_field(latent)
    for quantity in (metric, christoffel, scalar_curvature, lambda im, z: spectrum(im, z).eigenvalues):
        torch.testing.assert_close(quantity(field, z), quantity(im, z), rtol=1e-7, atol=1e-8)


LAYERS = {
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(8), nn.SiLU()),
    "group norm": lambda: nn.Sequential(nn.GroupNorm(2, 8), nn.SiLU()),
    "rms norm": lambda: nn.Sequential(nn.RMSNorm(8), nn.SiLU()),
    "batch norm": lambda: nn.Sequential(nn.BatchNorm1d(8), nn.SiLU()),
    "softmax": lambda: nn.Softmax(-1),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 2, 2, padding=1), nn.SiLU(), nn.Flatten()
    ),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_both_routes_agree_on_the_layers_of_decoders(layer):
    net = nn.Sequential(nn.Linear(2, 8), layer(), nn.LazyLinear(5))
    net(torch.randn(9, 2))
    latent = LatentSpace(net, Bernoulli((5,)), StandardNormal(2)).double().eval()
    z = torch.randn(5, 2, dtype=f64)
    im, field = immersion(latent), metric_field(latent)
    for quantity in (metric, christoffel, scalar_curvature):
        torch.testing.assert_close(quantity(field, z), quantity(im, z), rtol=1e-7, atol=1e-8)


def test_second_fundamental_form_is_normal_and_gives_gauss():
    im, z = Immersion(network(), 4), torch.randn(5, 4, dtype=f64)
    second = second_fundamental_form(im, z)
    j = torch.func.vmap(torch.func.jacrev(lambda u: im.fn(u[None])[0]))(z)
    torch.testing.assert_close(
        torch.einsum("nijm,nmk->nijk", second, j), torch.zeros(5, 4, 4, 4, dtype=f64), atol=1e-9, rtol=0
    )
    product = torch.einsum("nikm,njlm->nijkl", second, second)
    torch.testing.assert_close(riemann(im, z), product - product.transpose(-1, -2))


def test_sectional_curvature_depends_on_the_plane_alone():
    im, z = Immersion(network(), 4), torch.randn(5, 4, dtype=f64)
    u, v = torch.randn(2, 5, 4, dtype=f64)
    k, r = sectional_curvature(im, z, u, v), riemann(im, z)
    torch.testing.assert_close(sectional_curvature(im, z, 2 * u - v, u + 3 * v), k)
    g = metric(im, z)
    area = torch.linalg.det(torch.einsum("nai,nij,nbj->nab", torch.stack([u, v], 1), g, torch.stack([u, v], 1)))
    torch.testing.assert_close(k, torch.einsum("nijkl,ni,nj,nk,nl->n", r, u, v, u, v) / area)
    assert torch.isnan(sectional_curvature(im, z, u, -2 * u)).all()


@pytest.mark.slow
def test_mean_curvature_within_the_statistical_manifold():
    """The family's own surface is totally geodesic in itself: nothing is left within; a flat family keeps all."""
    z = torch.randn(5, 2, dtype=f64)
    whole = mean_curvature(immersion(LatentSpace(nn.Identity(), Gaussian((1,)), StandardNormal(2))), z)
    torch.testing.assert_close(whole.within, torch.zeros_like(whole.within))
    torch.testing.assert_close((whole.vector**2 * torch.tensor([-1.0, 1, 1])).sum(-1), -torch.ones(5, dtype=f64) / 2)
    flat = mean_curvature(immersion(LatentSpace(network(2, 5), Bernoulli((5,)), StandardNormal(2))), z)
    torch.testing.assert_close(flat.within, flat.vector)
    assert flat.vector.abs().sum() > 0


def test_refusals():
    im, z = Immersion(torch.sin, 2), torch.zeros(3, 2)
    with pytest.raises(
        ValueError, match=r"expected vectors u of dtype float32 and shape \(3, 2\) like the codes, got float32 \(2,\)"
    ):
        sectional_curvature(im, z, torch.zeros(2), z)
    with pytest.raises(ValueError, match="expected finite vectors v, got values that are not"):
        sectional_curvature(im, z, z, z / 0)
    with pytest.raises(ValueError, match=r"expected a metric of shape \(3, 2, 2\), got \(3, 2\)"):
        metric(MetricField(torch.sin, 2), z)
    with pytest.raises(ValueError, match="expected a positive definite metric, got a smallest eigenvalue of -1"):
        christoffel(MetricField(lambda z: -torch.eye(2).expand(len(z), 2, 2) * (1 + 0 * z.sum()), 2), z)
    with pytest.raises(TypeError, match="expected a LatentSpace, got Linear"):
        metric_field(nn.Linear(2, 2))
