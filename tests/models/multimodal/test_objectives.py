"""Objectives of several modalities against the exact evidence and posteriors of linear-Gaussian ones."""

from collections.abc import Callable
from math import log, pi
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from lsgen.latent import LearnedScalePrior, StandardNormal
from lsgen.latent.multimodal import (
    JointEncoder,
    JointPosterior,
    MixtureOfExperts,
    MixtureOfProducts,
    MultimodalSpace,
    ProductOfExperts,
)
from lsgen.likelihoods import FixedGaussian, modalities_likelihood
from lsgen.models.multimodal import (
    JMVAEObjective,
    MMVAEObjective,
    MMVAEPlusObjective,
    MoPoEObjective,
    MultimodalObjective,
    MVAEObjective,
    MVTCAEObjective,
)


class _LinearJoint(JointEncoder):
    """A joint encoder without hidden layers, whose network is the exact posterior of all modalities."""

    def __init__(self, model: Any, shift: float = 0.0) -> None:
        features = {name: nn.Linear(size, 2 * size) for name, size in model.sizes.items()}
        for name, one in features.items():
            one.dim, one.heads = model.sizes[name], 2  # type: ignore[assignment]
            with torch.no_grad():
                one.weight.copy_(
                    torch.cat([torch.eye(model.sizes[name]), torch.zeros(model.sizes[name], model.sizes[name])])
                )
                one.bias.zero_()
        shapes = {name: (size,) for name, size in model.sizes.items()}
        super().__init__(shapes, features, model.d, (), nn.Identity)
        self.double()
        precision = 1 + torch.stack([model.precision(name) for name in model.names]).sum(0)
        mean = [
            torch.cat(
                [model.W[name].T / model.s[name] ** 2 / precision[:, None], torch.zeros(model.d, model.sizes[name])], 1
            )
            for name in model.names
        ]
        joined = torch.cat(mean, 1)
        with torch.no_grad():
            last = self.join.layers[-1]
            last.weight.copy_(torch.cat([joined, torch.zeros_like(joined)]))
            last.bias.copy_(torch.cat([shift / precision.sqrt(), -precision.log()]))


def _repeated(
    objective: MultimodalObjective, space: MultimodalSpace, x: Tensor, n: int, seed: int = 0
) -> tuple[float, float]:
    """Return the mean loss of one observation (D,), and its standard error, of n draws."""
    torch.manual_seed(seed)
    with torch.no_grad():
        losses = torch.stack([objective(space, {"x": x.expand(n // 20, -1)}, 0).loss for _ in range(20)])
    return losses.mean().item(), losses.std().item() / 20**0.5


BOUNDS: list[tuple[Callable[[], MultimodalObjective], Callable[[Any], JointPosterior]]] = [
    (lambda: MMVAEObjective(samples=1), lambda model: MixtureOfExperts()),
    (lambda: MMVAEObjective(samples=4, doubly_reparameterised=False), lambda model: MixtureOfExperts()),
    (MoPoEObjective, lambda model: MixtureOfProducts()),
    (lambda: MVTCAEObjective(alpha=0.0), lambda model: ProductOfExperts(False)),
    (JMVAEObjective, lambda model: _LinearJoint(model, 0.5)),
]


@pytest.mark.parametrize(("make", "joint"), BOUNDS, ids=["mmvae", "mmvae_4", "mopoe", "mvtcae", "jmvae"])
def test_every_bound_stays_below_the_evidence(
    linear_modalities: Any, make: Callable[[], MultimodalObjective], joint: Callable[..., JointPosterior]
) -> None:
    model = linear_modalities(shift=0.3)
    space, objective, x = model.space(joint(model)), make(), model.x(1)[0]
    objective.check(space)
    loss, error = _repeated(objective, space, x, 4000)
    assert loss > -model.evidence(x[None]).item() - 5 * error


def test_jmvae_is_the_evidence_and_the_known_divergences_at_the_exact_posterior(linear_modalities: Any) -> None:
    model = linear_modalities()
    x, objective = model.x(6), JMVAEObjective(alpha=0.4)
    space = model.space(_LinearJoint(model))
    losses = objective(space, {"x": x}, 0)
    mean, log_variance = model.posterior(x, model.names)
    whole = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    apart = torch.zeros(6, dtype=torch.float64)
    for name in model.names:
        own, spread = model.posterior(x, [name])
        apart += kl_divergence(whole, Independent(Normal(own, (spread / 2).exp()), 1))
    torch.testing.assert_close(losses.scalars["apart"], apart.mean())
    drawn = []
    for seed in range(20):
        torch.manual_seed(seed)
        with torch.no_grad():
            drawn.append(objective(space, {"x": x.repeat(100, 1)}, 0).loss)
    error = 5 * torch.stack(drawn).std().item() / 20**0.5
    expected = (0.4 * apart - model.evidence(x)).mean().item()
    assert torch.stack(drawn).mean().item() == pytest.approx(expected, abs=error)


def test_joint_encoder_gives_one_modality_its_own_posterior_and_others_products(linear_modalities: Any) -> None:
    model = linear_modalities(prior_expert=False)
    space, x = model.space(_LinearJoint(model)), model.x(4)
    torch.testing.assert_close(space.encode(x).mean, model.posterior(x, model.names)[0])
    experts = space.experts(x)
    torch.testing.assert_close(space.encode(x, ["b"]).mean, experts.mean[:, 1])
    precision = torch.exp(-experts.log_variance[:, [0, 2]])
    pair = space.encode(x, ["a", "c"])
    torch.testing.assert_close(pair.mean, (precision * experts.mean[:, [0, 2]]).sum(1) / precision.sum(1))
    torch.testing.assert_close(pair.variance, 1 / precision.sum(1))
    with pytest.raises(ValueError, match="JMVAEObjective expected observations with all modalities"):
        JMVAEObjective()(space, {"x": x, "present": torch.ones(4, 3, dtype=torch.bool)}, 0)


def test_mmvae_nears_the_evidence_with_more_codes(linear_modalities: Any) -> None:
    model = linear_modalities(count=2)
    space, x = model.space(MixtureOfExperts()), model.x(1)[0]
    gaps = []
    for samples in (1, 10, 300):
        loss, error = _repeated(MMVAEObjective(samples=samples), space, x, 400)
        gaps.append(loss + model.evidence(x[None]).item())
        assert gaps[-1] > -5 * error
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.05


def test_mmvae_of_one_code_is_the_elbo_of_the_mixture_by_quadrature(linear_modalities: Any) -> None:
    model = linear_modalities(d=1, shift=0.2)
    space, x = model.space(MixtureOfExperts()), model.x(1)[0]
    z = torch.linspace(-9, 9, 20001, dtype=torch.float64)[:, None, None]
    with torch.no_grad():
        q, log_joint = space.encode(x[None]), space.decode(z).log_prob(x.expand(*z.shape[:2], -1))
        log_joint = log_joint + space.prior().log_prob(z)
        elbo = torch.trapezoid((q.log_prob(z).exp() * (log_joint - q.log_prob(z)))[:, 0], z[:, 0, 0]).item()
    loss, error = _repeated(MMVAEObjective(samples=1), space, x, 8_000)
    assert -loss == pytest.approx(elbo, abs=5 * error)
    prior = LearnedScalePrior(1).double()
    other, error = _repeated(MMVAEObjective(samples=1), model.space(MixtureOfExperts(), prior), x, 8_000)
    with torch.no_grad():
        slack = prior().log_prob(z) - space.prior().log_prob(z)
        moved = torch.trapezoid((q.log_prob(z).exp() * slack)[:, 0], z[:, 0, 0]).item()
    assert -other == pytest.approx(elbo + moved, abs=5 * error)


def test_mopoe_averages_over_all_subsets(linear_modalities: Any) -> None:
    model = linear_modalities(d=1, shift=0.2)
    space, x = model.space(MixtureOfProducts()), model.x(1)[0]
    experts = space.experts(x[None])
    precision, mean = torch.exp(-experts.log_variance[0, :, 0]), experts.mean[0, :, 0]
    total = torch.zeros((), dtype=torch.float64)
    subsets = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]
    for subset in subsets:
        t = precision[subset].sum()
        m = (precision[subset] * mean[subset]).sum() / t
        total += (1 / t + m**2 - 1 + t.log()) / 2  # KL from N(0, 1)
        for name in model.names:  # E (x - W z)^2 = (x - W m)^2 + W^2 / t
            part, W = x[model.slices([name])], model.W[name][:, 0]
            squares = (part - W * m).square().sum() + W.square().sum() / t
            total += squares / (2 * model.s[name] ** 2) + len(W) * log(2 * pi * model.s[name] ** 2) / 2
    loss, error = _repeated(MoPoEObjective(), space, x, 8_000)
    assert loss == pytest.approx(total.item() / len(subsets), abs=5 * error)


def test_mvtcae_is_the_form_of_the_paper(linear_modalities: Any) -> None:
    model = linear_modalities(count=2, d=1)
    space, x = model.space(ProductOfExperts(False)), model.x(1)
    alpha, beta, count = 0.6, 2.0, 2
    experts = space.experts(x)
    precision, mean = torch.exp(-experts.log_variance[0, :, 0]), experts.mean[0, :, 0]
    t = precision.sum()
    m = (precision * mean).sum() / t
    prior = (1 / t + m**2 - 1 + t.log()) / 2
    each = (((1 / t + (m - mean) ** 2) * precision - 1 + t.log() - precision.log()) / 2).sum()
    reconstruction = torch.zeros((), dtype=torch.float64)
    for name in model.names:
        part, W = x[0, model.slices([name])], model.W[name][:, 0]
        squares = (part - W * m).square().sum() + W.square().sum() / t
        reconstruction += squares / (2 * model.s[name] ** 2) + len(W) * log(2 * pi * model.s[name] ** 2) / 2
    expected = (count - alpha) / count * reconstruction + beta * ((1 - alpha) * prior + alpha / count * each)
    loss, error = _repeated(MVTCAEObjective(alpha=alpha, beta=beta), space, x[0], 8_000)
    assert loss == pytest.approx(expected.item(), abs=5 * error)


@pytest.mark.parametrize(
    ("objective", "joint"),
    [
        (MMVAEObjective(samples=1), MixtureOfExperts()),
        (MoPoEObjective(), MixtureOfProducts()),
        (MVTCAEObjective(alpha=0.0), ProductOfExperts(False)),
        (JMVAEObjective(), None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_one_modality_has_the_evidence_as_its_bound_at_the_exact_posterior(
    linear_modalities: Any, objective: MultimodalObjective, joint: JointPosterior | None
) -> None:
    model = linear_modalities(count=1)
    space, x = model.space(joint or _LinearJoint(model)), model.x(1)[0]
    losses = _repeated(objective, space, x, 4000)
    assert losses[0] == pytest.approx(-model.evidence(x[None]).item(), abs=5 * losses[1] + 1e-9)


@pytest.mark.parametrize(
    ("objective", "joint"),
    [
        (MMVAEObjective(samples=3), MixtureOfExperts()),
        (MMVAEObjective(samples=3, doubly_reparameterised=False), MixtureOfExperts()),
        (MoPoEObjective(), MixtureOfProducts()),
        (MVTCAEObjective(), ProductOfExperts(False)),
        (MVAEObjective(subsets=2), ProductOfExperts(False)),
    ],
    ids=["mmvae", "mmvae_plain", "mopoe", "mvtcae", "mvae"],
)
def test_nothing_depends_on_what_stands_in_the_place_of_absent_modalities(
    linear_modalities: Any, objective: MultimodalObjective, joint: JointPosterior
) -> None:
    model = linear_modalities()
    space, x = model.space(joint), model.x(5)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=torch.bool)
    there = space.likelihood.spread(present)
    found = []
    for given in (x, torch.where(there, x, 1e3 * torch.randn_like(x)), torch.where(there, x, torch.nan)):
        torch.manual_seed(0)
        losses = objective(space, {"x": given, "present": present}, 0)
        gradients = torch.autograd.grad(losses.loss, list(space.parameters()))
        found.append([losses.loss, losses.reconstruction, losses.kl, *gradients])
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-9, atol=1e-9)
    whole = torch.ones(5, 3, dtype=torch.bool)
    torch.manual_seed(0)
    masked = objective(space, {"x": x, "present": whole}, 0).loss
    torch.manual_seed(0)
    torch.testing.assert_close(masked, objective(space, {"x": x}, 0).loss)


def test_observations_that_lack_modalities_have_the_bounds_of_what_they_have(linear_modalities: Any) -> None:
    model = linear_modalities(d=1)
    few = linear_modalities(count=2, d=1)
    x, mask = model.x(1)[0], torch.tensor([True, True, False])
    for objective, joint in (
        (MMVAEObjective(samples=2), MixtureOfExperts()),
        (MoPoEObjective(), MixtureOfProducts()),
        (MVTCAEObjective(), ProductOfExperts(False)),
    ):
        space = model.space(joint)
        torch.manual_seed(0)
        with torch.no_grad():
            batch = {"x": x.expand(8_000, -1), "present": mask.expand(8_000, -1)}
            losses = objective(space, batch, 0).loss.item()
        wanted, error = _repeated(objective, few.space(joint), x[few.slices(few.names)], 8_000)
        assert losses == pytest.approx(wanted, abs=7 * error)


class _PrivateModalities:
    """x_i ~ N(u + c_i w_i, s_i^2) for scalars u, w_i ~ N(0, 1): jointly normal, with private codes."""

    c, s = (0.8, 1.2), (0.5, 0.7)

    def space(self, shift: float = 0.0) -> MultimodalSpace:
        encoders, decoders = {}, {}
        for name, c, s in zip("ab", self.c, self.s, strict=True):
            encoder, decoder = nn.Linear(1, 4).double(), nn.Linear(2, 1, bias=False).double()
            total = 1 + c**2 + s**2
            with torch.no_grad():
                encoder.weight.copy_(torch.tensor([[1 / total], [c / total], [0.0], [0.0]]))
                encoder.bias.copy_(torch.tensor([shift, 0.0, log(1 - 1 / total), log(1 - c**2 / total)]))
                decoder.weight.copy_(torch.tensor([[1.0, c]]))
            encoders[name], decoders[name] = encoder, decoder
        likelihood = modalities_likelihood({name: FixedGaussian((1,), s) for name, s in zip("ab", self.s, strict=True)})
        return MultimodalSpace(encoders, decoders, likelihood, StandardNormal(3), MixtureOfExperts(), 1).double()

    def evidence(self, x: Tensor) -> Tensor:
        covariance = torch.ones(2, 2) + torch.diag(
            torch.tensor([c**2 + s**2 for c, s in zip(self.c, self.s, strict=True)])
        )
        return torch.distributions.MultivariateNormal(torch.zeros(2), covariance).log_prob(x.float()).double()


def _plus(samples: int, space: MultimodalSpace, scale: float = 1.0, beta: float = 1.0) -> MMVAEPlusObjective:
    objective = MMVAEPlusObjective(samples=samples, beta=beta)
    objective.check(space)
    objective.double()
    torch.nn.init.constant_(objective.log_scales, log(scale))
    return objective


def test_mmvae_plus_stays_below_the_evidence_and_nears_it_with_more_codes() -> None:
    model, x = _PrivateModalities(), torch.tensor([0.7, -0.4], dtype=torch.float64)
    space, gaps = model.space(), []
    for samples in (1, 20, 500):
        loss, error = _repeated(_plus(samples, space), space, x, 200)
        gaps.append(loss + model.evidence(x).item())
        assert gaps[-1] > -5 * error
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.05


def test_mmvae_plus_reconstructs_other_modalities_from_the_auxiliary_prior() -> None:
    """By quadrature: x_2 is decoded at a private code of N(0, scale^2), whatever its own encoder says."""
    model, x, scale, beta = _PrivateModalities(), torch.tensor([0.7, -0.4], dtype=torch.float64), 0.3, 1.7
    space, objective = model.space(0.1), _plus(1, model.space(), scale, beta)
    experts = space.experts(x[None])
    expected = 0.0
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    shared = [Normal(experts.mean[0, i, 0], (experts.log_variance[0, i, 0] / 2).exp()) for i in range(2)]
    density = [one.log_prob(grid).exp() for one in shared]
    log_mixture = torch.log((density[0] + density[1]) / 2)
    for m in range(2):
        n = 1 - m
        mean, variance = experts.private_mean[0, m, 0], experts.private_log_variance[0, m, 0].exp()
        private = (variance + mean**2 - 1 - variance.log()) / 2
        own = (x[m] - grid - model.c[m] * mean).square() + model.c[m] ** 2 * variance
        cross = (x[n] - grid).square() + model.c[n] ** 2 * scale**2
        value = sum(
            -squares / (2 * model.s[i] ** 2) - log(2 * pi * model.s[i] ** 2) / 2
            for i, squares in ((m, own), (n, cross))
        )
        value = value + beta * (Normal(0.0, 1.0).log_prob(grid) - log_mixture) - beta * private
        expected += torch.trapezoid(density[m] * value, grid).item() / 2
    loss, error = _repeated(objective, space, x, 8_000)
    assert -loss == pytest.approx(expected, abs=5 * error)


def test_gradient_of_mmvae_plus_is_that_of_its_loss() -> None:
    """Against central differences of the loss with common random numbers, batch by batch."""
    x, space = torch.tensor([0.7, -0.4], dtype=torch.float64), _PrivateModalities().space(0.3)
    objective = _plus(3, space, 0.8, 1.3)
    parameters = [space.encoder.networks["a"].bias, objective.log_scales]

    def loss(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return objective(space, {"x": x.expand(600, -1)}, 0).loss

    gradients, differences = [], []
    for seed in range(8):
        found = torch.autograd.grad(loss(seed), parameters)
        gradients.append(torch.cat([one.flatten() for one in found]))
        sides: list[list[float]] = [[], []]
        with torch.no_grad():
            for parameter in parameters:
                for i in range(parameter.numel()):
                    for side, step in zip(sides, (1e-3, -1e-3), strict=True):
                        parameter.view(-1)[i] += step
                        side.append(loss(100 + seed).item())
                        parameter.view(-1)[i] -= step
        differences.append((torch.tensor(sides[0]) - torch.tensor(sides[1])).double() / 2e-3)
    one, other = torch.stack(gradients), torch.stack(differences)
    error = 5 * ((one.var(0) + other.var(0)) / 8).sqrt() + 1e-3
    assert bool(((one.mean(0) - other.mean(0)).abs() < error).all())
    assert error.max().item() < 0.3


def test_impossible_parts_are_refused(linear_modalities: Any) -> None:
    model = linear_modalities()
    with pytest.raises(TypeError, match="MMVAEObjective expected a MixtureOfExperts as the joint posterior, got Prod"):
        MMVAEObjective().check(model.space(ProductOfExperts()))
    with pytest.raises(ValueError, match="expected a product of experts without the prior's for MVTCAEObjective"):
        MVTCAEObjective().check(model.space(ProductOfExperts()))
    with pytest.raises(ValueError, match="expected private >= 1 for MMVAEPlusObjective"):
        MMVAEPlusObjective().check(model.space(MixtureOfExperts()))
    with pytest.raises(ValueError, match="expected private = 0 for MMVAEObjective, got 1: use MMVAEPlusObjective"):
        MMVAEObjective().check(_PrivateModalities().space())
    with pytest.raises(ValueError, match=r"expected alpha between 0 and 1, got 1\.5"):
        MVTCAEObjective(alpha=1.5)
    with pytest.raises(ValueError, match="expected a positive alpha"):
        JMVAEObjective(alpha=0)
    with pytest.raises(ValueError, match="expected samples of at least 1, got 0"):
        MMVAEObjective(samples=0)
