"""Metric and curvature against closed forms, in float64."""

import math
import warnings

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, immersion, jet, log_volume, metric, scalar_curvature, spectrum
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian, Gaussian, Likelihood
from lsgen.nn import MLPDecoder

f64 = torch.float64


def sphere(r):
    """The n-sphere of radius r in the coordinates of a stereographic projection."""

    def fn(z):
        s = (z * z).sum(-1, keepdim=True)
        return r * torch.cat([2 * z, 1 - s], -1) / (1 + s)

    return fn


def torus(major, minor):
    def fn(z):
        u, v = z.unbind(-1)
        w = major + minor * v.cos()
        return torch.stack([w * u.cos(), w * u.sin(), minor * v.sin()], -1)

    return fn


class Halves(nn.Module):
    """Codes are themselves (mean, log sigma) of one Gaussian."""

    def forward(self, z):
        return z


def space(decoder, likelihood, d):
    return LatentSpace(decoder.to(f64), likelihood, StandardNormal(d)).eval()


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_sphere(n):
    z = torch.randn(2, 5, n, dtype=f64)
    im = Immersion(sphere(3.0), n)
    expected = (36 / (1 + (z * z).sum(-1)) ** 2)[..., None, None] * torch.eye(n, dtype=f64)
    torch.testing.assert_close(metric(im, z), expected)
    torch.testing.assert_close(log_volume(im, z), torch.linalg.slogdet(expected)[1] / 2)
    torch.testing.assert_close(
        scalar_curvature(im, z), torch.full((2, 5), n * (n - 1) / 9.0, dtype=f64), atol=1e-9, rtol=0
    )


def test_torus():
    z = torch.randn(20, 2, dtype=f64)
    im = Immersion(torus(2.0, 0.7), 2)
    v = z[:, 1]
    torch.testing.assert_close(scalar_curvature(im, z), 2 * v.cos() / (0.7 * (2 + 0.7 * v.cos())))
    eigenvalues, condition, rank = spectrum(im, z)
    expected = torch.stack([(2 + 0.7 * v.cos()) ** 2, torch.full_like(v, 0.49)], -1)
    torch.testing.assert_close(eigenvalues, expected)
    torch.testing.assert_close(condition, expected[:, 0] / expected[:, 1])
    assert (rank == 2).all()


def test_gaussian_family_is_a_hyperbolic_plane():
    z = torch.randn(10, 2, dtype=f64) * 2
    im = immersion(space(Halves(), Gaussian((1,)), 2))
    torch.testing.assert_close(scalar_curvature(im, z), -torch.ones(10, dtype=f64))
    torch.testing.assert_close(
        metric(im, z), torch.diag_embed(torch.stack([(-2 * z[:, 1]).exp(), torch.full((10,), 2.0, dtype=f64)], -1))
    )


@pytest.mark.parametrize("classes", [3, 4, 6])
def test_categorical_simplex(classes):
    def fn(z):
        return 2 * torch.exp(torch.log_softmax(nn.functional.pad(z, (0, 1)), -1) / 2)

    z = torch.randn(7, classes - 1, dtype=f64)
    expected = torch.full((7,), (classes - 1) * (classes - 2) / 4.0, dtype=f64)
    torch.testing.assert_close(scalar_curvature(Immersion(fn, classes - 1), z), expected)


def test_linear_decoder_is_flat():
    linear = nn.Linear(4, 9).double()
    z = torch.randn(3, 4, dtype=f64)
    im = immersion(space(linear, FixedGaussian((9,), sigma=0.5), 4))
    assert torch.equal(scalar_curvature(im, z), torch.zeros(3, dtype=f64))
    torch.testing.assert_close(metric(im, z), (4 * linear.weight.T @ linear.weight).expand(3, 4, 4))


def test_invariance_under_a_change_of_codes():
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 12)).double()
    matrix = torch.randn(3, 3, dtype=f64)

    def change(z):
        return torch.sinh(z) @ matrix

    z = 0.5 * torch.randn(6, 3, dtype=f64)
    before = scalar_curvature(Immersion(net, 3), change(z))
    torch.testing.assert_close(
        scalar_curvature(Immersion(lambda z: net(change(z)), 3), z), before, rtol=1e-8, atol=1e-8
    )


def test_dense_gauss_equation_in_a_signature():
    """Against the same formula with the flat space's projector written out."""
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 8)).double()
    signs = torch.tensor([-1.0] + [1.0] * 7, dtype=f64)
    with torch.no_grad():
        net[2].weight[0] *= 0.01
    z = torch.randn(5, 3, dtype=f64)
    im = Immersion(net, 3, signature=signs)
    _, j, h = jet(im, z)
    g = torch.einsum("bim,m,bjm->bij", j, signs, j)
    inverse = torch.linalg.inv(g)
    second = h - torch.einsum("bijm,m,bkm,bkl,bln->bijn", h, signs, j, inverse, j)
    riemann = torch.einsum("bikm,m,bjlm->bijkl", second, signs, second)
    riemann = riemann - riemann.transpose(-1, -2)
    torch.testing.assert_close(metric(im, z), g)
    torch.testing.assert_close(scalar_curvature(im, z), torch.einsum("bik,bjl,bijkl->b", inverse, inverse, riemann))


@pytest.mark.parametrize(
    "likelihood", [Bernoulli((6,)), FixedGaussian((6,), 0.3), Gaussian((6,))], ids=lambda x: type(x).__name__
)
def test_fisher_metric_is_the_pulled_back_information(likelihood):
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 6 * likelihood.heads)).double()
    latent = space(decoder, likelihood, 2)
    z = torch.randn(5, 2, dtype=f64)
    j = likelihood.split(jet(decoder, z).jacobian)
    information = torch.einsum("bimh,bmhk,bjmk->bij", j, likelihood.fisher(decoder(z)), j)
    torch.testing.assert_close(metric(immersion(latent), z), information)


@pytest.mark.parametrize("likelihood", [Bernoulli((6,)), Gaussian((6,))], ids=lambda x: type(x).__name__)
def test_divergence_is_the_metric_to_second_order(likelihood):
    """2 KL(p_z || p_{z + dz}) / dz^T G dz - 1 falls linearly with the step."""
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 6 * likelihood.heads)).double()
    latent = space(decoder, likelihood, 2)
    z, direction = torch.randn(2, 40, 2, dtype=f64)
    g = metric(immersion(latent), z)
    errors = []
    for step in (1e-2, 1e-3):
        dz = step * direction
        kl = torch.distributions.kl_divergence(latent.decode(z), latent.decode(z + dz))
        errors.append((2 * kl / torch.einsum("bi,bij,bj->b", dz, g, dz) - 1).abs().mean())
    assert errors[1] < 1e-2
    assert math.log10(errors[0] / errors[1]) == pytest.approx(1, abs=0.15)


def test_posterior_precision_of_a_linear_gaussian_model():
    linear = nn.Linear(3, 7).double()
    sigma = 0.4
    g = metric(immersion(space(linear, FixedGaussian((7,), sigma), 3)), torch.zeros(3, dtype=f64))
    joint = torch.eye(10, dtype=f64)
    w = linear.weight.detach()
    joint[3:, 3:] = w @ w.T + sigma**2 * torch.eye(7, dtype=f64)
    joint[3:, :3], joint[:3, 3:] = w, w.T
    covariance = joint[:3, :3] - joint[:3, 3:] @ torch.linalg.solve(joint[3:, 3:], joint[3:, :3])
    torch.testing.assert_close(torch.linalg.inv(covariance), torch.eye(3, dtype=f64) + g)


def test_expected_metric():
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 12)).double()
    latent = space(decoder, Gaussian((6,)), 2)
    z = torch.randn(5, 2, dtype=f64)
    mean, sigma = jet(lambda z: decoder(z)[:, :6], z).jacobian, jet(lambda z: decoder(z)[:, 6:].exp(), z).jacobian
    torch.testing.assert_close(metric(immersion(latent, "expected"), z), mean @ mean.mT + sigma @ sigma.mT)
    torch.testing.assert_close(metric(immersion(latent, "euclidean"), z), mean @ mean.mT)
    features = nn.Sequential(nn.Linear(6, 4), nn.Tanh()).double()
    torch.testing.assert_close(
        metric(immersion(latent, "euclidean", features=features), z),
        metric(Immersion(lambda z: features(decoder(z)[:, :6]), 2), z),
    )


@pytest.mark.parametrize("sigma", [0.1, 0.01])
def test_small_sigma_in_float32(sigma):
    decoder = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 40)).double().requires_grad_(False)
    with torch.no_grad():
        decoder[2].weight[20:] *= 0.3
        decoder[2].bias[20:] = math.log(sigma)
    z = torch.randn(16, 2)
    exact = metric(immersion(space(decoder, Gaussian((20,)), 2)), z.double())
    curvature = scalar_curvature(immersion(space(decoder, Gaussian((20,)), 2)), z.double())
    single = immersion(LatentSpace(decoder.float(), Gaussian((20,)), StandardNormal(2)).eval())
    error = torch.linalg.matrix_norm(metric(single, z) - exact) / torch.linalg.matrix_norm(exact)
    assert error.max() < 1e-6
    assert ((scalar_curvature(single, z) - curvature).abs() / (1 + curvature.abs())).max() < 1e-3


def test_saturated_probabilities_in_float32():
    """The information of p = sigmoid(h) is e^-|h| for |h| = 60, far below the rounding of p itself."""
    decoder = nn.Linear(1, 2)
    with torch.no_grad():
        decoder.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        decoder.bias.zero_()
    im = immersion(LatentSpace(decoder, Bernoulli((2,)), StandardNormal(1)).eval())
    z = torch.tensor([[60.0], [-60.0], [30.0]])
    torch.testing.assert_close(metric(im, z)[:, 0, 0], 2 * torch.exp(-z[:, 0].abs()), rtol=1e-5, atol=0)


def test_batches_are_loops_and_chunks_are_wholes():
    net = MLPDecoder(3, (1, 4, 4), hidden=(8,), activation=nn.SiLU).double().eval()
    im = immersion(LatentSpace(net, Bernoulli((1, 4, 4)), StandardNormal(3)).eval())
    z = torch.randn(2, 5, 3, dtype=f64)
    for quantity in (metric, log_volume, scalar_curvature, lambda im, z, **k: spectrum(im, z, **k).eigenvalues):
        whole = quantity(im, z)
        torch.testing.assert_close(torch.stack([torch.stack([quantity(im, p) for p in row]) for row in z]), whole)
        torch.testing.assert_close(quantity(im, z, chunk_size=3), whole)
    whole = jet(im, z)
    assert [tuple(part.shape) for part in whole] == [(2, 5, 16), (2, 5, 3, 16), (2, 5, 3, 3, 16)]
    torch.testing.assert_close(jet(im, z, chunk_size=4), whole)
    assert metric(im, z[:, :0]).shape == (2, 0, 3, 3)


def test_restriction():
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 12)).double()
    im = Immersion(net, 4)
    origin, basis, inner = torch.randn(4, dtype=f64), torch.randn(3, 4, dtype=f64), torch.randn(2, 3, dtype=f64)
    a = torch.randn(5, 2, dtype=f64)
    once = im.restrict(origin, basis)
    twice = once.restrict(torch.zeros(3, dtype=f64), inner)
    direct = Immersion(lambda a: net(origin + a @ inner @ basis), 2)
    torch.testing.assert_close(twice(a), direct(a))
    torch.testing.assert_close(metric(twice, a), metric(direct, a))
    torch.testing.assert_close(scalar_curvature(twice, a), scalar_curvature(direct, a))
    sub = im.restrict(torch.tensor([0.0, 1.0, 0.0, 2.0], dtype=f64), torch.eye(4, dtype=f64)[[0, 2]])
    z = torch.randn(5, 4, dtype=f64)
    z[:, 1], z[:, 3] = 1.0, 2.0
    torch.testing.assert_close(metric(sub, z[:, [0, 2]]), metric(im, z)[:, [0, 2]][:, :, [0, 2]])


@pytest.mark.slow
def test_gradients():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6)).double()
    im = Immersion(net, 2)
    z = torch.randn(2, 2, dtype=f64, requires_grad=True)
    for quantity in (metric, log_volume, scalar_curvature):
        assert torch.autograd.gradcheck(lambda z, q=quantity: q(im, z), z)

    def of_weights(weight, quantity):
        return quantity(
            Immersion(lambda z: torch.tanh(z @ weight) @ torch.eye(4, 6, dtype=f64) + z.sum() * 0, 2), z.detach()
        )

    weight = torch.randn(2, 4, dtype=f64, requires_grad=True)
    for quantity in (metric, log_volume):
        assert torch.autograd.gradcheck(lambda w, q=quantity: of_weights(w, q), weight)


def test_rank_deficiency_is_told_element_by_element():
    def fn(z):
        return torch.stack([z[:, 0], z[:, 1] ** 2, z[:, 0] ** 2, z[:, 1] ** 3], -1)

    z = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.5, -2.0]], dtype=f64)
    im = Immersion(fn, 2)
    assert spectrum(im, z).rank.tolist() == [2, 1, 2]
    assert spectrum(im, z).condition_number[1] == torch.inf
    assert torch.isneginf(log_volume(im, z)).tolist() == [False, True, False]
    assert torch.isnan(scalar_curvature(im, z)).tolist() == [False, True, False]


def test_a_map_that_is_not_finite_somewhere():
    z = torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=f64)
    im = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    assert torch.isfinite(scalar_curvature(im, z)).tolist() == [True, False]
    assert torch.isnan(log_volume(im, z)).tolist() == [False, True]
    assert spectrum(im, z).rank.tolist() == [2, 0]


def test_relu_is_named_once():
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4), nn.LeakyReLU(inplace=True)).double()
    z = torch.randn(3, 2, dtype=f64)
    with pytest.warns(UserWarning, match="LeakyReLU and ReLU, whose second derivative is zero almost everywhere"):
        curvature = scalar_curvature(Immersion(net, 2), z)
    assert torch.equal(curvature.nan_to_num(), torch.zeros(3, dtype=f64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scalar_curvature(Immersion(net, 2), z)
        scalar_curvature(Immersion(nn.Sequential(nn.Linear(2, 4), nn.SiLU()).double(), 2), z)


class NoEmbedding(Likelihood):
    """A family of which only the information is known."""

    def forward(self, h):
        return torch.distributions.Normal(h, 1)

    def fisher(self, h):
        return torch.ones_like(self.split(h)).unsqueeze(-1)

    def in_support(self, x):
        return torch.isfinite(x)


REFUSALS = {
    "space": (lambda s: immersion(s.decoder), TypeError, "expected a LatentSpace, got Linear"),
    "kind": (
        lambda s: immersion(s, "flat"),
        ValueError,
        'expected kind "fisher", "euclidean" or "expected", got \'flat\'',
    ),
    "features": (
        lambda s: immersion(s, features=torch.sin),
        ValueError,
        "expected features with kind \"euclidean\" only, got them with 'fisher'",
    ),
    "embedding": (
        lambda s: immersion(space(s.decoder, NoEmbedding((3,)), 2)),
        TypeError,
        "expected a likelihood with a flat embedding .a FlatLikelihood., got NoEmbedding",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call(space(nn.Linear(2, 3), FixedGaussian((3,)), 2))
