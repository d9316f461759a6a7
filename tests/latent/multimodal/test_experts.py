"""Joint posteriors of experts: products against linear algebra, mixtures against quadrature and by hand."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from lsgen.latent import MixtureOfNormals, StandardNormal
from lsgen.latent.multimodal import (
    Experts,
    JointPosterior,
    MixtureOfExperts,
    MixtureOfProducts,
    NormalMixture,
    ProductOfExperts,
)
from lsgen.latent.multimodal.experts import every_subset, product_of_normals

JOINTS: list[JointPosterior] = [
    ProductOfExperts(),
    MixtureOfExperts(),
    MixtureOfProducts(),
    MixtureOfProducts(prior_expert=True),
]
SUBSETS = [subset for subset in product([False, True], repeat=3) if any(subset)]
REAL = torch.float64


def _experts(batch: int = 4, count: int = 3, dim: int = 2, seed: int = 0) -> Experts:
    generator = torch.Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, batch, count, dim, dtype=REAL, generator=generator)
    return _of(mean, log_variance)


def _of(mean: Tensor, log_variance: Tensor) -> Experts:
    return Experts(mean, log_variance, mean[..., :0], mean[..., :0])


@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_the_product_is_the_posterior_of_linear_gaussian_modalities(subset: tuple[bool, ...]) -> None:
    """For x_i = A_i z + noise with A_i^T A_i diagonal, q_i ~ p(x_i|z) and any subset's posterior is their product."""
    torch.manual_seed(1)
    d, sizes = 3, (5, 4, 6)
    maps = [torch.linalg.qr(torch.randn(n, d, dtype=REAL))[0] * torch.rand(d, dtype=REAL).add(0.3) for n in sizes]
    scales = [0.4, 1.3, 0.7]
    z = torch.randn(d, dtype=REAL)
    x = [a @ z + s * torch.randn(len(a), dtype=REAL) for a, s in zip(maps, scales, strict=True)]
    precisions = [(a.mT @ a).diagonal() / s**2 for a, s in zip(maps, scales, strict=True)]
    means = [a.mT @ y / s**2 / t for a, y, s, t in zip(maps, x, scales, precisions, strict=True)]
    mean, log_variance = torch.stack(means)[None], -torch.stack(precisions).log()[None]
    experts = _of(mean, log_variance)
    q = ProductOfExperts()(experts, torch.tensor([subset]))
    whole = torch.cat([a / s for a, s, there in zip(maps, scales, subset, strict=True) if there])
    seen = torch.cat([y / s for y, s, there in zip(x, scales, subset, strict=True) if there])
    covariance = torch.linalg.inv(torch.eye(d, dtype=REAL) + whole.mT @ whole)
    torch.testing.assert_close(q.mean[0], covariance @ whole.mT @ seen)
    torch.testing.assert_close(torch.diag_embed(q.variance[0]), covariance)


@pytest.mark.parametrize("size", [-600.0, 0.0, 600.0])
def test_no_log_variance_is_too_large_or_too_small(size: float) -> None:
    """Where exp overflows in single precision, the sharpest expert or the prior still decides."""
    mean = torch.tensor([[[1.0], [3.0]]], requires_grad=True)
    log_variance = torch.tensor([[[size], [size]]], requires_grad=True)
    found, log_found = product_of_normals(mean, log_variance)
    exact = 4 * torch.tensor(-size, dtype=REAL).exp() / (1 + 2 * torch.tensor(-size, dtype=REAL).exp())
    torch.testing.assert_close(found.double()[0, 0], exact, rtol=1e-6, atol=0) if size < 600 else None
    log_exact = -torch.logaddexp(torch.zeros((), dtype=REAL), torch.tensor(2.0, dtype=REAL).log() - size)
    torch.testing.assert_close(log_found.double()[0, 0], log_exact, rtol=1e-6, atol=1e-30)
    for gradient in torch.autograd.grad(found.sum() + log_found.sum(), (mean, log_variance)):
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("joint", JOINTS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_a_subset_is_the_posterior_of_its_modalities_alone(joint: JointPosterior, subset: tuple[bool, ...]) -> None:
    """Masked experts are as if there were none: the same density, mean and variance, whatever they say."""
    experts = _experts()
    kept = [i for i, there in enumerate(subset) if there]
    few = _of(experts.mean[:, kept], experts.log_variance[:, kept])
    wild = torch.where(torch.tensor(subset)[:, None], experts.mean, 1e6)
    masked = _of(wild, experts.log_variance)
    q, expected = joint(masked, torch.tensor([subset]).expand(4, -1)), joint(few)
    z = torch.randn(5, 4, 2, dtype=REAL)
    torch.testing.assert_close(q.log_prob(z), expected.log_prob(z))
    torch.testing.assert_close(q.mean, expected.mean)
    torch.testing.assert_close(q.variance, expected.variance)


def test_each_observation_has_its_own_subset() -> None:
    """Rows of a mask with leading dimensions are posteriors of their own."""
    experts = _experts()
    masks = torch.tensor([[SUBSETS[(i + j) % 7] for j in range(4)] for i in range(2)])
    z = torch.randn(2, 4, 2, dtype=REAL)
    for joint in JOINTS:
        q = joint(experts, masks)
        for i, j in product(range(2), range(4)):
            one = _of(experts.mean[j : j + 1], experts.log_variance[j : j + 1])
            alone = joint(one, masks[i, j : j + 1])
            torch.testing.assert_close(q.log_prob(z)[i, j], alone.log_prob(z[i, j][None])[0])
        assert q.batch_shape == (2, 4)


def test_subsets_are_every_one_once() -> None:
    """2^M - 1 masks, none empty, none twice."""
    masks = every_subset(4)
    assert masks.shape == (15, 4)
    assert bool(masks.any(-1).all())
    assert len({tuple(row) for row in masks.tolist()}) == 15


def test_components_of_mixtures_are_experts_and_products_by_hand() -> None:
    """The densities are averages of those of `torch.distributions`, of products by dense matrices."""
    experts, z = _experts(), torch.randn(4, 2, dtype=REAL)
    each = [Normal(m, (v / 2).exp()).log_prob(z).sum(-1).exp() for m, v in _pairs(experts)]
    torch.testing.assert_close(MixtureOfExperts()(experts).log_prob(z).exp(), sum(each) / 3)
    for prior in (False, True):
        total = torch.zeros(4, dtype=REAL)
        for subset in SUBSETS:
            precision = torch.diag_embed(torch.full((4, 2), float(prior), dtype=REAL))
            pull = torch.zeros(4, 2, dtype=REAL)
            for there, (m, v) in zip(subset, _pairs(experts), strict=True):
                precision = precision + there * torch.diag_embed((-v).exp())
                pull = pull + there * (-v).exp() * m
            mean = torch.linalg.solve(precision, pull)
            total = total + MultivariateNormal(mean, precision_matrix=precision).log_prob(z).exp()
        torch.testing.assert_close(MixtureOfProducts(prior)(experts).log_prob(z).exp(), total / 7)


def _pairs(experts: Experts) -> list[tuple[Tensor, Tensor]]:
    return list(zip(experts.mean.unbind(1), experts.log_variance.unbind(1), strict=True))


@pytest.mark.parametrize("joint", [MixtureOfExperts(), MixtureOfProducts()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("subset", [None, (True, False, True)], ids=str)
def test_densities_integrate_to_one_and_have_their_moments(
    joint: JointPosterior, subset: tuple[bool, ...] | None
) -> None:
    """By quadrature on a line and in the plane."""
    for dim in (1, 2):
        q = joint(_experts(1, 3, dim), None if subset is None else torch.tensor([subset]))
        line = torch.linspace(-14, 14, 401, dtype=REAL)
        z = torch.cartesian_prod(*[line] * dim).reshape(-1, 1, dim)
        p = q.log_prob(z).exp() * (line[1] - line[0]) ** dim
        torch.testing.assert_close(p.sum(0), torch.ones(1, dtype=REAL), rtol=0, atol=1e-6)
        mean = (p.unsqueeze(-1) * z).sum(0)
        torch.testing.assert_close(mean, q.mean, rtol=0, atol=1e-5)
        torch.testing.assert_close((p.unsqueeze(-1) * (z - mean).square()).sum(0), q.variance, rtol=1e-5, atol=0)


def test_draws_follow_the_mixture_and_strata_are_its_components() -> None:
    """Both ways of drawing have the moments of the density; absent components are never drawn."""
    experts = _experts(2)
    present = torch.tensor([[True, True, True], [True, False, True]])
    q = MixtureOfExperts()(experts, present)
    assert isinstance(q, NormalMixture)
    torch.manual_seed(0)
    n = 40_000
    z, strata = q.sample((n,)), q.stratified((n,))
    error = (q.variance / n).sqrt()
    assert bool(((z.mean(0) - q.mean).abs() < 5 * error).all())
    assert bool(((z.var(0) / q.variance - 1).abs() < 0.1).all())
    torch.testing.assert_close(strata.mean(1), experts.mean.movedim(1, 0), rtol=0, atol=0.05)
    averaged = q.average(strata.mean(1).movedim(0, 1))
    torch.testing.assert_close(averaged, q.mean, rtol=0, atol=0.05)


def test_gradients_reach_the_experts_through_draws_densities_and_strata() -> None:
    """Against finite differences in double precision, of every joint posterior; of absent experts it is zero."""
    experts = _experts(2)
    present = torch.tensor([[True, True, True], [True, False, True]])
    for joint in JOINTS:

        def values(mean: Tensor, log_variance: Tensor) -> Tensor:
            torch.manual_seed(3)
            q = joint(_of(mean, log_variance), present)  # noqa: B023
            z = q.rsample((2,))
            return torch.stack([z.sum(-1), q.log_prob(z), q.log_prob(torch.ones_like(z))])

        arguments = experts.mean.clone().requires_grad_(), experts.log_variance.clone().requires_grad_()
        assert gradcheck(values, arguments)
        for gradient in torch.autograd.grad(values(*arguments).square().sum(), arguments):
            assert not bool(gradient[1, 1].any())
            assert bool(gradient[0].any(-1).all()) or joint in JOINTS[1:]


def test_the_convex_bound_lies_above_the_divergence() -> None:
    """KL(sum w q || p) <= sum w KL(q || p), with equality for one component; the former by quadrature."""
    q = MixtureOfExperts()(_experts(1, 3, 1))
    assert isinstance(q, NormalMixture)
    p = StandardNormal(1)().base_dist
    prior = Independent(Normal(p.loc.double(), p.scale.double()), 1)
    z = torch.linspace(-14, 14, 4001, dtype=REAL)[:, None, None]
    exact = (q.log_prob(z).exp() * (q.log_prob(z) - prior.log_prob(z))).sum(0) * (z[1, 0, 0] - z[0, 0, 0])
    bound = q.convex_divergence(prior).sum(-1)
    assert bool((bound > exact).all())
    by_hand = kl_divergence(q.components.base_dist, Normal(0.0, torch.ones((), dtype=REAL))).sum(-1).mean(-1)
    torch.testing.assert_close(bound, by_hand)


def test_a_prior_that_is_no_standard_normal_is_refused_as_an_expert() -> None:
    """In one sentence; without the prior's expert any prior goes."""
    prior = MixtureOfNormals(2, 3)
    needing: list[JointPosterior] = [ProductOfExperts(), MixtureOfProducts(prior_expert=True)]
    for joint in needing:
        with pytest.raises(TypeError, match="expected a StandardNormal as the prior, which is an expert of"):
            joint.check(prior)
    for joint in (ProductOfExperts(prior_expert=False), MixtureOfExperts(), MixtureOfProducts()):  # type: JointPosterior
        joint.check(prior)
