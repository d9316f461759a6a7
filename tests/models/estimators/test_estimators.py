"""Estimators of gradients against the exact gradient: the expected estimate is a sum over all tuples of draws.

Every estimator takes part by its type; one that says that it is unbiased must be, for an f that is not linear.
"""

from collections.abc import Callable
from itertools import product

import members
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import RelaxedBernoulli, RelaxedOneHotCategorical

from lsgen.latent import (
    BernoulliPosterior,
    BernoulliPrior,
    BitCodes,
    CategoricalPosterior,
    CategoricalPrior,
    DiagonalNormal,
    DiscreteCodes,
    EncodableLatentSpace,
    OneHotCodes,
    StandardNormal,
)
from lsgen.likelihoods import Bernoulli
from lsgen.models.schedules import ExponentialDecay, Linear
from lsgen.models.vae import IWAE, VIMCO, DiscreteELBO, Objective, RelaxedELBO
from lsgen.models.vae.estimators import RLOO, Concrete, GradientEstimator, GumbelStraightThrough, StraightThrough

REAL, LOGIT = torch.float64, 0.7
ESTIMATORS = members.by_name(members.concrete(GradientEstimator, "lsgen.models.vae.estimators"))
LOGITS = {
    "bits": torch.tensor([[0.3, -1.2]], dtype=REAL),
    "categories": torch.tensor([[[0.3, -1.2, 0.8]]], dtype=REAL),
}
KINDS: dict[str, type[DiscreteCodes]] = {"bits": BitCodes, "categories": OneHotCodes}


def _codes(kind: str) -> Tensor:
    bits = torch.tensor(list(product([0.0, 1.0], repeat=2)), dtype=REAL)
    return bits if kind == "bits" else torch.eye(3, dtype=REAL)


def _curved(z: Tensor) -> Tensor:
    return torch.exp(z[..., 0] - 2 * z[..., 1]) + 3 * z[..., 0] * z[..., 1] - z[..., 0] ** 3


def _linear(z: Tensor) -> Tensor:
    return 2 * z[..., 0] - 3 * z[..., 1] + 1


def _exact(kind: str, f: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return E_q[f] and its gradient, by the sum over all codes."""
    logits, z = LOGITS[kind].clone().requires_grad_(), _codes(kind)
    value = (KINDS[kind](logits).log_prob(z.unsqueeze(1))[:, 0].exp() * f(z)).sum()
    return value.detach(), torch.autograd.grad(value, logits)[0]


def _expected(
    estimator: GradientEstimator, kind: str, f: Callable[[Tensor], Tensor], draws: int
) -> tuple[Tensor, Tensor]:
    """Return the expected estimate and its expected gradient, by the sum over all tuples of draws."""
    value, gradient = torch.zeros((), dtype=REAL), torch.zeros_like(LOGITS[kind])
    for chosen in product(_codes(kind), repeat=draws):
        logits = LOGITS[kind].clone().requires_grad_()
        q, z = KINDS[kind](logits), torch.stack(chosen).unsqueeze(1)
        weight = q.log_prob(z).detach().sum().exp()
        q.sample = lambda shape=(), z=z: z.reshape(*shape, 1, -1)  # type: ignore[method-assign]
        estimate = estimator(q, f, 0)
        assert estimate.shape == (1,)
        value += weight * estimate.detach()[0]
        gradient += weight * torch.autograd.grad(estimate.sum(), logits)[0]
    return value, gradient


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [2, 3])
def test_leave_one_out_is_unbiased(kind: str, samples: int) -> None:
    torch.testing.assert_close(_expected(RLOO(samples), kind, _curved, samples), _exact(kind, _curved))


@pytest.mark.parametrize("kind", KINDS)
def test_straight_through_is_exact_for_linear_functions_and_else_the_average_slope(kind: str) -> None:
    torch.testing.assert_close(_expected(StraightThrough(), kind, _linear, 1), _exact(kind, _linear))
    value, gradient = _expected(StraightThrough(), kind, _curved, 1)
    logits, z = LOGITS[kind].clone().requires_grad_(), _codes(kind).requires_grad_()
    slopes = torch.autograd.grad(_curved(z).sum(), z)[0]
    q = KINDS[kind](logits)
    weights = q.log_prob(z.detach().unsqueeze(1))[:, 0].exp().detach()
    torch.testing.assert_close(gradient, torch.autograd.grad((q.mean[0] * (weights @ slopes)).sum(), logits)[0])
    exact_value, exact_gradient = _exact(kind, _curved)
    torch.testing.assert_close(value, exact_value)
    assert not torch.allclose(gradient, exact_gradient, rtol=0.1)


def _logistic_nodes(at: float = LOGIT) -> tuple[Tensor, Tensor, Tensor]:
    """Return nodes (N, 1) of logistic noise, their weights, and these times the density; y changes sign between two."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(150))
    low, high = (40 - at) / 2, (40 + at) / 2
    noise = torch.cat([low * (nodes - 1) - at, high * (nodes + 1) - at])
    line = torch.cat([low * weights, high * weights])
    return noise.unsqueeze(1), line, line * torch.sigmoid(noise) * torch.sigmoid(-noise)


def _of_one_bit(estimator: GradientEstimator, f: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the expected estimate for one bit and its expected derivative, by quadrature over the noise."""
    logits = torch.full((1,), LOGIT, dtype=REAL, requires_grad=True)
    noise, _, weights = _logistic_nodes()
    q = BitCodes(logits.expand(len(noise), 1))
    q.noise = lambda shape: noise  # type: ignore[method-assign]
    value = (weights * estimator(q, f, 0)).sum()
    return value.detach(), torch.autograd.grad(value, logits)[0][0]


def _falling(z: Tensor) -> Tensor:
    return torch.exp(-2 * z[..., 0])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_relaxed_gradient_is_that_of_the_relaxed_expectation(temperature: float) -> None:
    """The expectation is an integral of f over the density, whose gradient is taken through the density alone."""
    noise, line, _ = _logistic_nodes()
    y = (noise + LOGIT) / temperature
    logit = torch.full((1,), LOGIT, dtype=REAL, requires_grad=True)
    density = BitCodes(logit).relaxed_log_prob(y, temperature).exp()
    integral = (density * _falling(torch.sigmoid(y)) * line / temperature).sum()
    expected = integral.detach(), torch.autograd.grad(integral, logit)[0][0]
    torch.testing.assert_close(_of_one_bit(Concrete(temperature), _falling), expected, rtol=1e-7, atol=1e-9)


def test_the_relaxed_expectation_tends_to_the_discrete_one() -> None:
    p = torch.sigmoid(torch.tensor(LOGIT, dtype=REAL))
    value, slope = (1 - p) + p * np.exp(-2), p * (1 - p) * (np.exp(-2) - 1)
    found = [_of_one_bit(Concrete(t), _falling) for t in (1.0, 0.3, 0.1, 0.03)]
    for gaps in ([(one[0] - value).abs().item() for one in found], [(one[1] - slope).abs().item() for one in found]):
        assert sorted(gaps, reverse=True) == gaps
        assert gaps[-1] < gaps[0] / 10


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_straight_through_gumbel_estimate_is_a_code_with_the_slope_of_its_relaxation(temperature: float) -> None:
    """f = z^3 has slope 3 at a 1 and 0 at a 0, so that the slope of soft(y) counts where y > 0."""
    value, slope = _of_one_bit(GumbelStraightThrough(temperature), lambda z: z[..., 0] ** 3)
    torch.testing.assert_close(value, torch.sigmoid(torch.tensor(LOGIT, dtype=REAL)), rtol=1e-9, atol=0)
    noise, _, weights = _logistic_nodes()
    soft = torch.sigmoid((noise + LOGIT) / temperature)[:, 0]
    expected = 3 * (weights * soft * (1 - soft) / temperature * (noise[:, 0] + LOGIT > 0)).sum()
    torch.testing.assert_close(slope, expected)


def test_an_unbiased_estimator_has_been_enumerated() -> None:
    assert {name for name, member in ESTIMATORS.items() if member.unbiased} == {"RLOO"}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_in_evaluation_a_code_is_looked_at(name: str, kind: str) -> None:
    torch.manual_seed(0)
    seen: list[Tensor] = []
    q = KINDS[kind](LOGITS[kind].expand(50, *LOGITS[kind].shape[1:]))
    ESTIMATORS[name]().eval()(q, lambda z: (seen.append(z), z.sum(-1))[1], 0)
    assert bool((seen[0].unsqueeze(1) == _codes(kind)).all(-1).any(-1).all())


def _space(kind: str = "bits") -> EncodableLatentSpace:
    torch.manual_seed(1)
    encoder, decoder = (
        torch.nn.Linear(3, 2),
        torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)),
    )
    bits, categories = (BernoulliPrior(2), BernoulliPosterior(2)), (CategoricalPrior(2, 2), CategoricalPosterior(2, 2))
    prior, posterior = bits if kind == "bits" else categories
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((3,)), prior, posterior).to(REAL)
    with torch.no_grad():
        encoder.weight.mul_(3)
        decoder[2].weight.mul_(4)
    return space


X = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=REAL)


def _gradients(space: EncodableLatentSpace, value: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(value, list(space.parameters())))


def _bound_of(space: EncodableLatentSpace, x: Tensor, tuples: Tensor) -> Tensor:
    """Return the multi-sample bound by the sum over all tuples of codes (k, T, d)."""
    q, p = space.encode(x), space.prior()
    log_q = q.log_prob(tuples)
    log_w = space.decode(tuples).log_prob(x) + p.log_prob(tuples) - log_q
    return (log_q.sum(0).exp() * torch.log(log_w.exp().mean(0))).sum()


def _expected_of(
    objective: Objective, space: EncodableLatentSpace, x: Tensor, tuples: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return the expected loss of one observation (1, D) and its expected gradient over all tuples of draws."""
    encode = space.encode
    total, gradients = torch.zeros((), dtype=REAL), [torch.zeros_like(p) for p in space.parameters()]
    for chosen in tuples.unbind(1):
        q, z = encode(x), chosen.unsqueeze(1)
        q.sample = lambda shape, z=z: z  # type: ignore[method-assign]
        space.encode = lambda x, q=q: q  # type: ignore[method-assign]
        loss, mass = objective(space, {"x": x}, 0).loss, q.log_prob(z).detach().sum().exp()
        total = total + mass * loss.detach()
        gradients = [a + mass * b for a, b in zip(gradients, _gradients(space, loss), strict=True)]
    space.encode = encode  # type: ignore[method-assign]
    return total, gradients


def _tuples(codes: Tensor, samples: int) -> Tensor:
    return torch.stack([torch.stack(chosen) for chosen in product(codes, repeat=samples)], 1)


@pytest.mark.parametrize("samples", [2, 3])
def test_vimco_is_unbiased_for_the_multi_sample_bound(samples: int) -> None:
    space, x, tuples = _space(), X[:1], _tuples(_codes("bits"), samples)
    exact = -_bound_of(space, x, tuples)
    total, found = _expected_of(VIMCO(samples), space, x, tuples)
    torch.testing.assert_close(total, exact.detach())
    torch.testing.assert_close(found, _gradients(space, exact))


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_of_discrete_codes_is_that_of_a_sum_over_all_of_them(kind: str) -> None:
    """With leave-one-out the expected gradient of every parameter is exact; the KL is that of the discrete codes."""
    space, x = _space(kind), X[:1]
    codes = _codes("bits") if kind == "bits" else torch.eye(2, dtype=REAL)
    exact = -_bound_of(space, x, codes.unsqueeze(0))
    total, found = _expected_of(DiscreteELBO(RLOO(2)), space, x, _tuples(codes, 2))
    torch.testing.assert_close(total, exact.detach())
    torch.testing.assert_close(found, _gradients(space, exact))


@pytest.mark.parametrize("kind", KINDS)
def test_the_relaxed_bound_has_the_densities_of_torch_at_the_code_that_is_decoded(kind: str) -> None:
    """At a temperature of the posterior and another of the prior; the factors of other coordinates cancel."""
    space, seen, t, u = _space(kind), [], torch.tensor(0.5, dtype=REAL), torch.tensor(1.5, dtype=REAL)
    space.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    losses = RelaxedELBO(0.5, 1.5)(space, {"x": X}, 0)
    q, z = space.encode(X), seen[0]
    if kind == "bits":
        log_q = RelaxedBernoulli(t, logits=q.logits).log_prob(z).sum(-1)
        log_p = RelaxedBernoulli(u, logits=torch.zeros(2, dtype=REAL)).log_prob(z).sum(-1)
    else:
        log_q = RelaxedOneHotCategorical(t, logits=q.logits[:, 0]).log_prob(z)
        log_p = RelaxedOneHotCategorical(u, logits=torch.zeros(2, dtype=REAL)).log_prob(z)
    torch.testing.assert_close(losses.kl[:, 0], log_q - log_p)
    torch.testing.assert_close(losses.reconstruction, -space.decode(z).log_prob(X))
    torch.testing.assert_close(losses.loss, (losses.reconstruction + losses.kl[:, 0]).mean())


def test_in_evaluation_both_bounds_are_those_of_discrete_codes() -> None:
    space = _space()
    x = X.repeat(2000, 1)
    for objective in (RelaxedELBO(), DiscreteELBO(Concrete())):
        objective.eval()
        torch.manual_seed(0)
        found = objective(space, {"x": x}, 0)
        exact = torch.stack([_bound_of(space, one.unsqueeze(0), _codes("bits").unsqueeze(0)) for one in X])
        elbo = found.elbo.detach().unflatten(0, (-1, 2))
        assert bool(((elbo.mean(0) - exact).abs() < 5 * elbo.std(0) / 2000**0.5).all())


def test_what_has_no_discrete_codes_is_refused() -> None:
    space = EncodableLatentSpace(
        torch.nn.Linear(3, 4), torch.nn.Linear(2, 3), Bernoulli((3,)), StandardNormal(2), DiagonalNormal()
    )
    for objective in (DiscreteELBO(RLOO(2)), RelaxedELBO(), VIMCO(2)):
        with pytest.raises(TypeError, match=r"expected a BernoulliPosterior and a BernoulliPrior.*got DiagonalNormal"):
            objective.check(space)
    with pytest.raises(
        TypeError, match="IWAE expected a posterior whose codes carry a gradient, got BernoulliPosterior"
    ):
        IWAE(2).check(_space())
    for make in (RLOO, VIMCO):
        with pytest.raises(ValueError, match="expected at least 2 samples, of which one is the baseline of the other"):
            make(1)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"expected a temperature above 0, got .* at generator step 0"):
            Concrete(temperature)
    falling = Concrete(Linear(1.0, 0.0, 10))
    with pytest.raises(ValueError, match=r"expected a temperature above 0, got 0.0 at generator step 10"):
        falling(BitCodes(LOGITS["bits"]), _linear, 10)
    with pytest.raises(ValueError, match=r"expected 0 < end <= start and a rate of at least 0, got 2.0, 1.0 and 0.1"):
        ExponentialDecay(1.0, 2.0, 0.1)
    with pytest.raises(ValueError, match="expected after of at least 0, got -1"):
        ExponentialDecay(1.0, 0.5, 0.1, after=-1)


def test_a_decay_may_begin_late() -> None:
    now, late = ExponentialDecay(1.0, 0.5, 0.1), ExponentialDecay(1.0, 0.5, 0.1, after=7)
    assert [late(step) for step in range(8)] == [1.0] * 8
    assert [late(step + 7) for step in range(9)] == [now(step) for step in range(9)]
