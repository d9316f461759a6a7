"""Games with an encoder or a recogniser, on linear networks whose terms can be written down."""

from math import log, pi

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import softplus

from lsgen.latent import EncodableLatentSpace, MixtureOfNormals, Prior, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import (
    GAN,
    VAEGAN,
    BiGAN,
    Hinge,
    LeastSquares,
    MutualInformation,
    NonSaturating,
    SharedMutualInformation,
    Wasserstein,
)
from lsgen.models.gan.losses import AdversarialLoss
from lsgen.models.gan.vae_gan import SimilarityLoss
from lsgen.nn.adversarial.critics import MLPCritic, MLPPairCritic

X = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))


def _bigan(loss: AdversarialLoss | None = None) -> BiGAN:
    torch.manual_seed(0)
    return BiGAN(
        nn.Linear(3, 2), nn.Linear(2, 3), MLPPairCritic((3,), 2, [8]), FixedGaussian((3,)), StandardNormal(2), loss=loss
    )


def _seeded(model: BiGAN | VAEGAN, part: str) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return dict(getattr(model, part)({"x": X}, 0))


def test_a_bigan_compares_the_two_kinds_of_pairs() -> None:
    model = _bigan()
    torch.manual_seed(1)
    z = model.codes(6)
    real, fake = model.critic(X, model.latent_space.encoder(X)), model.critic(model.generator(z), z)
    torch.testing.assert_close(
        _seeded(model, "critic_terms")["adversarial"], softplus(-real).mean() + softplus(fake).mean()
    )
    terms = _seeded(model, "generator_terms")
    torch.testing.assert_close(terms["adversarial"], softplus(-fake).mean())
    torch.testing.assert_close(terms["encoder"], softplus(real).mean())


@pytest.mark.parametrize("loss", [NonSaturating(), Wasserstein(), Hinge()])
def test_the_encoder_lowers_real_pairs_and_the_generator_raises_generated_ones(loss: AdversarialLoss) -> None:
    model = _bigan(loss)
    terms = _seeded(model, "generator_terms")
    generator, encoder = model.generator.weight, model.latent_space.encoder.weight
    for name, weights in (("adversarial", [generator, encoder]), ("encoder", [encoder, generator])):
        gradients = torch.autograd.grad(terms[name], weights, retain_graph=True, allow_unused=True)
        assert gradients[0].abs().max() > 0
        assert gradients[1] is None


def test_a_bigan_has_a_latent_space_that_can_be_entered() -> None:
    model = _bigan()
    assert isinstance(model.latent_space, EncodableLatentSpace)
    torch.testing.assert_close(model(X), model.generator(model.latent_space.encoder(X)))
    assert len(model.players()[1]) == 4
    with pytest.raises(ValueError, match="BiGAN expected a loss symmetric in its pairs, got LeastSquares"):
        _bigan(LeastSquares())


def _vaegan(gamma: float) -> VAEGAN:
    torch.manual_seed(0)
    return VAEGAN(
        nn.Linear(3, 4),
        nn.Linear(2, 3),
        MLPCritic((3,), [8], nn.Tanh),
        FixedGaussian((3,)),
        StandardNormal(2),
        SimilarityLoss(gamma),
    )


@pytest.mark.parametrize("gamma", [1.0, 0.01])
def test_gamma_weighs_the_features_for_the_generator_only(gamma: float) -> None:
    model = _vaegan(gamma)
    terms = _seeded(model, "generator_terms")
    torch.manual_seed(1)
    q = model.latent_space.encode(X)
    features = model.critic.features
    plain = (features(X) - features(model.generator(q.rsample()))).square().sum(1).mean() / 2
    torch.testing.assert_close(terms["features"], gamma * plain)
    torch.testing.assert_close(terms["kl"], kl_divergence(q, StandardNormal(2)()).mean())
    weights = [model.generator.weight, model.latent_space.encoder.weight]
    ours, theirs = torch.autograd.grad(terms["features"], weights), torch.autograd.grad(plain, weights)
    torch.testing.assert_close(ours[0], gamma * theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-6)


def test_the_encoder_gets_no_adversarial_gradient() -> None:
    terms = _seeded(model := _vaegan(1.0), "generator_terms")
    encoder, generator = model.latent_space.encoder.weight, model.generator.weight
    gradients = torch.autograd.grad(terms["adversarial"], [encoder, generator], allow_unused=True)
    assert gradients[0] is None
    assert gradients[1].abs().max() > 0


def test_mutual_information_of_a_recogniser_that_knows() -> None:
    prior = Product([StandardNormal(2), OneHot(4), StandardNormal(3)])
    z = prior().sample((500,))
    knows = MutualInformation(lambda x: torch.cat([1000 * x[:, 2:6], x[:, 6:]], 1), classes=4, continuous=3)  # type: ignore[arg-type]
    assert knows(nn.Identity(), z, z).item() == pytest.approx(1.5 * log(2 * pi), rel=1e-6)
    ignorant = MutualInformation(lambda x: torch.zeros(len(x), 7), classes=4, continuous=3)  # type: ignore[arg-type]
    expected = log(4) + 1.5 * log(2 * pi) + z[:, 6:].square().sum(1).mean() / 2
    torch.testing.assert_close(ignorant(nn.Identity(), z, z), expected)


def test_the_recogniser_is_trained_with_the_generator() -> None:
    recogniser = nn.Linear(3, 4)
    gan = GAN(
        nn.Linear(6, 3), MLPCritic((3,), [4]), FixedGaussian((3,)), Product([StandardNormal(2), OneHot(4)]),
        NonSaturating(), [MutualInformation(recogniser, classes=4)],
    )  # fmt: skip
    critic, generator = ({id(p) for p in player} for player in gan.players())
    assert {id(p) for p in recogniser.parameters()} < generator
    assert not critic & generator
    terms = gan.generator_terms({"x": X}, 0)
    assert set(terms) == {"adversarial", "mutual_information"}
    gradients = torch.autograd.grad(terms["mutual_information"], [recogniser.weight, gan.generator.weight])
    assert all(g.abs().max() > 0 for g in gradients)


def _shared(critic: nn.Module, **changes: float) -> tuple[GAN, SharedMutualInformation]:
    torch.manual_seed(0)
    info, prior = SharedMutualInformation(classes=4, hidden=5, **changes), Product([StandardNormal(2), OneHot(4)])
    return GAN(nn.Linear(6, 3), critic, FixedGaussian((3,)), prior, NonSaturating(), [info]), info


def test_a_recogniser_on_the_critics_features_is_trained_with_the_critic_by_generated_observations_alone() -> None:
    gan, info = _shared(MLPCritic((3,), [7]), weight=2.0, generator_weight=3.0)
    critic, generator = ({id(p) for p in player} for player in gan.players())
    assert {id(p) for p in info.recogniser.parameters()} < critic
    assert not critic & generator
    for part, weight in (("critic_terms", 2.0), ("generator_terms", 3.0)):
        torch.manual_seed(1)
        z = gan.codes(6)
        torch.manual_seed(1)
        terms = getattr(gan, part)({"x": torch.full_like(X, torch.nan)}, 0)
        logits = info.recogniser(gan.critic.features(gan.generator(z)))
        expected = weight * nn.functional.cross_entropy(logits, z[:, 2:].argmax(1))
        torch.testing.assert_close(terms["shared_mutual_information"], expected)
        trunk = torch.autograd.grad(terms["shared_mutual_information"], gan.critic.features[1].weight)[0]
        assert trunk.abs().max() > 0
    assert info.guess(gan.critic, X).shape == (6, 4)


def test_a_shared_recogniser_needs_features_a_hidden_layer_and_codes_that_it_can_recognise() -> None:
    with pytest.raises(TypeError, match="SharedMutualInformation expected a critic with features and a score, such as"):
        _shared(nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)))
    with pytest.raises(ValueError, match="expected a hidden layer of at least 1 unit, got 0"):
        SharedMutualInformation(hidden=0)
    with pytest.raises(TypeError, match="SharedMutualInformation expected a prior whose codes end in a OneHot of 4"):
        GAN(
            nn.Linear(6, 3), MLPCritic((3,), [4]), FixedGaussian((3,)), StandardNormal(6), NonSaturating(),
            [SharedMutualInformation(classes=4)],
        )  # fmt: skip


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected classes or continuous codes, got 0 and 0"):
        MutualInformation(nn.Identity(), 0, 0)
    with pytest.raises(TypeError, match="VAEGAN expected a critic with features, got Linear without"):
        VAEGAN(nn.Linear(3, 4), nn.Linear(2, 3), nn.Linear(3, 1), FixedGaussian((3,)), StandardNormal(2))
    with pytest.raises(ValueError, match="expected gamma above 0, got 0"):
        _vaegan(0)


def test_the_divergence_of_a_vae_gan_is_estimated_where_it_has_no_closed_form() -> None:
    torch.manual_seed(0)
    encoder, generator, critic = nn.Linear(3, 4), nn.Linear(2, 3), MLPCritic((3,), [8], nn.Tanh)
    prior = MixtureOfNormals(2, 1, spread=0.0)
    with torch.no_grad():
        prior.means.copy_(torch.tensor([[0.5, -1.0]]))
        prior.log_scales.copy_(torch.tensor([[0.2, -0.3]]))
    model = VAEGAN(encoder, generator, critic, FixedGaussian((3,)), prior)
    one = Independent(Normal(prior.means[0], prior.log_scales[0].exp()), 1)
    q = model.latent_space.encode(X)
    exact = kl_divergence(q, one).mean()
    (slope,) = torch.autograd.grad(exact, prior.means)
    values, slopes = [], []
    for _ in range(40):
        values.append(model.generator_terms({"x": X.repeat(50, 1)}, 0)["kl"])
        slopes.append(torch.autograd.grad(values[-1], prior.means)[0])
    for found, expected in ((torch.stack(values).detach(), exact), (torch.stack(slopes), slope)):
        assert ((found.mean(0) - expected).abs() < 5 * found.std(0) / 40**0.5).all()


def test_the_prior_of_a_vae_gan_learns_from_the_divergence_alone() -> None:
    torch.manual_seed(0)
    parts = nn.Linear(3, 4), nn.Linear(2, 3), MLPCritic((3,), [8], nn.Tanh)
    model = VAEGAN(*parts, FixedGaussian((3,)), MixtureOfNormals(2, 2))
    terms = model.generator_terms({"x": X}, 0)
    means = model.latent_space.prior.means
    assert any(means is parameter for parameter in model.players()[1])
    for name in ("adversarial", "features"):
        assert torch.autograd.grad(terms[name], means, retain_graph=True, allow_unused=True) == (None,)


def test_a_learned_prior_moves_to_the_data_of_a_game() -> None:
    torch.manual_seed(0)
    prior = MixtureOfNormals(1, 1, spread=0.0)
    generator = nn.Identity()
    gan = GAN(generator, nn.Linear(1, 1), FixedGaussian((1,)), prior, Wasserstein())
    terms = gan.generator_terms({"x": X[:, :1]}, 0)
    (gradient,) = torch.autograd.grad(terms["adversarial"], prior.means)
    torch.testing.assert_close(gradient, -gan.critic.weight.detach())
    assert [id(p) for p in gan.players()[1]] == [id(p) for p in prior.parameters()]


@pytest.mark.parametrize(
    "prior",
    [
        StandardNormal(5),
        Product([StandardNormal(3), OneHot(2)]),
        Product([OneHot(3), StandardNormal(2)]),
        StandardNormal(2),
    ],
)
def test_codes_that_do_not_end_in_what_is_recognised_are_refused(prior: Prior) -> None:
    parts = nn.Linear(prior.dim, 3), MLPCritic((3,), [4]), FixedGaussian((3,)), prior, NonSaturating()
    with pytest.raises(TypeError, match="expected a prior whose codes end in a OneHot of 3 and 1 more, got"):
        GAN(*parts, [MutualInformation(nn.Linear(3, 4), 3, 1)])
