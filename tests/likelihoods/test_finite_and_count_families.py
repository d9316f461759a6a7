"""Families of finitely many outcomes, and of counts: closed forms, saturation, the range of single precision."""

import numpy
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from lsgen.likelihoods import (
    Categorical,
    DiscretisedLogisticMixture,
    FixedNegativeBinomial,
    NegativeBinomial,
    Poisson,
)


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def test_categorical_distance_is_that_of_the_sphere() -> None:
    likelihood, h, other = Categorical((2,), levels=7), _normal(30, 14), _normal(30, 14)
    p, q = (x.unflatten(1, (7, 2)).softmax(1) for x in (h, other))
    arcs = 2 * torch.arccos((p * q).sqrt().sum(1))
    torch.testing.assert_close(likelihood.distance(h, other), arcs.square().sum(1).sqrt())
    corner = torch.tensor([[40.0, -40.0, -40.0], [-40.0, 40.0, -40.0]])
    far = Categorical((1,), levels=3).distance(corner[:1], corner[1:])
    torch.testing.assert_close(far, torch.tensor([torch.pi]))


def test_categorical_geometry_survives_saturation_in_single_precision() -> None:
    likelihood = Categorical((1,), levels=4)
    h = torch.tensor([[200.0, -90.0, 0.0, 3.0], [15.0, 0.0, -1.0, -15.0]])
    jacobian = torch.func.vmap(torch.func.jacrev(lambda a: likelihood.embed(a[None])[0]))(h)
    assert bool(torch.isfinite(jacobian).all())
    exact = likelihood.fisher(h.double())[:, 0]
    torch.testing.assert_close((jacobian.mT @ jacobian).double(), exact, rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(likelihood.fisher(h)[:, 0].double(), exact, rtol=1e-5, atol=1e-38)
    assert bool((exact.sum(-1).abs() < 1e-12).all())


def test_categorical_levels_are_grey_values_or_class_numbers() -> None:
    grey, classes = Categorical((3,), levels=256), Categorical((3,), levels=10, high=9)
    grey.validate(torch.arange(3.0)[None] * torch.tensor(1 / 255))
    classes.validate(torch.tensor([[0.0, 4.0, 9.0]]))
    h = _normal(1, 30)
    x = torch.tensor([[2.0, 0.0, 9.0]])
    by_hand = sum(h.reshape(10, 3).log_softmax(0)[int(k), n] for n, k in enumerate(x[0]))
    torch.testing.assert_close(classes(h).log_prob(x), by_hand[None])
    for wrong in (torch.tensor([[0.5, 1.0, 2.0]]), torch.tensor([[0.0, 1.0, 10.0]])):
        with pytest.raises(ValueError, match="one of 10 equidistant levels from 0 to 9"):
            classes.validate(wrong)
    with pytest.raises(ValueError, match="expected at least 2 levels, got 1"):
        Categorical((3,), levels=1)
    with pytest.raises(ValueError, match="expected a last level high > 0, got 0"):
        Categorical((3,), high=0)


def _mixture_by_cdf(h: Tensor, levels: int, components: int) -> Tensor:
    logits, means, log_scales = h.reshape(3, components)
    edges = torch.arange(levels + 1, dtype=h.dtype) * 2 / (levels - 1) - 1 - 1 / (levels - 1)
    cdf = torch.sigmoid((edges[:, None] - means) / log_scales.exp())
    cdf[0], cdf[-1] = 0, 1
    return cdf.diff(dim=0) @ logits.softmax(0)


def test_discretised_mixture_is_the_difference_of_its_distribution_function() -> None:
    likelihood, h = DiscretisedLogisticMixture((1,), levels=256, components=3), _normal(1, 9)
    p = likelihood(h).log_prob(torch.arange(256)[:, None] / 255).exp()
    torch.testing.assert_close(p, _mixture_by_cdf(h, 256, 3), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(likelihood.embed(h)[0], 2 * p.sqrt())


@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, -40.0), (80.0, -3.0), (-80.0, -7.0), (0.3, 30.0), (0.0, 0.0)])
def test_discretised_mixture_is_finite_and_sums_to_one_everywhere(mean: float, log_scale: float) -> None:
    likelihood = DiscretisedLogisticMixture((1,), components=2)
    h = torch.tensor([[0.0, 1.0, mean, mean / 2, log_scale, log_scale]], requires_grad=True)
    log_p = likelihood(h).log_prob(torch.arange(256)[:, None] / 255)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=2e-5)
    (gradient,) = torch.autograd.grad(log_p.clamp(min=-1e30).sum(), h)
    assert bool(torch.isfinite(log_p).all() & torch.isfinite(gradient).all())
    assert bool(torch.isfinite(likelihood.fisher(h)).all())


def test_discretised_mixture_refuses_no_component() -> None:
    with pytest.raises(ValueError, match="expected at least 1 component, got 0"):
        DiscretisedLogisticMixture((1,), components=0)


def test_count_probabilities_are_those_of_scipy() -> None:
    x = torch.arange(40, dtype=torch.float64)[:, None]
    h, log_r = _normal(1, 1), _normal(1, 1)
    mean, r = h.exp().item(), log_r.exp().item()
    torch.testing.assert_close(Poisson((1,))(h).log_prob(x).numpy(), stats.poisson.logpmf(x[:, 0], mean))
    expected = stats.nbinom.logpmf(x[:, 0], r, r / (r + mean))
    torch.testing.assert_close(NegativeBinomial((1,))(torch.cat([h, log_r], 1)).log_prob(x).numpy(), expected)
    torch.testing.assert_close(FixedNegativeBinomial((1,), r)(h).log_prob(x).numpy(), expected)
    assert NegativeBinomial((1,))(torch.cat([h, log_r], 1)).variance.item() == pytest.approx(mean + mean**2 / r)


def test_poisson_is_finite_where_its_rate_underflows() -> None:
    p = Poisson((1,))(torch.tensor([[-300.0]]))
    torch.testing.assert_close(p.log_prob(torch.tensor([[2.0]])), torch.tensor([-600.0 - numpy.log(2)]).float())
    assert bool((p.sample((5,)) == 0).all())


@pytest.mark.parametrize(
    "likelihood", [Poisson((1,)), FixedNegativeBinomial((1,), 3.0)], ids=lambda x: type(x).__name__
)
def test_distances_of_counts_keep_small_and_large_ones(likelihood) -> None:
    a = torch.tensor([[-80.0], [-30.0], [0.0], [3.0], [30.0]])
    b = torch.tensor([[-81.0], [-30.001], [1e-5], [3.001], [-30.0]])
    exact = (likelihood.embed(a.double()) - likelihood.embed(b.double())).abs()[:, 0]
    torch.testing.assert_close(likelihood.distance(a, b).double(), exact, rtol=2e-6, atol=0)


@pytest.mark.parametrize(("mean", "r"), [(1.0, 1.0), (10.0, 5.0), (0.01, 2.0), (60.0, 0.1), (2.0, 30.0), (1e-3, 0.05)])
def test_information_about_the_dispersion_is_the_sum_over_counts(mean: float, r: float) -> None:
    k = numpy.arange(200_000)
    tail = stats.nbinom.sf(k[:30_000], r, r / (r + mean))
    exact = r**2 * ((tail / (r + k[:30_000]) ** 2).sum() - mean / (r * (r + mean)))
    h = torch.tensor([[mean, r]], dtype=torch.float64).log()
    fisher = NegativeBinomial((1,)).fisher(h)[0, 0]
    assert fisher[1, 1].item() == pytest.approx(exact, rel=1e-7)
    assert fisher[0, 0].item() == pytest.approx(1 / (1 / mean + 1 / r), rel=1e-12)
    single = NegativeBinomial((1,)).fisher(h.float())[0, 0]
    torch.testing.assert_close(single.double(), fisher, rtol=1e-5, atol=0)


def test_negative_binomial_tends_to_poisson() -> None:
    h = _normal(5, 3)
    torch.testing.assert_close(FixedNegativeBinomial((3,), 1e9).embed(h), Poisson((3,)).embed(h), rtol=1e-7, atol=0)
    with pytest.raises(ValueError, match="expected a dispersion r > 0, got 0"):
        FixedNegativeBinomial((3,), 0)


def test_counts_are_whole_numbers() -> None:
    for family in (Poisson, NegativeBinomial, FixedNegativeBinomial):
        with pytest.raises(ValueError, match="whole numbers of at least 0"):
            family((2,)).validate(torch.tensor([[0.0, 0.5]]))


def test_trigamma_is_the_derivative_that_the_sum_relies_on() -> None:
    r, k = 0.7, numpy.arange(11)
    assert (1 / (r + k) ** 2).sum() == pytest.approx(special.polygamma(1, r) - special.polygamma(1, r + 11))
