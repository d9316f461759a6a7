"""Lower bounds of distances: below exact distances and below what is found, tight where that is known."""

import math

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, geodesic, immersion, metric_field, reference
from lsgen.geometry.large import large_geodesic
from lsgen.geometry.uncertainty import Ensemble
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretisedLogisticMixture,
    FixedGaussian,
    Gaussian,
    NegativeBinomial,
    Poisson,
    mixed_likelihood,
)

f64 = torch.float64
EXACT = {name: getattr(reference, name)() for name in ("plane", "sphere", "swiss_roll", "torus")}


def space_of(likelihood, dim=2, width=16):
    raw = math.prod(likelihood.raw_shape)
    net = nn.Sequential(nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, raw), nn.Unflatten(1, likelihood.raw_shape))
    return LatentSpace(net.double().requires_grad_(False), likelihood, StandardNormal(dim)).eval()


@pytest.mark.parametrize("name", EXACT)
def test_the_bound_is_below_the_exact_distance_and_that_below_the_length(name):
    a, b = 2 + torch.rand(2, 16, 2, dtype=f64) if name == "swiss_roll" else 0.5 * torch.randn(2, 16, 2, dtype=f64)
    im, exact = EXACT[name].immersion, EXACT[name].distance(a, b)
    found = geodesic(im, a, b)
    assert (found.lower_bound > 0).all()
    assert (found.lower_bound <= exact * (1 + 1e-12)).all()
    assert (exact <= found.length * (1 + 1e-6)).all()
    torch.testing.assert_close(found.lower_bound, (im(b) - im(a)).norm(dim=-1))
    if name == "plane":
        torch.testing.assert_close(found.lower_bound, exact)
        torch.testing.assert_close(large_geodesic(im, a, b).lower_bound, exact)


@pytest.mark.slow
def test_there_is_no_bound_where_none_is_known():
    """A chord of a space with negative signs is longer than the geodesic: 2 sinh(d / 2) > d."""
    a, b = 0.5 * torch.randn(2, 4, 2, dtype=f64)
    hyperbolic = reference.hyperbolic()
    assert geodesic(Immersion(hyperbolic.immersion.fn, 2, [-1, 1, 1]), a, b).lower_bound.isnan().all()
    assert geodesic(MetricField(EXACT["sphere"].metric, 2), a, b).lower_bound.isnan().all()
    assert geodesic(metric_field(space_of(NegativeBinomial((3,)))), a, b).lower_bound.isnan().all()


def test_a_bound_may_be_given():
    surface = reference.hyperbolic()
    im = Immersion(surface.immersion.fn, 2, surface.immersion.signature, bound=surface.distance)
    a, b = 0.5 * torch.randn(2, 3, 4, 2, dtype=f64)
    found = geodesic(im, a, b)
    assert found.lower_bound.shape == (3, 4)
    torch.testing.assert_close(found.lower_bound, found.length, rtol=1e-6, atol=0)
    line = im.restrict(torch.zeros(2, dtype=f64), torch.eye(2, dtype=f64)[:1])
    ends = torch.randn(2, 4, 1, dtype=f64)
    codes = [torch.cat([x, torch.zeros_like(x)], -1) for x in ends]
    torch.testing.assert_close(line.lower_bound(*ends), surface.distance(*codes))


def test_logits_of_one_categorical_reach_their_bound():
    """The identity decoder covers an orthant of the sphere of radius 2, whose great circles are geodesics."""
    likelihood = Categorical((1,), levels=3, high=2.0)

    class Logits(nn.Module):
        def forward(self, z):
            return torch.cat([z, torch.zeros_like(z[:, :1])], -1)

    space = LatentSpace(Logits(), likelihood, StandardNormal(2)).eval()
    a, b = torch.randn(2, 16, 2, dtype=f64)
    found = geodesic(immersion(space), a, b)
    p, q = (torch.cat([z, torch.zeros_like(z[:, :1])], -1).softmax(-1) for z in (a, b))
    angle = 2 * torch.arccos((p * q).sqrt().sum(-1))
    assert found.converged.all()
    torch.testing.assert_close(found.lower_bound, angle, rtol=1e-9, atol=0)
    torch.testing.assert_close(found.length, angle, rtol=1e-6, atol=0)


LIKELIHOODS = {
    "bernoulli": Bernoulli((6,)),
    "categorical": Categorical((3,), levels=4),
    "gaussian": Gaussian((4,)),
    "poisson": Poisson((5,)),
    "logistic mixture": DiscretisedLogisticMixture((3,), levels=8, components=2),
    "mixed, one not in closed form": mixed_likelihood({"a": Gaussian((2,)), "b": DiscretisedLogisticMixture((2,), 8)}),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_bound_of_a_decoder_is_below_the_length_and_above_the_chord(name):
    likelihood = LIKELIHOODS[name]
    space = space_of(likelihood)
    im = immersion(space)
    a, b = 0.7 * torch.randn(2, 6, 2, dtype=f64)
    found = geodesic(im, a, b, 9)
    assert found.converged.any()
    assert (found.lower_bound <= found.length * (1 + 1e-6)).all()
    assert (found.lower_bound > 0.3 * found.length).all()
    torch.testing.assert_close(found.lower_bound, likelihood.distance_bound(space.decoder(a), space.decoder(b)))
    if im.signature is None:
        assert (found.lower_bound >= (im(b) - im(a)).norm(dim=-1) * (1 - 1e-12)).all()


def test_bounds_of_products_add_by_their_squares():
    parts = {"a": Gaussian((2,)), "b": DiscretisedLogisticMixture((2,), levels=8, components=1)}
    h, other = torch.randn(2, 5, 10, dtype=f64)
    whole = mixed_likelihood(parts).distance_bound(h, other)
    first = parts["a"].distance(h[:, :4], other[:, :4])
    second = parts["b"].distance_bound(h[:, 4:], other[:, 4:])
    torch.testing.assert_close(whole.square(), first.square() + second.square())
    spaces = [space_of(FixedGaussian((3,), 0.5)) for _ in range(2)]
    members = immersion(spaces[0], uncertainty=Ensemble([s.decoder for s in spaces]))
    a, b = torch.randn(2, 5, 2, dtype=f64)
    each = torch.stack([immersion(s).lower_bound(a, b) for s in spaces])
    torch.testing.assert_close(members.lower_bound(a, b), each.square().mean(0).sqrt())


@pytest.mark.slow
def test_close_codes_of_float32_have_a_bound_in_float64_or_none():
    space = space_of(Bernoulli((6,)))
    a = torch.randn(5, 2, dtype=f64).float()
    b = a + 1e-6 * torch.randn(5, 2).sign()
    exact = immersion(space).lower_bound(a.double(), b.double())
    single = LatentSpace(space.decoder.float(), space.likelihood, space.prior).eval()
    found = geodesic(immersion(single), a, b)
    torch.testing.assert_close(found.lower_bound.double(), exact, rtol=1e-3, atol=0)
    far = Immersion(lambda z: torch.cat([z, z.square().sum(-1, keepdim=True) + 100], -1), 2)
    near = geodesic(far, a.double(), a.double() + 1e-13)
    assert near.lower_bound.isnan().all(), "rounding of 1e-14 in values of 100 leaves noise for a chord of 1e-13"
    same = geodesic(immersion(single), a, a)
    assert (same.lower_bound == 0).all()
